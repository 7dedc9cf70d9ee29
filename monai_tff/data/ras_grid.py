"""The grid of a scan brought to RAS, so that the stored order of the axes makes no difference between scans."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import nibabel as nib
import numpy as np

from monai_tff.contract import VOXEL_SIZE_TOLERANCE
from monai_tff.data.header import ScanHeader

PLACE_TOLERANCE = 1.0
"""Largest distance between corners of two grids at one place, in voxels."""


class RasGrid(NamedTuple):
    """Shape, voxel size and place of a grid, its axes in the order and direction of RAS.

    Attributes:
        shape: voxels per axis.
        voxel_size: mm per axis.
        affine: [4, 4], voxel indices to mm.
    """

    shape: tuple[int, int, int]
    voxel_size: tuple[float, float, float]
    affine: np.ndarray

    @property
    def size(self) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Shape and rounded voxel size, to count equal grids by."""
        # headers store float32
        return self.shape, tuple(round(size, 2) for size in self.voxel_size)

    def has_size_of(self, other: RasGrid) -> bool:
        """Whether shapes are equal and voxel sizes within 1 %."""
        pairs = zip(self.voxel_size, other.voxel_size, strict=True)
        return self.shape == other.shape and not any(abs(a - b) > VOXEL_SIZE_TOLERANCE * b for a, b in pairs)

    def is_at_place_of(self, other: RasGrid) -> bool:
        """Whether the corners of two grids of one size are where those of the other are, to a voxel."""
        corners = np.array(list(itertools.product(*[(0, size - 1) for size in self.shape])))
        apart = nib.affines.apply_affine(self.affine, corners) - nib.affines.apply_affine(other.affine, corners)
        return bool(np.linalg.norm(apart, axis=1).max() <= PLACE_TOLERANCE * min(self.voxel_size))

    def __str__(self) -> str:
        """The grid in words."""
        return f"{_times(self.shape)} voxels of {_times(self.voxel_size)} mm"


def ras_grid(header: ScanHeader) -> RasGrid:
    """The grid that a scan has once it is reoriented to RAS.

    Args:
        header: of the scan.

    Returns:
        Its grid.
    """
    orientation = nib.orientations.io_orientation(header.affine)
    affine = header.affine @ nib.orientations.inv_ornt_aff(orientation, header.spatial_shape)
    x, y, z = (int(np.flatnonzero(orientation[:, 0] == axis)[0]) for axis in range(3))
    shape, size = header.spatial_shape, header.voxel_size
    return RasGrid((shape[x], shape[y], shape[z]), (size[x], size[y], size[z]), affine)


def _times(sizes: tuple[float, ...]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)
