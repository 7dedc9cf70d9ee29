"""Maps as NIfTI files in the space of the scans."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from monai_tff.handlers.files import replaced_file


def write_map(path: Path, values: NDArray, affine: NDArray[np.float64]) -> None:
    """Writes a map in one step.

    The map lies on the network's grid, which is the scan's after orientation and crop; its affine says where that is,
    so that a voxel has the place in mm that it has in the scan.

    Args:
        path: ends in `.nii.gz`.
        values: `[H, W, D]`.
        affine: of the compact scan, voxel indices to mm, `[4, 4]`.
    """
    image = nib.nifti1.Nifti1Image(np.asarray(values, dtype=np.float32), affine)
    image.header.set_xyzt_units("mm")
    # the same map gives the same bytes: gzip would note the time
    with replaced_file(path) as file:
        file.write(gzip.compress(image.to_bytes(), mtime=0))


def read_map(path: Path) -> tuple[NDArray, NDArray]:
    """Values `[H, W, D]` and affine of a map."""
    image = nib.nifti1.Nifti1Image.from_filename(path)
    return image.get_fdata(), image.affine
