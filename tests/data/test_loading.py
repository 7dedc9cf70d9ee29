from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose

from monai_tff.contract import InputContract
from monai_tff.data.loading import LoadScand, load_scan
from monai_tff.errors import ContractError, ScanError, user_error_in
from monai_tff.transforms.intensity import two_channels

REALDATA = (Path(__file__).parents[2] / ".." / "shared" / "realdata").resolve()
needs_realdata = pytest.mark.skipif(
    not REALDATA.exists(), reason="the real scans of ../shared/realdata are not beside the project"
)
GRID = (9, 10, 11)
CONTRACT = InputContract(spatial_size=(6, 8, 7), window_length=5, crop=((2, -1), (None, 8), (1, -3)), trim=3)


def oblique(codes: str) -> np.ndarray:
    """An affine of 3 x 4 x 5 mm voxels, tilted by some degrees, with axes that grow as the codes say."""
    angle = 0.2
    tilt = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    flips = nib.orientations.axcodes2ornt(codes)
    turn = np.zeros((3, 3))
    for stored, (axis, sign) in enumerate(flips):
        turn[int(axis), stored] = sign
    affine = np.eye(4)
    affine[:3, :3] = tilt @ np.diag([3.0, 4.0, 5.0]) @ turn
    affine[:3, 3] = [-7, 11, -13]
    return affine


def write_scan(
    path: Path, codes: str = "LAS", dtype: str = "<i2", slope: float | None = None, num_frames: int = 15
) -> np.ndarray:
    """Writes a scan of the grid 9 x 10 x 11 in RAS and gives its real values [T, X, Y, Z] in that orientation."""
    generator = np.random.default_rng(5)
    integers = generator.integers(200, 9000, (*GRID, num_frames)).astype(np.int16)
    integers[:2] = 0
    integers[5, 5, 5, 7] = 0
    to_codes = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(codes)
    )
    stored = nib.orientations.apply_orientation(integers, to_codes).astype(dtype)
    header = nib.Nifti1Header(endianness=">" if dtype.startswith(">") else "<")
    header.set_data_dtype(np.dtype(dtype))
    image = nib.Nifti1Image(stored, oblique(codes), header)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 0.8
    if slope is not None:
        image.header.set_slope_inter(slope, 0)
    nib.save(image, path)
    return np.moveaxis(integers, -1, 0) * np.float64(np.float32(slope or 1))


def prepared(real: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(real[3:, 2:-1, :8, 1:-3])).float()


@pytest.mark.parametrize("reader", [None, "ITKReader"])
@pytest.mark.parametrize(("codes", "dtype", "slope"), [
    ("RAS", "<i2", None), ("LAS", "<i2", 1.25), ("LPS", ">i2", 0.7), ("PLS", "<f4", None), ("SAR", ">i2", None),
])  # fmt: skip
def test_loaded_scan_equals_the_direct_computation(tmp_path, reader, codes, dtype, slope):
    real = write_scan(tmp_path / "run.nii.gz", codes, dtype, slope)
    record = LoadScand("image", CONTRACT, reader=reader)({"image": str(tmp_path / "run.nii.gz"), "label": 1})
    scan = record["image"]
    assert (record["label"], record["mask_source"]) == (1, "nonzero voxels")
    assert (scan.encoding, scan.values.dtype, scan.num_frames) == ("integers", torch.int16, 12)
    assert scan.repetition_time == pytest.approx(0.8)
    direct = two_channels(prepared(real))
    torch.testing.assert_close(scan.unpack(), direct, rtol=0, atol=2e-5)
    # the corner of the crop, in mm
    torch.testing.assert_close(scan.affine, torch.from_numpy(cropped_affine(codes)), rtol=0, atol=1e-3)


def cropped_affine(codes: str) -> np.ndarray:
    image = nib.as_closest_canonical(nib.Nifti1Image(np.zeros([*stored_shape(codes)], np.uint8), oblique(codes)))
    affine = image.affine.copy()
    affine[:3, 3] = nib.affines.apply_affine(affine, [2, 0, 1])
    return affine


def stored_shape(codes: str) -> list[int]:
    order = [int(axis) for axis, _ in nib.orientations.axcodes2ornt(codes)]
    return [GRID[axis] for axis in order]


