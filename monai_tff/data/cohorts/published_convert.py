"""Published tensors as NIfTI scans in a BIDS folder, which everything else reads."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_tff.data.cohorts.published_frames import Survey, restored_frames, survey_frames
from monai_tff.data.cohorts.published_nifti import centred_affine, is_complete, write_frames, write_json
from monai_tff.data.cohorts.published_tensors import PublishedScan, find_published, load_whole
from monai_tff.errors import DatalistError, ScanError, UserError

_DESCRIPTION = {
    "Name": "Published TFF material",
    "BIDSVersion": "1.8.0",
    "DatasetType": "derivative",
    "GeneratedBy": [{"Name": "monai_tff", "Description": "converted from tensors of the published code"}],
}


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What became of the scans.

    Attributes:
        written: paths, relative to the folder, of scans that were converted.
        kept: of scans that were there already.
        faults: one sentence for each scan that was left out.
    """

    written: list[str]
    kept: list[str]
    faults: list[str]


def convert_published(
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    repetition_time: float,
    voxel_size: Sequence[float] = (2.0, 2.0, 2.0),
    axis_codes: str = "RAS",
    progress: bool = False,
) -> Conversion:
    """Converts published tensors to `sub-SUBJECT/func/sub-SUBJECT_task-rest[_run-RUN]_bold.nii.gz` with sidecars.

    Called again it converts what is missing, or was made from another source or with other values. A few frames are in
    memory at a time. Frames of the voxel normalisation, where they are there, must agree with the scan.

    Args:
        source: folder of the tensors, see `find_published`.
        folder: to write to.
        repetition_time: seconds; the tensors do not say it.
        voxel_size: mm along each axis; likewise.
        axis_codes: direction in which each axis of the tensors grows, that of the source: HCP's scans are `LAS`.
        progress: whether to show a progress bar.

    Returns:
        What was written, kept and left out.

    Raises:
        DatalistError: without scans, for values that make no grid, or a folder that cannot be written.

    Example:
        >>> convert_published("MNI_to_TRs", "hcp_published", repetition_time=0.72)  # doctest: +SKIP
    """
    root, size = Path(folder), (float(voxel_size[0]), float(voxel_size[1]), float(voxel_size[2]))
    if not (math.isfinite(repetition_time) and 0 < repetition_time < 100):
        raise DatalistError(f"repetition_time is {repetition_time:g}, expected seconds, such as 0.72.")
    centred_affine((1, 1, 1), size, axis_codes)
    scans, faults = find_published(source)
    found = Conversion([], [], faults)
    try:
        if not (root / "dataset_description.json").exists():
            write_json(root / "dataset_description.json", _DESCRIPTION)
        with _progress_bar(scans, progress) as advance:
            for scan in scans:
                _add(found, scan, root, _facts(scan, Path(source), repetition_time, size, axis_codes), advance)
    except OSError as error:
        done = len(found.written) + len(found.kept)
        raise DatalistError(
            f"{error.filename or root}: cannot be written ({error.strerror or error}), expected a folder with space "
            f"that you may write to; {done} of {len(scans)} scans are complete, call it again for the rest."
        ) from error
    return found


def _add(
    found: Conversion, scan: PublishedScan, root: Path, facts: dict[str, Any], advance: Callable[[int], None]
) -> None:
    """Converts a scan that is not there yet."""
    if is_complete(root / _name(scan), facts):
        found.kept.append(_name(scan))
        advance(_steps(scan))
        return
    try:
        _convert(scan, root / _name(scan), facts, advance)
        found.written.append(_name(scan))
    except UserError as error:
        found.faults.append(str(error))


def _name(scan: PublishedScan) -> str:
    run = "" if scan.run is None else f"_run-{scan.run}"
    return f"sub-{scan.subject}/func/sub-{scan.subject}_task-rest{run}_bold.nii.gz"


def _facts(
    scan: PublishedScan, source: Path, repetition_time: float, size: Sequence[float], axis_codes: str
) -> dict[str, Any]:
    """What a conversion depends on, as the sidecar has it."""
    first = scan.files[0] if scan.whole else scan.files[0].parent
    return {
        "TaskName": "rest",
        "RepetitionTime": repetition_time,
        "VoxelSize": list(size),
        "AxisCodes": axis_codes,
        "Sources": [first.relative_to(source).as_posix()],
        "SourceFiles": len(scan.files),
        "SourceBytes": sum(file.stat().st_size for file in scan.files),
        "SourceFormat": "whole scan" if scan.whole else "frames in the published global normalisation",
    }


def _convert(scan: PublishedScan, image: Path, facts: dict[str, Any], advance: Callable[[int], None]) -> None:
    """Writes one scan and its sidecar; the sidecar comes last and says that the scan is complete."""
    survey: Survey | None = None
    if scan.whole:
        whole = load_whole(scan.files[0])
        frames, number = _as_they_are(scan.files[0], whole), len(whole)
    else:
        survey = survey_frames(scan, advance)
        frames, number = restored_frames(scan, survey), len(scan.files)
    sidecar = image.with_name(image.name.removesuffix(".nii.gz") + ".json")
    sidecar.unlink(missing_ok=True)
    write_frames(
        image,
        frames if scan.whole else _counted(frames, advance),
        number,
        facts["VoxelSize"],
        facts["AxisCodes"],
        facts["RepetitionTime"],
    )
    advance(1 if scan.whole else 0)
    write_json(sidecar, {**facts, "BackgroundFill": None if survey is None else survey.fill})


def _counted(frames: Iterator[np.ndarray], advance: Callable[[int], None]) -> Iterator[np.ndarray]:
    for frame in frames:
        yield frame
        advance(1)


def _as_they_are(file: Path, scan: torch.Tensor) -> Iterator[np.ndarray]:
    """Frames of a whole scan [T, X, Y, Z], float32 [X, Y, Z] each."""
    for index, frame in enumerate(scan):
        if not torch.isfinite(frame).all():
            raise ScanError(
                f"{file}: frame {index} has NaN or infinite elements, expected finite ones; leave the scan out."
            )
        yield frame.to(torch.float32).numpy()


def _steps(scan: PublishedScan) -> int:
    """Steps of the progress bar: frames are read twice; how many a whole scan has is not known before."""
    return 1 if scan.whole else 2 * len(scan.files)


@contextlib.contextmanager
def _progress_bar(scans: Sequence[PublishedScan], shown: bool) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not shown) as bar:
        task = bar.add_task("Converting", total=sum(_steps(scan) for scan in scans))
        yield lambda steps: bar.advance(task, steps)
