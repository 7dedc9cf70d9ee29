"""`python -m monai_tff explain`: where and when a network looks, as maps in the space of the scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explain(
    folder: Annotated[Path, typer.Argument(help="Run folder of phase 3, or folder of an experiment over folds.")],
    atlas: Annotated[Path | None, typer.Option(help="NIfTI file of region numbers, in the space of the scans.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Table with index and name of the atlas's regions.")] = None,
    subjects: Annotated[int, typer.Option(min=1, help="Test subjects, drawn evenly from the classes.")] = 20,
    windows_per_scan: Annotated[int, typer.Option(min=1, help="Windows of each scan.")] = 1,
    steps: Annotated[int, typer.Option(min=16, help="Gradients of each window; more make the sums more exact.")] = 64,
    without_label_check: Annotated[
        bool, typer.Option("--without-label-check", help="Do not train a network with permuted labels to compare with.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write to; default: explain within the folder.")
    ] = None,
) -> None:
    """Make maps of what moves a network's output, and check them; a failed check is a warning, not an error."""
    from monai_tff.explain import explain_run

    explain_run(
        folder,
        atlas,
        labels,
        subjects,
        windows_per_scan=windows_per_scan,
        steps=steps,
        label_check=not without_label_check,
        output=output,
        say=typer.echo,
    )