@pytest.mark.parametrize("name", ["run.nii", "run.nii.gz"])
def test_both_readers_give_the_same_tensors(tmp_path, name):
    write_scan(tmp_path / name, "LPS", ">i2", 0.7)
    scans = [load_scan(tmp_path / name, CONTRACT, reader=reader)[0] for reader in ("NibabelReader", "ITKReader")]
    assert torch.equal(scans[0].values, scans[1].values)
    assert torch.equal(scans[0].affine, scans[1].affine)
    torch.testing.assert_close(scans[0].unpack(), scans[1].unpack(), rtol=0, atol=1e-6)


def test_stored_order_is_kept_on_request(tmp_path):
    real = write_scan(tmp_path / "run.nii", "LAS")
    contract = InputContract(spatial_size=(6, 8, 7), window_length=5, crop=CONTRACT.crop, trim=3, axis_codes=None)
    scan, _ = load_scan(tmp_path / "run.nii", contract)
    torch.testing.assert_close(scan.unpack(), two_channels(prepared(real[:, ::-1])), rtol=0, atol=2e-5)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAR"])
def test_masks_are_oriented_and_cropped_with_the_scan(tmp_path, codes):
    real = write_scan(tmp_path / "run.nii.gz", codes)
    mask = np.zeros(GRID, np.uint8)
    mask[3:7, 1:5, 2:9] = 1
    mask[4, 2, 2] = 0
    to_codes = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(codes)
    )
    stored = nib.orientations.apply_orientation(mask, to_codes)
    nib.save(nib.Nifti1Image(stored, oblique(codes)), tmp_path / "m.nii.gz")
    record = {"image": tmp_path / "run.nii.gz", "mask": tmp_path / "m.nii.gz"}
    out = LoadScand("image", CONTRACT)(record)
    assert out["mask_source"] == "file m.nii.gz"
    assert np.array_equal(out["image"].mask.numpy(), mask[2:-1, :8, 1:-3] != 0)
    torch.testing.assert_close(out["image"].unpack(), two_channels(prepared(real * mask)), rtol=0, atol=2e-5)
    (tmp_path / "m.nii.gz").rename(tmp_path / "run_brainmask.nii.gz")
    sibling = LoadScand("image", CONTRACT)({"image": tmp_path / "run.nii.gz", "mask": None})
    assert sibling["mask_source"] == "sibling run_brainmask.nii.gz"
    assert torch.equal(sibling["image"].mask, out["image"].mask)


def test_the_record_wins_over_the_header_in_repetition_time(tmp_path):
    write_scan(tmp_path / "run.nii.gz")
    record = {"image": tmp_path / "run.nii.gz", "tr": 2.0, "mask": None}
    assert LoadScand("image", CONTRACT)(record)["image"].repetition_time == 2.0


def test_a_crop_outside_the_mask_is_refused(tmp_path):
    write_scan(tmp_path / "run.nii.gz", "RAS")
    contract = InputContract(spatial_size=(2, 10, 11), window_length=5, crop=((0, 2), (None, None), (None, None)))
    with pytest.raises(ScanError, match=r"run\.nii\.gz: the mask holds none of 220 voxels"):
        load_scan(tmp_path / "run.nii.gz", contract)


@pytest.mark.parametrize("reader", [None, "ITKReader"])
@pytest.mark.parametrize("name", ["run.nii.gz", "run.nii"])
def test_truncated_files_are_refused(tmp_path, name, reader):
    write_scan(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ScanError, match=rf"{name}: the voxels cannot be read .*truncated or damaged") as caught:
        load_scan(tmp_path / name, CONTRACT, reader=reader)
    assert "\n" not in str(caught.value)


def test_missing_and_3d_files_are_refused(tmp_path):
    with pytest.raises(ScanError, match=r"gone\.nii\.gz: there is no such file"):
        load_scan(tmp_path / "gone.nii.gz", CONTRACT)
    nib.save(nib.Nifti1Image(np.ones(GRID, np.uint8), np.eye(4)), tmp_path / "flat.nii")
    with pytest.raises(ScanError, match=r"flat\.nii: is 3D"):
        load_scan(tmp_path / "flat.nii", CONTRACT)


