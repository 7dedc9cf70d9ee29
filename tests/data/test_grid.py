from __future__ import annotations

import io
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_tff.data.grid import note_headers, summarise_grid
from monai_tff.errors import DatalistError, ScanError


def save(path: Path, shape: tuple[int, ...] = (7, 8, 9, 4), size: float = 3.0, seconds: float = 2.0) -> dict[str, Any]:
    image = nib.Nifti1Image(np.ones(shape, np.int16), np.diag([-size, 3, 3.3, 1]))
    if len(shape) == 4:
        image.header.set_zooms((size, 3, 3.3, seconds))
    path.parent.mkdir(exist_ok=True)
    nib.save(image, path)
    return {"image": f"{path.parent.name}/{path.name}", "tr": None, "mask": None}


def describe(records: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """What the headers have in common; a fault is raised."""
    headers = []
    for header in note_headers(records, folder):
        if isinstance(header, ScanError):
            raise header
        headers.append(header)
    return summarise_grid(headers)


def test_facts_that_all_scans_share(tmp_path: Path) -> None:
    sections = {
        "training": [save(tmp_path / "a" / "one_bold.nii"), save(tmp_path / "a" / "two_bold.nii", (7, 8, 9, 6))],
        "test": [save(tmp_path / "b" / "three_bold.nii")],
    }
    save(tmp_path / "a" / "two_desc-brain_mask.nii", (7, 8, 9))
    assert describe([*sections["training"], *sections["test"]], tmp_path) == {
        "shape": [7, 8, 9],
        "voxel_size": [3.0, 3.0, 3.3],
        "axis_codes": "LAS",
        "repetition_time": 2.0,
        "frames": [4, 6],
        "counts": {},
    }
    assert [record["tr"] for record in sections["training"]] == [2.0, 2.0]
    assert [record["mask"] for record in sections["training"]] == [None, "a/two_desc-brain_mask.nii"]


def test_facts_that_differ_are_counted(tmp_path: Path) -> None:
    records = [
        save(tmp_path / "a" / "one_bold.nii"),
        save(tmp_path / "a" / "two_bold.nii"),
        save(tmp_path / "a" / "three_bold.nii", (8, 8, 9, 4), size=2.5, seconds=0),
    ]
    grid = describe(records, tmp_path)
    assert (grid["shape"], grid["voxel_size"], grid["repetition_time"]) == (None, None, None)
    assert grid["axis_codes"] == "LAS"
    assert grid["counts"] == {
        "shape": {"7 x 8 x 9": 2, "8 x 8 x 9": 1},
        "voxel_size": {"3 x 3 x 3.3": 2, "2.5 x 3 x 3.3": 1},
        "repetition_time": {"2": 2, "unknown": 1},
    }
    assert [record["tr"] for record in records] == [2.0, 2.0, None]


def test_nonzero_notes_no_mask(tmp_path: Path) -> None:
    record = save(tmp_path / "a" / "one_bold.nii")
    save(tmp_path / "a" / "one_desc-brain_mask.nii", (5, 5, 5))  # on another grid, and not asked for
    note_headers([record], tmp_path, mask="nonzero")
    assert record["mask"] is None


def test_a_mask_that_a_record_names_is_kept_and_checked(tmp_path: Path) -> None:
    record = save(tmp_path / "a" / "one_bold.nii")
    save(tmp_path / "a" / "brain.nii", (7, 8, 9))
    record["mask"] = "a/brain.nii"
    note_headers([record], tmp_path)
    assert record["mask"] == "a/brain.nii"
    save(tmp_path / "a" / "brain.nii", (7, 8, 8))
    with pytest.raises(ScanError, match=r"brain\.nii: the mask's shape is \(7, 8, 8\), expected \(7, 8, 9\)"):
        describe([record], tmp_path)


def test_each_fault_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    records = [save(tmp_path / "a" / f"{number}_bold.nii", (7, 8, 9)) for number in range(2)]
    records.insert(1, save(tmp_path / "a" / "good_bold.nii"))
    first, good, last = note_headers(records, tmp_path)
    assert isinstance(first, ScanError)
    assert isinstance(last, ScanError)
    assert "0_bold.nii: is 3D with shape (7, 8, 9)" in str(first)
    assert "1_bold.nii: is 3D with shape (7, 8, 9)" in str(last)
    assert not isinstance(good, ScanError)
    assert good.num_frames == 4
    assert [record["tr"] for record in records] == [None, 2.0, None]


def test_an_unknown_mask_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="mask is 'none', expected one of auto, nonzero"):
        note_headers([], tmp_path, mask="none")


def test_progress_goes_to_stderr_and_only_when_asked(tmp_path: Path) -> None:
    records = [save(tmp_path / "a" / "one_bold.nii")]
    for progress in (False, True):
        with redirect_stderr(io.StringIO()) as shown:
            note_headers(records, tmp_path, progress=progress)
        assert bool(shown.getvalue()) is progress
