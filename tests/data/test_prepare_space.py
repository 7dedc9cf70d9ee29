from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from monai_tff.contract import InputContract
from monai_tff.data.prepare_scan import prepare_scan
from monai_tff.data.prepare_space import check_space
from monai_tff.errors import ScanError

GRID = (7, 8, 9)
CONTRACT = InputContract(spatial_size=GRID, window_length=5, trim=2)


@pytest.fixture
def records(tmp_path: Path) -> list[dict]:
    found = [{"image": str(tmp_path / "gone.nii"), "scan": "gone.nii"}]
    for number in range(2):
        values = np.random.default_rng(number).integers(200, 9000, (*GRID, 12)).astype(np.int16)
        values[:2] = 0
        nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / f"run-{number}.nii")
        found.append({"image": str(tmp_path / f"run-{number}.nii"), "scan": f"run-{number}.nii"})
    return found


@pytest.mark.parametrize(("encoding", "width"), [("int16", 2), ("int8", 1), ("float32", 4)])
def test_what_is_missing_is_estimated(records: list[dict], tmp_path: Path, encoding: str, width: int) -> None:
    found = check_space(records, tmp_path / "new" / "packed", CONTRACT, encoding, None)
    assert (found.missing, found.likely) == (3, int(0.4 * (3 * 10 * 7 * 8 * 9 * width)))
    assert found.free > 0
    assert list((tmp_path / "new" / "packed").iterdir()) == []
    prepare_scan(records[1], tmp_path / "new" / "packed", CONTRACT, encoding)
    assert check_space(records, tmp_path / "new" / "packed", CONTRACT, encoding, None).missing == 2


def test_a_disk_without_the_least_space_is_refused(
    records: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # no test can fill a disk
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=3000))
    with pytest.raises(
        ScanError, match=r"packed: 0\.0 GB are free, expected about 0\.0 GB for 3 scans of 10 frames; free"
    ):
        check_space(records, tmp_path / "packed", CONTRACT, "int16", None)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=3100))
    found = check_space(records, tmp_path / "packed", CONTRACT, "int16", None)
    assert found.free < found.likely


def test_a_place_that_cannot_be_written_to_is_refused(records: list[dict], tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ScanError, match=r"taken/packed: packed scans cannot be written there \(Not a directory\)"):
        check_space(records, tmp_path / "taken" / "packed", CONTRACT, "int16", None)


def test_nothing_to_pack_needs_nothing(tmp_path: Path) -> None:
    assert check_space([], tmp_path / "packed", CONTRACT, "int16", None)[:2] == (0, 0)
