"""Brain masks that lie beside a scan, and the check that a mask has the scan's grid."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import nibabel as nib
import numpy as np

from monai_tff.data.bids_names import NIFTI_EXTENSIONS, split_extension
from monai_tff.data.header import ScanHeader, open_nifti
from monai_tff.errors import ScanError

NONZERO_SHARE = (0.10, 0.90)
"""Share of the grid within which nonzero voxels can be a brain: fewer is a damaged scan, more is no background."""

CORNER_TOLERANCE = 0.05
"""Largest distance between corners of two grids that count as equal, in voxels: header rounding, not another grid."""

_HCP_MASK = "brainmask_fs.2"


def find_mask(image: str | os.PathLike[str], header: ScanHeader) -> Path | None:
    """Finds the mask that was delivered beside a scan.

    In this order: `..._desc-brain_mask` (fMRIPrep), `..._brainmask` (older fMRIPrep and others), `brainmask_fs.2`
    (Human Connectome Project).

    Args:
        image: the scan.
        header: its header.

    Returns:
        The mask's path, or None where the scan has no sibling mask.

    Raises:
        ScanError: for a sibling on another grid or that cannot be read; it is never left out in silence.
    """
    folder = Path(image).parent
    for stem, extension in itertools.product(_mask_stems(image), NIFTI_EXTENSIONS):
        candidate = folder / f"{stem}{extension}"
        if candidate.is_file():
            check_mask_grid(candidate, image, header)
            return candidate
    return None


def check_mask_grid(mask: str | os.PathLike[str], image: str | os.PathLike[str], header: ScanHeader) -> None:
    """Checks that a mask has the shape and the affine of a scan.

    Args:
        mask: 3D NIfTI file (a fourth axis of size 1 is accepted).
        image: the scan, for the message.
        header: the scan's header.

    Raises:
        ScanError: naming both files and both grids.
    """
    found = open_nifti(mask)
    shape = tuple(int(size) for size in found.shape)
    if len(shape) == 4 and shape[3] == 1:
        shape = shape[:3]
    way_out = (
        "resample the mask to the scan's grid (nearest neighbour), move it away, or choose the mask policy 'nonzero'."
    )
    if shape != header.spatial_shape:
        raise ScanError(
            f"{mask}: the mask's shape is {shape}, expected {header.spatial_shape} as in the scan {image}; {way_out}"
        )
    distance = _corner_distance(found.affine, header.affine, header.spatial_shape)
    if distance > CORNER_TOLERANCE * min(header.voxel_size):
        raise ScanError(
            f"{mask}: the mask has the shape {shape} of the scan {image}, but its affine puts it up to "
            f"{distance:.3g} mm away ({_axes(found.affine)} against {header.axis_codes}), expected the same affine; "
            f"{way_out}"
        )


def _mask_stems(image: str | os.PathLike[str]) -> list[str]:
    """Names, without extension, that a mask of this scan can have; the preferred one first."""
    stem, _ = split_extension(image)
    words = stem.split("_")
    # the last word is the suffix (`bold`, `preproc`) in BIDS names; elsewhere it may be part of the name
    base = [word for word in words[:-1] if not word.startswith("desc-")]
    return [
        "_".join([*base, "desc-brain_mask"]),
        "_".join([*base, "brainmask"]),
        f"{stem}_brainmask",
        f"{stem}_desc-brain_mask",
        _HCP_MASK,
    ]


def _corner_distance(first: np.ndarray, second: np.ndarray, shape: tuple[int, int, int]) -> float:
    """Largest distance in mm between the same corner of two grids of one shape."""
    corners = np.array(list(itertools.product(*[(0, size - 1) for size in shape])))
    difference = nib.affines.apply_affine(first, corners) - nib.affines.apply_affine(second, corners)
    return float(np.linalg.norm(difference, axis=1).max())


def _axes(affine: np.ndarray) -> str:
    return "".join(nib.orientations.aff2axcodes(affine))
