"""What a whole reading of one scan shows: the facts that findings are made of."""

from __future__ import annotations

import dataclasses
import os
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from monai_tff.data.header import ScanHeader, header_repetition_time, open_nifti, read_header
from monai_tff.data.mask_files import check_mask_grid, find_mask
from monai_tff.data.quality_pass import VoxelPass
from monai_tff.data.sidecar import sidecar_repetition_time
from monai_tff.data.stream import stored_runs
from monai_tff.errors import ScanError, UserError

READ_BYTES = 2**21
"""Bytes of a scan that are read at once, one frame at least: what fits a processor's cache is read fastest."""


@dataclasses.dataclass(frozen=True)
class ScanJob:
    """A scan to read.

    Attributes:
        image: path of the scan.
        mask: path of the mask that its record names, or None.
        mask_policy: `auto` or `nonzero`.
    """

    image: str
    mask: str | None = None
    mask_policy: str = "auto"


@dataclasses.dataclass(frozen=True)
class ScanFacts:
    """What reading a scan from its first byte to its last shows; what could not be found out is None.

    Attributes:
        error: why the scan cannot be read, None where it can.
        mask_error: why its mask cannot be used, None where it can or there is none.
        header: its header, also of a scan whose voxels are damaged.
        header_repetition_time: seconds, as the header states it; None for 0.
        sidecar_repetition_time: seconds, of the BIDS sidecars.
        mask: name of the mask's file.
        mask_voxels: voxels of the mask.
        content: SHA-256 of the stored voxel bytes.
        background_fraction: share of all elements that are exactly 0.
        zero_voxels: voxels that are 0 in every frame.
        constant_voxels: voxels that have one value, not 0, in every frame.
        mask_zero_voxels: those of `zero_voxels` within the mask.
        mask_constant_voxels: those of `constant_voxels` within the mask.
        not_finite: elements that are NaN or infinite.
        not_finite_in_mask: those of them within the mask.
        first_not_finite_frame: number of the first frame with one, from 0.
        minimum: of the elements that are not 0, within the mask where there is one; the same for what follows.
        maximum: in the scan's units.
        mean: likewise.
        std: likewise.
        negative_fraction: share of negative elements.
        saturated_fraction: share of elements at the largest integer of the file's type.
        empty_frames: frames that are 0 everywhere.
        repeated_frames: frames that equal the one before.
        frames_before_steady_state: frames at the start that are brighter than the scan's median frame.
        megabytes: of the file.
        seconds: that reading took.
    """

    error: str | None = None
    mask_error: str | None = None
    header: ScanHeader | None = None
    header_repetition_time: float | None = None
    sidecar_repetition_time: float | None = None
    mask: str | None = None
    mask_voxels: int | None = None
    content: str | None = None
    background_fraction: float | None = None
    zero_voxels: int | None = None
    constant_voxels: int | None = None
    mask_zero_voxels: int | None = None
    mask_constant_voxels: int | None = None
    not_finite: int | None = None
    not_finite_in_mask: int | None = None
    first_not_finite_frame: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    std: float | None = None
    negative_fraction: float | None = None
    saturated_fraction: float | None = None
    empty_frames: int | None = None
    repeated_frames: int | None = None
    frames_before_steady_state: int | None = None
    megabytes: float | None = None
    seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The facts as plain numbers, texts and lists, the header's among them."""
        header = self.header
        known = {} if header is None else {"voxel_size": list(header.voxel_size), "axis_codes": header.axis_codes}
        scaling = {} if header is None else {"slope": header.slope, "intercept": header.intercept}
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "header"}
        return {
            "shape": None if header is None else list(header.shape),
            **{key: known.get(key) for key in ("voxel_size", "axis_codes")},
            "dtype": None if header is None else str(header.dtype),
            **{key: scaling.get(key) for key in ("slope", "intercept")},
            **own,
        }


def read_facts(job: ScanJob) -> ScanFacts:
    """Reads one scan whole, a few frames at a time.

    Args:
        job: the scan and what is known of its mask.

    Returns:
        The facts; whatever is wrong with the scan is in `error` and `mask_error`, nothing is raised.
    """
    began = time.perf_counter()
    known: dict[str, Any] = {}
    try:
        known["megabytes"] = round(os.path.getsize(job.image) / 1e6, 3) if os.path.exists(job.image) else None
        header = known["header"] = read_header(job.image)
        known["header_repetition_time"] = header_repetition_time(open_nifti(job.image))
        known["sidecar_repetition_time"] = sidecar_repetition_time(job.image)
        mask, about_mask = _mask_of(job, header)
        known |= about_mask
        voxels = VoxelPass(header, mask)
        for run in stored_runs(job.image, header, READ_BYTES):
            voxels.update(run)
        known |= voxels.facts()
    except UserError as error:
        known["error"] = _without_path(error, job.image)
    except Exception as error:  # one scan that breaks a library must not end the check of the others
        known["error"] = f"reading it failed ({type(error).__name__}: {error}); convert the scan again."
    return ScanFacts(**known, seconds=round(time.perf_counter() - began, 3))


def _mask_of(job: ScanJob, header: ScanHeader) -> tuple[np.ndarray | None, dict[str, Any]]:
    """The mask beside a scan as bool [X * Y * Z], the first axis fastest, and what there is to say about it."""
    if job.mask_policy != "auto":
        return None, {}
    try:
        path = find_mask(job.image, header) if job.mask is None else Path(job.mask)
        if path is None:
            return None, {}
        check_mask_grid(path, job.image, header)
        mask = _read_mask(path)
    except UserError as error:
        return None, {"mask": None if job.mask is None else Path(job.mask).name, "mask_error": str(error)}
    return mask, {"mask": path.name, "mask_voxels": int(mask.sum())}


def _read_mask(path: Path) -> np.ndarray:
    try:
        values = np.asarray(open_nifti(path).dataobj)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ScanError(
            f"{path}: the mask cannot be read ({str(error).rstrip('.')}), expected a complete file; copy it again."
        ) from error
    mask = (np.nan_to_num(values) != 0).reshape(-1, order="F")
    if not mask.any():
        raise ScanError(f"{path}: the mask holds no voxel, expected at least 1; give another mask.")
    return mask


def _without_path(error: UserError, image: str) -> str:
    """The sentence without the path of the scan, which stands beside it."""
    return str(error).removeprefix(f"{image}: ")
