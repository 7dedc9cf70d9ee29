from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_tff.contract import InputContract
from monai_tff.data.cohort_check import check_cohort, check_headers
from monai_tff.data.content import content_hash
from monai_tff.data.prepare_scan import prepare_scan
from monai_tff.data.records import make_record
from monai_tff.data.splits import split_hash
from monai_tff.errors import ContractError, ScanError

AFFINE = np.diag([-2.0, 3.0, 4.0, 1.0])
CONTRACT = InputContract(
    spatial_size=(7, 6, 9),
    window_length=5,
    voxel_size=(2, 3, 4),
    crop=((None, None), (1, -1), (None, None)),
    trim=2,
    repetition_time=0.8,
)


@pytest.fixture
def records(tmp_path) -> list[dict]:
    return [
        {"image": str(write(tmp_path / f"sub-{i}_bold.nii.gz", (7, 8, 9, 8))), "tr": None, "mask": None}
        for i in range(4)
    ]


def write(path: Path, shape: tuple[int, ...], affine: np.ndarray = AFFINE, seconds: float = 0.8) -> Path:
    image = nib.Nifti1Image(np.ones(shape, np.uint8), affine)
    if len(shape) == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], seconds))
        image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return path


def test_good_scans_pass(records):
    check_headers(records, CONTRACT)
    check_headers([], CONTRACT)


@pytest.mark.parametrize(("shape", "affine", "seconds", "error", "words"), [
    ((7, 8, 9), AFFINE, 0.8, ScanError, "is 3D"),
    ((7, 8, 9, 6), AFFINE, 0.8, ContractError, "4 frames are left after dropping 2, expected at least 5"),
    ((7, 9, 9, 8), AFFINE, 0.8, ContractError, "grid after the crop is 7 x 7 x 9, expected 7 x 6 x 9"),
    ((7, 8, 9, 8), np.diag([-2.0, 3, 5, 1]), 0.8, ContractError, "voxel size is 2 x 3 x 5 mm"),
    ((7, 8, 9, 8), AFFINE, 2.0, ContractError, r"repetition time is 2 s, expected 0\.8 s"),
])  # fmt: skip
def test_each_fault_is_named(records, shape, affine, seconds, error, words):
    write(Path(records[2]["image"]), shape, affine, seconds)
    with pytest.raises(error, match=rf"sub-2_bold\.nii\.gz: .*{words}") as caught:
        check_headers(records, CONTRACT)
    assert "more of" not in str(caught.value)


def test_the_first_fault_comes_with_the_number_of_others(records):
    Path(records[1]["image"]).unlink()
    write(Path(records[2]["image"]), (7, 8, 9))
    write(Path(records[3]["image"]), (3, 8, 9, 8))
    with pytest.raises(ScanError, match=r"sub-1.*no such file.*\(2 more of 4 scans cannot be used either\)\.$"):
        check_headers(records, CONTRACT)


def test_masks_are_checked_unless_the_policy_ignores_them(records, tmp_path):
    records[0]["mask"] = str(write(tmp_path / "mask.nii.gz", (8, 7, 9)))
    with pytest.raises(ScanError, match=r"mask\.nii\.gz: the mask's shape is \(8, 7, 9\)"):
        check_headers(records, CONTRACT)
    nonzero = InputContract.from_dict({**CONTRACT.to_dict(), "mask": "nonzero"})
    check_headers(records, nonzero)
    records[0]["mask"] = None
    write(tmp_path / "sub-3_desc-brain_mask.nii.gz", (7, 8, 9), np.diag([2.0, 3, 4, 1]))
    with pytest.raises(ScanError, match=r"sub-3_desc-brain_mask\.nii\.gz"):
        check_headers(records, CONTRACT)


