"""The scans of a cohort that go together: the grid of the most, long enough, and readable."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_tff.data.cohorts import Cohort
from monai_tff.data.records import Record, make_record
from monai_tff.data.study_cohort import usable_cohort
from monai_tff.errors import DatalistError

AFFINE = np.diag([-2.0, 3.0, 4.0, 1.0])


def write(folder: Path, name: str, shape: tuple[int, ...] = (7, 8, 9, 12), affine: np.ndarray = AFFINE) -> Record:
    image = nib.Nifti1Image(np.ones(shape, np.int16), affine)
    image.header.set_zooms((*image.header.get_zooms()[:3], 2.0)[: len(shape)])
    image.to_filename(folder / f"{name}_bold.nii")
    return make_record(f"{name}_bold.nii", name, name, "F")


def test_the_majority_s_grid_is_used_and_the_rest_named(tmp_path: Path) -> None:
    good = [write(tmp_path, f"sub-{number}") for number in range(3)]
    turned = write(tmp_path, "sub-3", affine=np.diag([2.0, 3.0, 4.0, 1.0]))
    other = write(tmp_path, "sub-4", (7, 8, 10, 12))
    larger = write(tmp_path, "sub-5", affine=np.diag([-2.0, 3.0, 4.5, 1.0]))
    short = write(tmp_path, "sub-6", (7, 8, 9, 7))
    flat = write(tmp_path, "sub-7", (7, 8, 9))
    missing = make_record("sub-8_bold.nii", "sub-8", "sub-8", "F")
    unlabelled = [{**write(tmp_path, "sub-9"), "label": None}, {**other, "label": None}]
    found = usable_cohort(
        Cohort([*good, turned, other, larger, short, flat, missing], unlabelled=unlabelled, faults=["row 3."]), tmp_path
    )
    assert [record["subject"] for record in found.cohort.records] == ["sub-0", "sub-1", "sub-2", "sub-3"]
    assert [record["subject"] for record in found.cohort.unlabelled] == ["sub-9"]
    assert [header.axis_codes for header in found.headers] == ["LAS", "LAS", "LAS", "RAS"]
    assert (found.grid.shape, found.grid.voxel_size) == ((7, 8, 9), (2.0, 3.0, 4.0))
    assert {record["tr"] for record in found.cohort.records} == {2.0}
    first, *faults = found.cohort.faults
    assert first == "row 3."
    words = [
        "sub-4_bold.nii: the grid is 7 x 8 x 10 voxels of 2 x 3 x 4 mm, expected 7 x 8 x 9 voxels of 2 x 3 x 4 mm",
        "sub-5_bold.nii: the grid is 7 x 8 x 9 voxels of 2 x 3 x 4.5 mm",
        "sub-6_bold.nii: has 7 frames, expected at least 8",
        "sub-7_bold.nii: is 3D",
        "sub-8_bold.nii: there is no such file",
        "sub-4_bold.nii: the grid is",
    ]
    assert [word in fault for word, fault in zip(words, faults, strict=True)] == [True] * 6


def test_the_records_given_are_left_as_they_are(tmp_path: Path) -> None:
    record = write(tmp_path, "sub-0")
    usable_cohort(Cohort([record]), tmp_path)
    assert record["tr"] is None


def test_scans_that_are_in_no_datalist_are_dropped(tmp_path: Path) -> None:
    found = usable_cohort(Cohort([write(tmp_path, "sub-0"), write(tmp_path, "sub-1", (7, 8, 9, 20))]), tmp_path)
    kept = found.only({"sub-1_bold.nii"})
    assert [record["subject"] for record in kept.cohort.records] == ["sub-1"]
    assert [header.num_frames for header in kept.headers] == [20]


def test_no_usable_scan_is_an_error(tmp_path: Path) -> None:
    missing = make_record("sub-8_bold.nii", "sub-8", "sub-8", "F")
    with pytest.raises(DatalistError, match=r"none of 1 scans can be used; the first: .*there is no such file"):
        usable_cohort(Cohort([missing]), tmp_path)
    short = write(tmp_path, "sub-6", (7, 8, 9, 7))
    with pytest.raises(DatalistError, match=r"none of 1 labelled scans is usable; the first: .*has 7 frames"):
        usable_cohort(Cohort([short]), tmp_path)
