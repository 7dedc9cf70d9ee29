"""The command `convert-scans`: published tensors become NIfTI scans that everything else reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert_scans(
    source: Annotated[Path, typer.Argument(help="Folder of .pt files: one for each frame, or one for each scan.")],
    folder: Annotated[Path, typer.Argument(help="BIDS-like folder to write to; what it holds complete is kept.")],
    repetition_time: Annotated[float, typer.Option(help="Seconds between frames, which the tensors do not say.")],
    voxel_size: Annotated[str, typer.Option(help="Voxel size in mm along each axis.")] = "2,2,2",
    axis_codes: Annotated[str, typer.Option(help="Orientation of the tensors' axes; HCP's scans are LAS.")] = "RAS",
) -> None:
    """Converts tensors of the published TFF code to NIfTI. Exit code 1 if some were left out."""
    from monai_tff.data.cohorts.published import convert_published

    sizes = _numbers(voxel_size)
    found = convert_published(
        source, folder, repetition_time=repetition_time, voxel_size=sizes, axis_codes=axis_codes, progress=True
    )
    typer.echo(f"{len(found.written)} scans converted, {len(found.kept)} were there, in {folder}")
    for sentence in found.faults:
        typer.echo(f"Left out: {sentence}")
    if found.faults:
        raise typer.Exit(1)


def _numbers(text: str) -> list[float]:
    from monai_tff.errors import DatalistError

    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 3:
        raise DatalistError(f"--voxel-size: found '{text}', expected three numbers such as 2,2,2.")
    return numbers
