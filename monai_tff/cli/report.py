"""`python -m monai_tff report`: one HTML file about a run, or about a set of folds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    folder: Annotated[
        Path, typer.Argument(help="Run folder of phase 3 (such as runs/demo/finetune), or folder of folds.")
    ],
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Earlier run on the same test subjects, to be compared with (may be repeated)."),
    ] = None,
) -> None:
    """Write report.html: verdict, warnings, numbers, figures and maps in one file that needs no network."""
    from monai_tff.report import find_caveats, gather_material, write_material

    material = gather_material(folder, against or ())
    path = write_material(material)
    caveats = find_caveats(material)
    print(material.evidence["verdict"]["headline"])
    print(f"warnings: {caveats.number}; steps that were not run: {len(caveats.not_run)}")
    print(f"report: {path}")