def test_a_packed_scan_of_another_cohort_with_the_same_path_is_refused(tmp_path: Path) -> None:
    packed_dir, records = tmp_path / "packed", []
    for number, cohort in enumerate("ab"):
        path = tmp_path / cohort / "sub-1_bold.nii.gz"
        path.parent.mkdir()
        values = np.random.default_rng(number).integers(1, 900, (7, 8, 9, 8)).astype(np.int16)
        values[0] = 0
        image = nib.Nifti1Image(values, AFFINE)
        image.header.set_zooms((2, 3, 4, 0.8))
        nib.save(image, path)
        records.append({"image": str(path), "scan": path.name, "tr": 0.8, "content": content_hash(path)})
    first, second = records
    assert prepare_scan(first, packed_dir, CONTRACT).status == "packed"
    # with its source gone the packed scan is all that there is, until another cohort takes its name
    Path(first["image"]).unlink()
    check_headers([first], CONTRACT, packed_dir=packed_dir)
    assert prepare_scan(second, packed_dir, CONTRACT).status == "packed"
    check_headers([second], CONTRACT, packed_dir=packed_dir)
    with pytest.raises(
        ScanError, match=r"a/sub-1_bold.nii.gz: the packed scan .* holds the voxels [0-9a-f]{12}\.\.\., "
    ):
        check_headers([first], CONTRACT, packed_dir=packed_dir)
    check_headers([{**first, "content": None}], CONTRACT, packed_dir=packed_dir)


def test_the_repetition_time_of_a_record_wins(records):
    records[0]["tr"] = 3.0
    with pytest.raises(ContractError, match=r"sub-0_bold.*repetition time is 3 s"):
        check_headers(records, CONTRACT)


def test_scans_in_another_orientation_are_checked_as_they_will_be(tmp_path):
    affine = np.array([[0, -2.0, 0, 0], [3.0, 0, 0, 0], [0, 0, 4.0, 0], [0, 0, 0, 1]])
    path = write(tmp_path / "run.nii.gz", (8, 7, 9, 8), affine)
    check_headers([{"image": path}], CONTRACT)


def write_datalist(folder: Path, denoising: str = "none", **changed: list[dict]) -> Path:
    """Six scans of 7 x 8 x 9 voxels, the last one a plane larger."""
    records = []
    for number in range(6):
        name = f"sub-{number}_bold.nii.gz"
        shape = (7, 8, 9, 5) if number < 5 else (7, 8, 10, 5)
        nib.save(nib.Nifti1Image(np.ones(shape, dtype=np.int16), np.eye(4)), folder / name)
        records.append(make_record(name, str(number), str(number), "FM"[number % 2]))
    sections = {"training": records[:2], "validation": records[2:4], "test": records[4:], "unlabelled": [], **changed}
    content = {
        "name": "tiny",
        "target": {"name": "sex", "kind": "binary", "class_names": ["F", "M"]},
        "grid": {},
        "denoising": denoising,
        "allowed": [],
        "split": {"hash": split_hash(sections)},
        "excluded": {},
        "faults": [],
        **sections,
        "others": [],
    }
    path = folder / "datalist.json"
    path.write_text(json.dumps(content))
    return path


def test_a_test_scan_is_checked_with_the_others(tmp_path: Path):
    contract = InputContract(spatial_size=(7, 8, 9), window_length=5)
    with pytest.raises(
        ContractError, match=r"sub-5_bold.nii.gz: the grid after the crop is 7 x 8 x 10, expected 7 x 8 x 9"
    ):
        check_cohort(write_datalist(tmp_path), tmp_path, contract)
    check_cohort(write_datalist(tmp_path, test=[]), tmp_path, contract)


@pytest.mark.parametrize(
    ("of_scans", "of_contract", "fits"),
    [
        ("none", "none", True),
        ("fix", "fix", True),
        ("none", "clean_img:simple", True),
        ("fix", "none", False),
        ("none", "fix", False),
        ("fix", "clean_img:simple", False),
    ],
)
def test_the_denoising_of_scans_and_contract(tmp_path: Path, of_scans: str, of_contract: str, fits: bool):
    contract = InputContract(spatial_size=(7, 8, 9), window_length=5, denoising=of_contract)
    path = write_datalist(tmp_path, of_scans, test=[])
    if fits:
        check_cohort(path, tmp_path, contract)
        return
    message = f"the denoising of its scans is '{of_scans}', but the input contract says '{of_contract}'; set"
    with pytest.raises(ContractError, match=message):
        check_cohort(path, tmp_path, contract)
