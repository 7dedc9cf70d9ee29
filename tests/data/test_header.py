from __future__ import annotations

import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_tff.data.header import read_header, voxel_size_of
from monai_tff.errors import ScanError

REAL = Path(__file__).parents[2] / ".." / "shared" / "realdata"
needs_real_scans = pytest.mark.skipif(
    not REAL.exists(), reason="the real scans of ../shared/realdata are not beside the project"
)


def save_scan(
    path: Path,
    *,
    shape: tuple[int, ...] = (7, 8, 9, 6),
    repetition_time: float = 2.0,
    unit: str = "sec",
    dtype: str = "<i2",
    affine: np.ndarray | None = None,
    slope: float | None = None,
    kind: type = nib.Nifti1Image,
) -> Path:
    image = kind(np.ones(shape, dtype=np.dtype(dtype)), np.diag([3.0, 3.1, 3.2, 1]) if affine is None else affine)
    image.header.set_data_dtype(dtype)
    image.header.set_xyzt_units("mm", unit)
    if len(shape) == 4:
        image.header["pixdim"][4] = repetition_time
    if slope is not None:
        image.header.set_slope_inter(slope, 4.0)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_header_of_a_plain_scan(tmp_path: Path, extension: str, kind: type) -> None:
    header = read_header(save_scan(tmp_path / f"bold{extension}", kind=kind))
    assert header.shape == (7, 8, 9, 6)
    assert header.spatial_shape == (7, 8, 9)
    assert header.num_frames == 6
    assert header.voxel_size == (3.0, 3.1, 3.2)
    assert header.axis_codes == "RAS"
    assert header.repetition_time == 2.0
    assert (header.slope, header.intercept) == (1.0, 0.0)
    assert header.dtype == np.dtype("<i2")
    np.testing.assert_allclose(header.affine, np.diag([3.0, 3.1, 3.2, 1]), rtol=1e-6)


def test_scaled_big_endian_oblique_scan(tmp_path: Path) -> None:
    turn = np.deg2rad(20)
    affine = np.array(
        [
            [-2 * np.cos(turn), -4 * np.sin(turn), 0, 10],
            [-2 * np.sin(turn), 4 * np.cos(turn), 0, 20],
            [0, 0, -5, 30],
            [0, 0, 0, 1],
        ]
    )
    image = nib.Nifti1Image(np.ones((7, 8, 9, 3)), affine, nib.Nifti1Header(endianness=">"))
    image.header.set_data_dtype(">i2")
    image.header.set_slope_inter(0.25, 4.0)
    nib.save(image, tmp_path / "bold.nii")
    header = read_header(tmp_path / "bold.nii")
    assert header.axis_codes == "LAI"
    assert header.voxel_size == pytest.approx((2, 4, 5), abs=1e-5)
    assert header.dtype == np.dtype(">i2")
    assert (header.slope, header.intercept) == (0.25, 4.0)


@pytest.mark.parametrize(
    ("value", "unit", "seconds"),
    [
        (0.72, "sec", 0.72),
        (2.0, "unknown", 2.0),
        (2000.0, "sec", 2.0),
        (2000.0, "unknown", 2.0),
        (720.0, "msec", 0.72),
        (720000.0, "usec", 0.72),
        (99.0, "sec", 99.0),
        (0.0, "sec", None),
        (float("nan"), "sec", None),
        (2.0, "hz", None),
    ],
)
def test_repetition_time_of_the_header(tmp_path: Path, value: float, unit: str, seconds: float | None) -> None:
    header = read_header(save_scan(tmp_path / "bold.nii", repetition_time=value, unit=unit))
    assert header.repetition_time == seconds


@pytest.mark.parametrize(("stated", "seconds"), [(0.8, 0.8), (800, 0.8), (0, 2.0), (None, 2.0)])
def test_sidecar_wins_over_the_header(tmp_path: Path, stated: float | None, seconds: float) -> None:
    scan = save_scan(tmp_path / "sub-01_task-rest_bold.nii", repetition_time=2.0)
    (tmp_path / "sub-01_task-rest_bold.json").write_text(json.dumps({"RepetitionTime": stated}))
    assert read_header(scan).repetition_time == seconds


