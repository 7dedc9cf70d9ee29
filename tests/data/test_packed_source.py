"""A packed scan is used only while its scan, header and mask are what they were."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_tff.contract import InputContract
from monai_tff.data.loading import LoadScand, load_scan
from monai_tff.data.prepare_scan import prepare_scan
from monai_tff.errors import ContractError, ScanError

GRID = (7, 8, 9)
CONTRACT = InputContract(spatial_size=GRID, window_length=5, repetition_time=0.8)


def write_scan(path: Path, seed: int = 5, slope: float | None = None, compressed_by: int = 1) -> Path:
    values = np.random.default_rng(seed).integers(200, 9000, (*GRID, 6)).astype(np.int16)
    values[:2] = 0
    image = nib.Nifti1Image(values, np.diag([3.0, 3.0, 4.0, 1.0]))
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 0.8
    if slope is not None:
        image.header.set_slope_inter(slope, 0)
    old = nib.openers.Opener.default_compresslevel
    nib.openers.Opener.default_compresslevel = compressed_by
    nib.save(image, path)
    nib.openers.Opener.default_compresslevel = old
    return path


def write_mask(path: Path, start: int = 3) -> Path:
    mask = np.zeros(GRID, np.uint8)
    mask[start:6, 1:7, 2:8] = 1
    nib.save(nib.Nifti1Image(mask, np.diag([3.0, 3.0, 4.0, 1.0])), path)
    return path


@pytest.fixture
def record(tmp_path: Path) -> dict:
    return {"image": str(write_scan(tmp_path / "run.nii.gz")), "scan": "run.nii.gz"}


def load(record: dict, tmp_path: Path, contract: InputContract = CONTRACT) -> dict:
    return LoadScand("image", contract, packed_dir=str(tmp_path / "packed"))(record)


def later(path: str | Path) -> None:
    """Moves the time of change on, as a copy does."""
    os.utime(path, ns=(0, os.stat(path).st_mtime_ns + 10**9))


def test_what_is_not_packed_says_how(record: dict, tmp_path: Path) -> None:
    with pytest.raises(ScanError, match=r"run\.nii\.gz: there is no packed scan .*run `python -m monai_tff prepare`"):
        load(record, tmp_path)


@pytest.mark.parametrize("change", ["touched", "compressed anew"])
def test_a_copy_with_the_same_voxels_is_still_its_source(record: dict, tmp_path: Path, change: str) -> None:
    prepare_scan(record, tmp_path / "packed", CONTRACT)
    if change == "compressed anew":
        size = os.stat(record["image"]).st_size
        write_scan(Path(record["image"]), compressed_by=9)
        assert os.stat(record["image"]).st_size != size
    later(record["image"])
    assert load(record, tmp_path)["image"].num_frames == 6
    assert prepare_scan(record, tmp_path / "packed", CONTRACT).status == "present"


@pytest.mark.parametrize(("change", "words"), [
    ({"seed": 6}, "the voxels of its scan have changed"), ({"slope": 0.5}, "the header of its scan has changed"),
])  # fmt: skip
def test_a_changed_scan_is_refused_and_packed_anew(record: dict, tmp_path: Path, change: dict, words: str) -> None:
    prepare_scan(record, tmp_path / "packed", CONTRACT)
    old = load(record, tmp_path)["image"]
    write_scan(Path(record["image"]), **change)
    later(record["image"])
    with pytest.raises(ScanError, match=rf"run\.nii\.gz: {words} since it was packed into .*run `python -m monai_tff"):
        load(record, tmp_path)
    assert prepare_scan(record, tmp_path / "packed", CONTRACT).status == "packed"
    new = load(record, tmp_path)["image"]
    assert torch.equal(new.unpack(), load_scan(record["image"], CONTRACT)[0].unpack())
    # a process that has mapped the old file keeps it
    assert not torch.equal(old.unpack(), new.unpack()) or change != {"seed": 6}


def test_a_changed_mask_is_refused_and_packed_anew(record: dict, tmp_path: Path) -> None:
    record["mask"] = str(write_mask(tmp_path / "m.nii"))
    prepare_scan(record, tmp_path / "packed", CONTRACT)
    later(record["mask"])
    assert int(load(record, tmp_path)["image"].mask.sum()) == 3 * 6 * 6
    write_mask(tmp_path / "m.nii", start=4)
    later(record["mask"])
    with pytest.raises(ScanError, match="its mask has changed since"):
        load(record, tmp_path)
    assert prepare_scan(record, tmp_path / "packed", CONTRACT).status == "packed"
    assert int(load(record, tmp_path)["image"].mask.sum()) == 2 * 6 * 6


def test_a_mask_that_came_later_is_noticed(record: dict, tmp_path: Path) -> None:
    prepare_scan(record, tmp_path / "packed", CONTRACT)
    nonzero = dataclasses.replace(CONTRACT, mask="nonzero")
    prepare_scan(record, tmp_path / "packed", nonzero)
    write_mask(tmp_path / "run_brainmask.nii")
    with pytest.raises(ScanError, match=r"there is another mask beside the scan now, run_brainmask\.nii"):
        load(record, tmp_path)
    assert load(record, tmp_path, nonzero)["mask_source"] == "nonzero voxels"
    assert prepare_scan(record, tmp_path / "packed", CONTRACT).status == "packed"
    assert load(record, tmp_path)["mask_source"] == "sibling run_brainmask.nii"


def test_without_its_source_a_packed_scan_is_used_as_it_is(record: dict, tmp_path: Path) -> None:
    prepare_scan(record, tmp_path / "packed", CONTRACT)
    before = load(record, tmp_path)
    os.unlink(record["image"])
    after = load(record, tmp_path)
    assert torch.equal(after["image"].unpack(), before["image"].unpack())
    assert after["image"].source == record["image"]
    assert prepare_scan(record, tmp_path / "packed", CONTRACT).status == "present"


def test_the_contract_is_checked_when_it_is_opened(record: dict, tmp_path: Path) -> None:
    prepare_scan(record, tmp_path / "packed", CONTRACT)
    for change, words in (
        ({"window_length": 7}, "6 frames are left after dropping 0, expected at least 7"),
        ({"repetition_time": 2.0}, "repetition time is 0.8 s, expected 2 s"),
        ({"voxel_size": (3, 3, 3)}, "voxel size is 3 x 3 x 4 mm, expected 3 x 3 x 3 mm"),
    ):
        with pytest.raises(ContractError, match=words):
            load(record, tmp_path, dataclasses.replace(CONTRACT, **change))
    # the record wins over what was found when it was packed
    allowed = dataclasses.replace(CONTRACT, tr_policy="allow")
    assert load({**record, "tr": 2.5}, tmp_path, allowed)["image"].repetition_time == 2.5


def test_mapped_or_in_memory(record: dict, tmp_path: Path) -> None:
    prepare_scan(record, tmp_path / "packed", CONTRACT)
    maps = {}
    for memory_map in (True, False):
        loaded = LoadScand("image", CONTRACT, packed_dir=str(tmp_path / "packed"), memory_map=memory_map)(record)[
            "image"
        ]
        maps[memory_map] = f"{tmp_path}/packed/" in Path("/proc/self/maps").read_text()
        assert loaded.num_frames == 6
        del loaded
    assert maps == {True: True, False: False}