@pytest.mark.parametrize(("changes", "words"), [
    ({"spatial_size": (6, 8, 9)}, r"grid after the crop is 6 x 8 x 7, expected 6 x 8 x 9"),
    ({"window_length": 13}, r"12 frames are left after dropping 3, expected at least 13"),
    ({"trim": 20}, r"0 frames are left after dropping 20"),
    ({"voxel_size": (3, 4, 4)}, r"voxel size is 3 x 4 x 5 mm, expected 3 x 4 x 4 mm"),
    ({"repetition_time": 0.72}, r"repetition time is 0\.8 s, expected 0\.72 s"),
])  # fmt: skip
def test_scans_that_break_the_contract_are_refused(tmp_path, changes, words):
    write_scan(tmp_path / "run.nii.gz", "PLS")
    contract = InputContract.from_dict({**CONTRACT.to_dict(), **changes})
    with pytest.raises(ContractError, match=rf"run\.nii\.gz: .*{words}"):
        load_scan(tmp_path / "run.nii.gz", contract)


def test_values_that_are_not_finite_name_the_file_and_the_frame_in_it(tmp_path):
    real = write_scan(tmp_path / "whole.nii.gz", "RAS").astype(np.float32)
    real[9, 4, 4, 4] = np.nan
    nib.save(nib.Nifti1Image(np.moveaxis(real, 0, -1), oblique("RAS")), tmp_path / "run.nii.gz")
    with pytest.raises(ScanError, match=r"run\.nii\.gz: 1 elements .* NaN or infinite \(the first in frame 9\)"):
        load_scan(tmp_path / "run.nii.gz", CONTRACT)
    real[:] = 0
    nib.save(nib.Nifti1Image(np.moveaxis(real, 0, -1), oblique("RAS")), tmp_path / "run.nii.gz")
    with pytest.raises(ScanError, match=r"run\.nii\.gz: all elements are 0"):
        load_scan(tmp_path / "run.nii.gz", CONTRACT)


def test_the_sentence_survives_monais_wrapping(tmp_path):
    with pytest.raises(RuntimeError) as caught:
        Compose([LoadScand("image", CONTRACT)])({"image": tmp_path / "gone.nii.gz"})
    assert "gone.nii.gz: there is no such file" in str(user_error_in(caught.value))


@needs_realdata
def test_big_endian_scaled_scan_of_rest20_is_read_right():
    path = next(REALDATA.glob("rest20/sub-14R3F11/func/*.nii.gz"))
    contract = InputContract(spatial_size=(17, 20, 17), window_length=20, mask="nonzero", repetition_time=2.0)
    scan, origin = load_scan(path, contract)
    image = nib.as_closest_canonical(nib.load(path))
    real = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image.get_fdata(), -1, 0)))
    assert (origin, scan.encoding, scan.repetition_time) == ("nonzero voxels", "integers", 2.0)
    assert scan.values.element_size() <= 2
    torch.testing.assert_close(scan.unpack(), two_channels(real), rtol=0, atol=1e-4)
    torch.testing.assert_close(scan.affine, torch.from_numpy(image.affine))
    by_itk, _ = load_scan(path, contract, reader="ITKReader")
    assert torch.equal(by_itk.values, scan.values)


@needs_realdata
def test_scan_without_zero_voxel_takes_the_mask_beside_it():
    path = REALDATA / "nipype_ds003" / "ds003_sub-01_mc.nii.gz"
    scan, origin = load_scan(path, InputContract(spatial_size=(16, 16, 9), window_length=20, repetition_time=2.0))
    assert origin == "sibling ds003_sub-01_mc_brainmask.nii.gz"
    mask = nib.as_closest_canonical(nib.load(path.with_name("ds003_sub-01_mc_brainmask.nii.gz"))).get_fdata() != 0
    assert np.array_equal(scan.mask.numpy(), mask)
    assert torch.isfinite(scan.unpack()).all()


@needs_realdata
def test_16_frames_are_refused_for_20_and_accepted_for_16():
    path = next(REALDATA.glob("ds005_truncated/sub-01/func/*bold.nii.gz"))
    with pytest.raises(
        ContractError, match=r"bold\.nii\.gz: 16 frames are left after dropping 0, expected at least 20"
    ):
        load_scan(path, InputContract(spatial_size=(50, 50, 34), window_length=20))
    scan, origin = load_scan(path, InputContract(spatial_size=(50, 50, 34), window_length=16))
    assert (scan.num_frames, origin) == (16, "nonzero voxels")
    mask = next(REALDATA.glob("ds005_truncated/derivatives/**/*brainmask.nii.gz"))
    with pytest.raises(ScanError, match=r"shape is \(49, 58, 49\), expected \(50, 50, 34\)"):
        load_scan(path, InputContract(spatial_size=(50, 50, 34), window_length=16), mask_file=mask)
