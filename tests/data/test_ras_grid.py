"""Grids compare the same whatever the order and direction in which they are stored."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_tff.data.header import read_header
from monai_tff.data.ras_grid import RasGrid, ras_grid

AFFINE = np.array([[-2.0, 0, 0, 6], [0, 3.0, 0, -12], [0, 0, 4.0, -16], [0, 0, 0, 1]])


def grid_of(folder: Path, codes: str = "LAS", affine: np.ndarray = AFFINE) -> RasGrid:
    image = nib.Nifti1Image(np.zeros((7, 8, 9, 2), np.int16), affine)
    wanted = nib.orientations.axcodes2ornt(codes)
    transform = nib.orientations.ornt_transform(nib.orientations.io_orientation(affine), wanted)
    image.as_reoriented(transform).to_filename(folder / f"{codes}.nii")
    header = read_header(folder / f"{codes}.nii")
    assert header.axis_codes == codes
    return ras_grid(header)


@pytest.mark.parametrize("codes", ["LAS", "RAS", "PSR", "SLP", "IAL"])
def test_the_stored_order_makes_no_difference(tmp_path: Path, codes: str) -> None:
    grid = grid_of(tmp_path, codes)
    assert (grid.shape, grid.voxel_size) == ((7, 8, 9), (2.0, 3.0, 4.0))
    # the corner that is furthest left, posterior and inferior
    np.testing.assert_allclose(grid.affine[:3, 3], [6 - 2 * 6, -12, -16])
    assert grid.has_size_of(grid_of(tmp_path))
    assert grid.is_at_place_of(grid_of(tmp_path))
    assert str(grid) == "7 x 8 x 9 voxels of 2 x 3 x 4 mm"


def test_other_sizes_and_places_differ(tmp_path: Path) -> None:
    grid = grid_of(tmp_path)
    larger = grid_of(tmp_path, affine=np.diag([-2.0, 3.0, 4.1, 1.0]))
    nearly = grid_of(tmp_path, affine=np.diag([-2.0, 3.0, 4.03, 1.0]))
    moved = grid_of(tmp_path, affine=AFFINE + np.outer([1, 0, 0, 0], [0, 0, 0, 2.5]))
    assert [other.has_size_of(grid) for other in (larger, nearly, moved)] == [False, True, True]
    assert not moved.is_at_place_of(grid)
    assert larger.size != grid.size
