"""The command `export`: a finished run leaves the lab as a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monai_tff.cli import details


def export(
    run: Annotated[Path, typer.Argument(help="Finished run folder of one phase.")],
    name: details.Name,
    out: details.Out,
    version: details.Version = "0.1.0",
    changelog: details.Changelog = "First version.",
    authors: details.Authors = "not stated",
    copyright: details.Copyright = "not stated",
    description: details.Description = None,
    cohort_name: details.CohortName = None,
    data_license: details.DataLicense = None,
    url: details.Url = None,
    inference_only: details.InferenceOnly = False,
    overwrite: details.Overwrite = False,
) -> None:
    """Export a finished run as a bundle that anyone can verify and run."""
    from monai_tff.bundle.export import export_run

    said = details.details_of(
        data_license,
        name=name,
        version=version,
        changelog=changelog,
        authors=authors,
        copyright=copyright,
        description=description,
        cohort_name=cohort_name,
        url=url,
    )
    exported = export_run(run, out, said, inference_only=inference_only, overwrite=overwrite, say=typer.echo)
    details.print_exported(exported)