def test_broken_sidecar_is_named(tmp_path: Path) -> None:
    scan = save_scan(tmp_path / "sub-01_bold.nii")
    (tmp_path / "sub-01_bold.json").write_text("TR = 2")
    with pytest.raises(ScanError, match=r"sub-01_bold\.json: is not readable as JSON"):
        read_header(scan)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((7, 8, 9), r"bold\.nii: is 3D with shape \(7, 8, 9\), expected 4D"),
        ((7, 8, 9, 1, 6), r"bold\.nii: is 5D with shape \(7, 8, 9, 1, 6\), expected 4D"),
    ],
)
def test_a_scan_that_is_not_4d_is_refused(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ScanError, match=message):
        read_header(save_scan(tmp_path / "bold.nii", shape=shape))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match=r"absent\.nii\.gz: there is no such file, expected a NIfTI scan"):
        read_header(tmp_path / "absent.nii.gz")


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bold.nii.gz").symlink_to(tmp_path / "annex" / "key")
    with pytest.raises(ScanError, match="is a link to a file that is not there, expected a NIfTI scan; fetch it"):
        read_header(tmp_path / "bold.nii.gz")


@pytest.mark.parametrize("content", [b"", b"not an image", gzip.compress(b"not an image", mtime=0), bytes(352)])
@pytest.mark.parametrize("name", ["bold.nii", "bold.nii.gz"])
def test_a_file_that_is_not_nifti_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScanError, match=rf"{name}: the header cannot be read .* expected a complete NIfTI file"):
        read_header(tmp_path / name)


@pytest.mark.parametrize("size", [10, 40, 100])
def test_a_scan_truncated_within_its_header_is_refused(tmp_path: Path, size: int) -> None:
    scan = save_scan(tmp_path / "bold.nii.gz")
    scan.write_bytes(scan.read_bytes()[:size])
    with pytest.raises(ScanError, match=r"bold\.nii\.gz: the header cannot be read"):
        read_header(scan)


def test_another_format_is_refused(tmp_path: Path) -> None:
    nib.save(nib.MGHImage(np.ones((7, 8, 9, 6), np.float32), np.eye(4)), tmp_path / "bold.mgz")
    with pytest.raises(ScanError, match=r"bold\.mgz: is MGHImage, expected NIfTI"):
        read_header(tmp_path / "bold.mgz")


def test_an_empty_grid_is_refused(tmp_path: Path) -> None:
    scan = save_scan(tmp_path / "bold.nii")
    content = bytearray(scan.read_bytes())
    content[42:44] = (0).to_bytes(2, "little")  # dim[1]
    scan.write_bytes(content)
    with pytest.raises(ScanError, match=r"gives the shape \(0, 8, 9, 6\), expected sizes of at least 1"):
        read_header(scan)


@pytest.mark.parametrize("affine", [np.diag([3.0, 0, 3, 1]), np.diag([3.0, np.nan, 3, 1])])
def test_a_flat_grid_is_refused(tmp_path: Path, affine: np.ndarray) -> None:
    image = nib.Nifti1Image(np.ones((7, 8, 9, 6), np.int16), None)
    image.header.set_sform(affine, code=1)
    nib.save(image, tmp_path / "bold.nii")
    with pytest.raises(ScanError, match="maps the grid to no volume, expected three independent axes"):
        read_header(tmp_path / "bold.nii")


def test_complex_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="stores values of type complex64, expected integers or floats"):
        read_header(save_scan(tmp_path / "bold.nii", dtype="<c8"))


def test_voxel_size_loses_the_noise_of_float32() -> None:
    affine = np.diag(np.array([0.1, 2.2, 3.3, 1], dtype=np.float32)).astype(float)
    assert voxel_size_of(affine) == (0.1, 2.2, 3.3)


@needs_real_scans
def test_real_scaled_big_endian_scan_with_its_repetition_time_in_the_sidecar() -> None:
    name = "sub-14R3F11_task-rest_space-MNI_desc-preproc_bold.nii.gz"
    header = read_header(REAL / "rest20" / "sub-14R3F11" / "func" / name)
    assert header.shape == (17, 20, 17, 148)
    assert header.voxel_size == (10, 10, 10)
    assert header.axis_codes == "LAS"
    assert header.repetition_time == 2.0
    assert header.dtype == np.dtype(">i2")
    assert header.slope == pytest.approx(1.206328, abs=1e-6)


@needs_real_scans
def test_real_scan_whose_milliseconds_are_called_seconds() -> None:
    header = read_header(REAL / "nibabel_tests" / "example4d.nii.gz")
    assert (header.shape, header.repetition_time) == ((128, 96, 24, 2), 2.0)
