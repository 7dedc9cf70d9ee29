"""The crop around the brains of a cohort: in RAS, with room, and none where it cannot be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_tff.data.records import make_record
from monai_tff.data.study_box import brain_box

GRID = (14, 15, 17)
AFFINE = np.diag([-3.0, 3.0, 4.0, 1.0])  # LAS: the first axis turns around on the way to RAS
BRAIN = (slice(2, 8), slice(4, 11), slice(3, 12))
NOISE = np.random.default_rng(0).integers(300, 900, (*GRID, 3)).astype(np.int16)


def write(folder: Path, number: int, brain: Any = BRAIN, affine: np.ndarray = AFFINE, background: int = 0) -> dict:
    values = np.full((*GRID, 3), background, np.int16)
    values[brain] = NOISE[brain]
    image = folder / f"sub-{number}_bold.nii.gz"
    nib.Nifti1Image(values, affine).to_filename(image)
    return make_record(image.name, str(number), str(number), "F")


def masked(folder: Path, record: dict, brain: Any = BRAIN, affine: np.ndarray = AFFINE) -> dict:
    mask = np.zeros(GRID, np.uint8)
    mask[brain] = 1
    path = folder / record["image"].replace("_bold", "_mask")
    nib.Nifti1Image(mask, affine).to_filename(path)
    return {**record, "mask": path.name}


def test_the_box_holds_the_brain_in_ras_with_room(tmp_path: Path) -> None:
    box = brain_box([write(tmp_path, number) for number in range(3)], tmp_path)
    # 6 mm are two voxels of 3 mm and, rounded, two of 4 mm; L to R: 2..8 of 14 becomes 6..12
    assert box.crop == [[4, 14], [2, 13], [1, 14]]
    assert box.spatial_size == (10, 11, 13)
    assert box.mask_voxels == 6 * 7 * 9
    assert box.why == "box around the masks of 3 scans with 6 mm of room"


def test_the_box_holds_the_brains_of_all_scans_read(tmp_path: Path) -> None:
    other = (slice(4, 10), slice(2, 9), slice(3, 12))
    box = brain_box([write(tmp_path, 0), write(tmp_path, 1, other)], tmp_path)
    assert box.crop == [[2, 14], [0, 13], [1, 14]]


def test_a_mask_beside_the_scan_counts_and_whole_axes_are_null(tmp_path: Path) -> None:
    brain = (slice(0, 14), slice(4, 11), slice(3, 12))
    records = [masked(tmp_path, write(tmp_path, number, background=50), brain) for number in range(2)]
    box = brain_box(records, tmp_path)
    assert box.crop == [None, [2, 13], [1, 14]]
    assert box.spatial_size == (14, 11, 13)
    # the policy `nonzero` looks past it, and all voxels are nonzero
    assert brain_box(records, tmp_path, mask="nonzero").crop is None


def test_scans_stored_in_another_order_have_the_same_box(tmp_path: Path) -> None:
    first, second = write(tmp_path, 0), write(tmp_path, 1)
    path = tmp_path / second["image"]
    image = nib.load(path)
    wanted = nib.orientations.axcodes2ornt("PSR")
    image.as_reoriented(
        nib.orientations.ornt_transform(nib.orientations.io_orientation(image.affine), wanted)
    ).to_filename(tmp_path / "turned_bold.nii.gz")
    turned = {**second, "image": "turned_bold.nii.gz"}
    assert brain_box([turned, first], tmp_path) == brain_box([first, second], tmp_path)


def test_scans_at_different_places_are_not_cropped(tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[1, 3] = 20
    box = brain_box([write(tmp_path, 0), write(tmp_path, 1, affine=moved)], tmp_path)
    assert (box.crop, box.spatial_size) == (None, GRID)
    assert box.why.startswith("no crop: the grids lie at different places")


def test_a_brain_up_to_the_edges_is_not_cropped(tmp_path: Path) -> None:
    whole = (slice(1, 13), slice(1, 14), slice(1, 16))
    box = brain_box([write(tmp_path, 0, whole)], tmp_path)
    assert (box.crop, box.spatial_size) == (None, GRID)
    assert box.why == "no crop: the masks reach the edges of the grid"


def test_a_brain_too_small_for_the_encoder_is_not_cropped(tmp_path: Path) -> None:
    small = (slice(5, 8), slice(5, 8), slice(5, 8))
    record = masked(tmp_path, write(tmp_path, 0), small)
    box = brain_box([record], tmp_path)
    assert box.crop is None
    assert "too small for the encoder" in box.why


def test_a_scan_without_signal_does_not_stop_the_others(tmp_path: Path) -> None:
    records = [write(tmp_path, number) for number in range(3)]
    nothing = write(tmp_path, 3, (slice(0, 0),) * 3)
    assert brain_box([*records, nothing], tmp_path).crop == [[4, 14], [2, 13], [1, 14]]
    box = brain_box([nothing], tmp_path)
    assert (box.crop, box.mask_voxels) == (None, None)
    assert "all elements are 0" in box.why


@pytest.mark.parametrize(("count", "read"), [(1, "1 scan"), (3, "3 scans"), (30, "4 scans")])
def test_few_scans_are_read(tmp_path: Path, count: int, read: str) -> None:
    records = [write(tmp_path, number) for number in range(count)]
    assert f"the masks of {read} with" in brain_box(records, tmp_path, scans=4).why
