from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from monai_tff.data import CompactScan, FrameCodes
from monai_tff.data.frame_codes import is_encoded, scan_digest
from monai_tff.errors import ScanError

NAME = "sub-01/func/sub-01_task-rest_bold.nii.gz"


def scan_of(seed: int = 0, num_frames: int = 11, **options) -> CompactScan:
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(1, 900, (num_frames, 3, 4, 2), generator=generator)
    mask = torch.ones(3, 4, 2, dtype=torch.bool)
    mask[2, 3] = options.pop("corner", True)
    return CompactScan.from_frames(frames, mask, **options)


@pytest.fixture
def codes(tmp_path: Path) -> FrameCodes:
    return FrameCodes(tmp_path / "codes")


@pytest.fixture
def written(codes: FrameCodes) -> torch.Tensor:
    """Codes [11, 5] of the scan, on disk."""
    path = codes.add(NAME, scan_of(), "weights")
    path.parent.mkdir(parents=True)
    values = torch.randn(11, 5)
    save_file({"codes": values}, path)
    return values


@given(start=st.integers(0, 10), length=st.integers(1, 11))
def test_a_window_of_codes(tmp_path_factory, start, length):
    codes = FrameCodes(tmp_path_factory.mktemp("codes"))
    values = torch.arange(55.0).reshape(11, 5)
    path = codes.add("bold.nii", scan_of(), "weights")
    save_file({"codes": values}, path)
    window = codes.window("bold.nii", start, min(length, 11 - start))
    assert torch.equal(window, values[start : start + length])
    # with memory of its own: it is sent to another process
    assert window.untyped_storage().nbytes() == window.nbytes


def test_a_file_is_named_after_the_scan(codes):
    path = codes.add(NAME, scan_of(), "weights")
    assert path.parent == codes.folder / "sub-01" / "func"
    assert path.name.startswith("sub-01_task-rest_bold__")
    assert path.suffix == ".safetensors"


@pytest.mark.parametrize("name", ["../../elsewhere/bold.nii.gz", "/data/bold.nii.gz"])
def test_a_name_does_not_lead_out_of_the_folder(codes, name):
    assert codes.folder.resolve() in codes.add(name, scan_of(), "weights").resolve().parents


def test_the_same_scan_and_weights_have_the_same_file(codes, tmp_path):
    assert codes.add(NAME, scan_of(), "w") == FrameCodes(tmp_path / "codes").add(NAME, scan_of(), "w")


OTHERS = {
    "another scan": scan_of(seed=1),
    "fewer frames": scan_of(num_frames=10),
    "another mask": scan_of(corner=False),
    "another encoding": scan_of(encoding="codes8"),
    "another scaling": scan_of(slope=2.0),
    "in another order": dataclasses.replace(scan_of(), values=scan_of().values.flip(0)),
    "one voxel": dataclasses.replace(scan_of(), voxel_mean=scan_of().voxel_mean + torch.eye(24)[3] * 1e-3),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_another_scan_is_another_file(codes, other):
    assert scan_digest(other) != scan_digest(scan_of())
    assert codes.add(NAME, other, "w") != codes.add(NAME, scan_of(), "w")


def test_other_weights_are_another_file(codes):
    assert codes.add(NAME, scan_of(), "v") != codes.add(NAME, scan_of(), "w")


def test_what_is_no_matter_of_voxels_changes_nothing():
    elsewhere = dataclasses.replace(scan_of(), source="other.nii", repetition_time=2.0, affine=torch.eye(4))
    assert scan_digest(elsewhere) == scan_digest(scan_of())


@pytest.mark.usefixtures("written")
def test_only_a_whole_file_counts(codes):
    path = codes.add(NAME, scan_of(), "weights")
    assert is_encoded(path, 11, 5)
    assert not is_encoded(path, 11, 6)
    assert not is_encoded(path, 12, 5)
    path.write_bytes(path.read_bytes()[:-4])
    assert not is_encoded(path, 11, 5)
    path.unlink()
    assert not is_encoded(path, 11, 5)


def test_a_scan_without_codes(codes):
    with pytest.raises(ScanError, match=r"b.nii: its frames were not encoded, expected codes in .*codes; only the"):
        codes.window("b.nii", 0, 3)


@pytest.mark.usefixtures("written")
def test_a_damaged_file_is_named(codes):
    path = codes.add(NAME, scan_of(), "weights")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ScanError, match=rf"{path}: cannot be read as codes of frames .*; remove it and continue"):
        codes.window(NAME, 0, 3)
