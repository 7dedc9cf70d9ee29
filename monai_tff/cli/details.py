"""Options of the commands that write a bundle to be passed on: what only the person who does so can say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from monai_tff.bundle.export import Details, Exported

Name = Annotated[str, typer.Option("--name", help="Name of the bundle, hcp_sex_classification for example.")]
Out = Annotated[Path, typer.Option("--out", help="Folder that gets the bundle's folder and its zip file.")]
Version = Annotated[str, typer.Option("--version", help="Version of the bundle: three numbers.")]
Changelog = Annotated[str, typer.Option(help="What is new in this version, one sentence.")]
Authors = Annotated[str, typer.Option(help="Who stands behind the bundle.")]
Copyright = Annotated[str, typer.Option("--copyright", help="Copyright notice of the bundle.")]
Description = Annotated[str | None, typer.Option(help="One sentence; default: written from the target.")]
CohortName = Annotated[str | None, typer.Option(help="What the cohort is called in public; default: it is not named.")]
DataLicense = Annotated[Path | None, typer.Option(help="Text file with the licence of the training data.")]
Url = Annotated[str | None, typer.Option(help="Folder on a web server from which large files can be downloaded.")]
InferenceOnly = Annotated[
    bool, typer.Option("--inference-only", help="Leave out the configurations of training and evaluation.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the bundle of this name, and its zip file of this version.")
]


def details_of(data_license: Path | None, **given: Any) -> Details:
    """What the options say of a bundle.

    Args:
        data_license: text file.
        given: the other attributes of `Details`, by name.

    Raises:
        BundleError: for a name, version or address of another form, or a licence that cannot be read.
    """
    from monai_tff.bundle.export import Details
    from monai_tff.errors import BundleError

    text = None
    if data_license is not None:
        try:
            text = data_license.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BundleError(
                f"--data-license {data_license}: cannot be read ({type(error).__name__}), expected a text file; check "
                "the path."
            ) from error
    return Details(data_license=text, **given)


def print_exported(exported: Exported) -> None:
    """Prints the files of a bundle with their sizes, and how to go on."""
    files = sorted(path for path in exported.folder.rglob("*") if path.is_file())
    for path in (*files, exported.archive):
        typer.echo(f"{_size(path.stat().st_size):>9}  {path}")
    typer.echo(f"Next: python -m monai_tff verify {exported.folder}")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
