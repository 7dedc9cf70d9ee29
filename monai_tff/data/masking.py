"""Which voxels of a scan are kept: a mask file, a sibling, nonzero voxels, or nilearn's estimate."""

from __future__ import annotations

import os
import warnings
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch

from monai_tff.contract import MASK_POLICIES
from monai_tff.data.frames import StoredFrames
from monai_tff.data.header import ScanHeader, open_nifti, voxel_size_of
from monai_tff.data.mask_files import NONZERO_SHARE, check_mask_grid
from monai_tff.errors import ConfigError, ScanError

OPENING_MM = 6.0
"""How far the estimate is opened: nilearn's two steps at 3 mm. At 12 mm two steps would eat most of a brain."""

Path_ = str | os.PathLike[str]


def choose_mask(
    frames: Any,
    affine: Any,
    *,
    mask_file: Path_ | None = None,
    sibling: Path_ | None = None,
    policy: str = "auto",
    source: Path_ = "the scan",
) -> tuple[torch.Tensor, str]:
    """Chooses the mask of a scan on the grid on which it is stored.

    Policy `auto`: a given file; else a sibling file; else the voxels that are nonzero in any frame, if those are 10
    to 90 % of the grid; else nilearn's `compute_epi_mask` of the mean frame. Policy `nonzero`, the paper's recipe:
    the nonzero voxels, whatever files there are.

    Args:
        frames: trimmed scan [T, X, Y, Z], tensor or array, or `StoredFrames`.
        affine: [4, 4], voxel indices to mm.
        mask_file: mask that a record names.
        sibling: mask that lies beside the scan.
        policy: `auto` or `nonzero`.
        source: the scan's file, for messages.

    Returns:
        bool [X, Y, Z], and where it comes from: `file NAME`, `sibling NAME`, `nonzero voxels` or `compute_epi_mask`.

    Raises:
        ScanError: for a mask on another grid, unreadable or empty, or a scan that is 0 everywhere.
        ConfigError: for an unknown policy.
    """
    if policy not in MASK_POLICIES:
        raise ConfigError(f"mask is '{policy}', expected one of {', '.join(MASK_POLICIES)}.")
    frames = frames if isinstance(frames, StoredFrames) else StoredFrames(frames)
    affine = np.asarray(affine, dtype=np.float64)
    known = known_mask(frames.shape, affine, mask_file=mask_file, sibling=sibling, policy=policy, source=source)
    if known is not None:
        return known
    nonzero = frames.nonzero()
    share = float(nonzero.float().mean())
    if share == 0:
        raise ScanError(f"{source}: all elements are 0, expected a scan with signal; check the file.")
    low, high = NONZERO_SHARE
    if policy == "nonzero" or low <= share <= high:
        return nonzero, "nonzero voxels"
    return _estimated(nonzero, frames.mean(), affine, source), "compute_epi_mask"


def known_mask(
    shape: tuple[int, int, int, int],
    affine: Any,
    *,
    mask_file: Path_ | None = None,
    sibling: Path_ | None = None,
    policy: str = "auto",
    source: Path_ = "the scan",
) -> tuple[torch.Tensor, str] | None:
    """The mask of a scan where a file holds it, before any frame is read; None where the frames decide.

    Args:
        shape: of the trimmed scan, [T, X, Y, Z].
        affine: as for `choose_mask`, like everything else.
        mask_file: mask that a record names.
        sibling: mask that lies beside the scan.
        policy: `auto` or `nonzero`.
        source: the scan's file, for messages.

    Returns:
        bool [X, Y, Z], and `file NAME` or `sibling NAME`.

    Raises:
        ScanError: for a mask on another grid, unreadable or empty.
    """
    if policy == "auto":
        for kind, path in (("file", mask_file), ("sibling", sibling)):
            if path is not None:
                mask = _read_mask(path, shape, np.asarray(affine, dtype=np.float64), source)
                return mask, f"{kind} {Path(path).name}"
    return None


def _read_mask(path: Path_, shape: tuple[int, int, int, int], affine: np.ndarray, source: Path_) -> torch.Tensor:
    num_frames, *grid = shape
    header = ScanHeader(
        shape=(grid[0], grid[1], grid[2], num_frames),
        voxel_size=voxel_size_of(affine),
        axis_codes="".join(nib.orientations.aff2axcodes(affine)),
        repetition_time=None,
        slope=1.0,
        intercept=0.0,
        dtype=np.dtype(np.float32),
        affine=affine,
    )
    check_mask_grid(path, source, header)
    try:
        values = np.asarray(open_nifti(path).dataobj)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ScanError(
            f"{path}: the mask cannot be read ({str(error).rstrip('.')}), expected a complete file; copy it again."
        ) from error
    mask = torch.from_numpy(np.ascontiguousarray(np.nan_to_num(values.reshape(grid)) != 0))
    if not bool(mask.any()):
        raise ScanError(f"{path}: the mask holds no voxel, expected at least 1; give another mask.")
    return mask


def _estimated(nonzero: torch.Tensor, mean: torch.Tensor, affine: np.ndarray, source: Path_) -> torch.Tensor:
    """Estimate of nilearn from the mean frame, without the voxels that are always 0."""
    # nilearn takes a second to import, and most scans need no estimate
    from nilearn.masking import compute_epi_mask

    finite = torch.nan_to_num(mean, posinf=0.0, neginf=0.0).numpy().astype(np.float32)
    opening = min(2, int(OPENING_MM / max(voxel_size_of(affine))))
    with warnings.catch_warnings():
        # its warning about an empty mask is the error below
        warnings.filterwarnings("ignore", category=UserWarning, module="nilearn")
        image = compute_epi_mask(nib.Nifti1Image(finite, affine), opening=opening or False)
    mask = torch.from_numpy(np.ascontiguousarray(np.asarray(image.dataobj) != 0)) & nonzero
    if not bool(mask.any()):
        raise ScanError(
            f"{source}: nilearn finds no brain in its mean frame, and its nonzero voxels are not 10 to 90 % of the "
            "grid, expected one of the two; give a mask file, or mask: nonzero."
        )
    return mask
