from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_tff.data.frames import StoredFrames
from monai_tff.data.masking import choose_mask
from monai_tff.errors import ConfigError, ScanError

GRID = (14, 15, 16)
AFFINE = np.diag([-3.0, 3.0, 3.5, 1.0])
AFFINE[:3, 3] = [20, -30, -10]
REALDATA = Path(__file__).parents[2] / ".." / "shared" / "realdata"


def brain() -> np.ndarray:
    axes = np.meshgrid(*[np.linspace(-1, 1, size) for size in GRID], indexing="ij")
    return sum(axis**2 for axis in axes) < 0.6


def scan(background: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(3)
    frames = generator.normal(1000, 40, (5, *GRID)).astype(np.float32)
    noise = np.abs(generator.normal(background, background / 5, frames.shape)).astype(np.float32)
    return np.where(brain(), frames, noise)


def save(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_a_given_file_comes_first(tmp_path, dtype):
    given, sibling = np.zeros(GRID, dtype), np.ones(GRID, dtype)
    given[3:5, 4, 5] = 1
    path = save(tmp_path / "given_mask.nii.gz", given)
    beside = save(tmp_path / "beside_mask.nii.gz", sibling)
    mask, origin = choose_mask(scan(), AFFINE, mask_file=path, sibling=beside)
    assert origin == "file given_mask.nii.gz"
    assert mask.dtype == torch.bool
    assert np.array_equal(mask.numpy(), given != 0)
    mask, origin = choose_mask(scan(), AFFINE, sibling=beside)
    assert (bool(mask.all()), origin) == (True, "sibling beside_mask.nii.gz")


def test_the_papers_policy_takes_nonzero_voxels_whatever_files_there_are(tmp_path):
    path = save(tmp_path / "mask.nii", np.ones(GRID, np.uint8))
    frames = scan()
    frames[:4, 7, 7, 7] = 0
    mask, origin = choose_mask(frames, AFFINE, mask_file=path, policy="nonzero")
    assert origin == "nonzero voxels"
    assert np.array_equal(mask.numpy(), brain())
    full, origin = choose_mask(scan(50), AFFINE, policy="nonzero")
    assert (bool(full.all()), origin) == (True, "nonzero voxels")


def test_nonzero_voxels_are_the_mask_where_the_background_is_zero():
    mask, origin = choose_mask(torch.from_numpy(scan()), AFFINE)
    assert origin == "nonzero voxels"
    assert np.array_equal(mask.numpy(), brain())


def test_nilearn_finds_the_brain_where_the_background_is_not_zero():
    mask, origin = choose_mask(scan(50), torch.from_numpy(AFFINE))
    assert origin == "compute_epi_mask"
    overlap = 2 * (mask.numpy() & brain()).sum() / (mask.numpy().sum() + brain().sum())
    assert overlap > 0.9


def test_stored_values_are_scaled_before_they_are_compared_with_zero():
    stored = np.where(brain(), 500, 7).astype(np.int16)[None].repeat(3, axis=0)
    mask, _ = choose_mask(StoredFrames(stored, slope=2.0, intercept=-14.0), AFFINE)
    assert np.array_equal(mask.numpy(), brain())


@pytest.mark.parametrize(("values", "affine", "words"), [
    (np.ones((15, 14, 16), np.uint8), AFFINE, r"shape is \(15, 14, 16\), expected \(14, 15, 16\)"),
    (np.ones(GRID, np.uint8), AFFINE @ np.diag([-1, 1, 1, 1]), r"affine puts it up to .* mm away \(RAS against LAS\)"),
    (np.zeros(GRID, np.uint8), AFFINE, "the mask holds no voxel"),
])  # fmt: skip
def test_masks_that_do_not_fit_are_refused(tmp_path, values, affine, words):
    path = save(tmp_path / "mask.nii.gz", values, affine)
    for given in ({"mask_file": path}, {"sibling": path}):
        with pytest.raises(ScanError, match=words) as caught:
            choose_mask(scan(), AFFINE, **given, source="run.nii")
        assert "mask.nii.gz" in str(caught.value)


def test_truncated_masks_are_refused(tmp_path):
    values = np.random.default_rng(0).integers(0, 2, GRID).astype(np.uint8)
    path = save(tmp_path / "mask.nii.gz", values)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ScanError, match=r"mask\.nii\.gz: the mask cannot be read"):
        choose_mask(scan(), AFFINE, mask_file=path)


def test_nan_in_a_mask_is_outside(tmp_path):
    values = np.where(brain(), 1, np.nan).astype(np.float32)
    mask, _ = choose_mask(scan(), AFFINE, mask_file=save(tmp_path / "mask.nii", values))
    assert np.array_equal(mask.numpy(), brain())


def test_scans_without_signal_and_unknown_policies_are_refused():
    with pytest.raises(ScanError, match=r"run\.nii: all elements are 0"):
        choose_mask(np.zeros((3, *GRID)), AFFINE, source="run.nii")
    with pytest.raises(ConfigError, match="mask is 'brain', expected one of auto, nonzero"):
        choose_mask(scan(), AFFINE, policy="brain")


def test_an_estimate_without_brain_is_refused():
    frames = np.random.default_rng(0).normal(100, 5, (3, 3, 4, 5))
    with pytest.raises(ScanError, match=r"run\.nii: nilearn finds no brain .*give a mask file"):
        choose_mask(frames, np.eye(4), source="run.nii")


def test_an_estimate_holds_no_voxel_that_is_always_zero():
    frames = np.zeros((3, *GRID), np.float32)
    frames[:, 6:8, 6:8, 6:8] = 100
    mask, origin = choose_mask(frames, AFFINE)
    assert origin == "compute_epi_mask"
    assert not (mask.numpy() & (frames[0] == 0)).any()


@pytest.mark.skipif(not REALDATA.exists(), reason="the real scans of ../shared/realdata are not beside the project")
def test_real_scan_without_zero_voxels():
    image = nib.load(REALDATA / "nipype_ds003" / "ds003_sub-01_mc.nii.gz")
    frames = np.moveaxis(np.asarray(image.dataobj), -1, 0)
    given = REALDATA / "nipype_ds003" / "ds003_sub-01_mc_brainmask.nii.gz"
    delivered, _ = choose_mask(frames, image.affine, mask_file=given)
    estimated, origin = choose_mask(frames, image.affine)
    assert origin == "compute_epi_mask"
    overlap = 2 * (delivered & estimated).sum() / (delivered.sum() + estimated.sum())
    assert overlap > 0.7
