from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_tff.data.header import read_header
from monai_tff.data.stream import stored_runs
from monai_tff.errors import ScanError

SHAPE = (7, 8, 9, 11)


def scan(path: Path, dtype: str = "<i2", slope: float = 0.5) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 900, SHAPE).astype(dtype)
    image = nib.Nifti1Image(values, np.diag([2.0, 3.0, 4.0, 1.0]))
    image.header.set_data_dtype(dtype)
    if np.dtype(dtype).byteorder == ">":
        image = nib.Nifti1Image(values, image.affine, nib.Nifti1Header(endianness=">"))
        image.header.set_data_dtype(dtype)
    image.header.set_slope_inter(slope, 0)
    nib.save(image, path)
    return np.asarray(nib.load(path).dataobj.get_unscaled())


def frames_of(path: Path, run_bytes: int) -> np.ndarray:
    return np.concatenate([run.copy() for run in stored_runs(path, read_header(path), run_bytes)])


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4", "|u1"])
@pytest.mark.parametrize("run_bytes", [1, 3 * 504 * 2, 2**23])
def test_every_stored_value_in_the_order_of_the_file(tmp_path: Path, name: str, dtype: str, run_bytes: int) -> None:
    stored = scan(tmp_path / name, dtype)
    found = frames_of(tmp_path / name, run_bytes)
    np.testing.assert_array_equal(found.T.reshape(SHAPE, order="F"), stored)
    assert next(stored_runs(tmp_path / name, read_header(tmp_path / name))).dtype == stored.dtype


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str) -> None:
    scan(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ScanError, match=r"scan\.nii\S*: the voxels cannot be read after frame \d+ .*truncated"):
        frames_of(tmp_path / name, 1)


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    scan(path)
    content = bytearray(path.read_bytes())
    assert gzip.decompress(bytes(content))
    content[-6] ^= 255
    path.write_bytes(bytes(content))
    with pytest.raises(ScanError, match="truncated or damaged"):
        frames_of(path, 2**23)
