from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_tff.data.header import read_header
from monai_tff.data.mask_files import check_mask_grid, find_mask
from monai_tff.errors import ScanError

AFFINE = np.array([[-3.0, 0, 0, 78], [0, 3.1, 0, -112], [0, 0, 3.2, -70], [0, 0, 0, 1]])
REAL = Path(__file__).parents[2] / ".." / "shared" / "realdata"
needs_real_scans = pytest.mark.skipif(
    not REAL.exists(), reason="the real scans of ../shared/realdata are not beside the project"
)


def save(path: Path, shape: tuple[int, ...], affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(np.ones(shape, np.int16), affine), path)
    return path


@pytest.mark.parametrize(
    ("scan", "mask"),
    [
        ("sub-01_space-MNI_desc-preproc_bold.nii.gz", "sub-01_space-MNI_desc-brain_mask.nii.gz"),
        ("sub-01_space-MNI_desc-preproc_bold.nii.gz", "sub-01_space-MNI_desc-brain_mask.nii"),
        ("sub-01_bold.nii.gz", "sub-01_desc-brain_mask.nii.gz"),
        ("sub-01_bold_space-MNI_preproc.nii.gz", "sub-01_bold_space-MNI_brainmask.nii.gz"),
        ("sub-01_task-rest_bold.nii", "sub-01_task-rest_brainmask.nii"),
        ("sub-01_mc.nii.gz", "sub-01_mc_brainmask.nii.gz"),
        ("rfMRI_REST1_LR.nii.gz", "brainmask_fs.2.nii.gz"),
    ],
)
def test_the_mask_beside_a_scan_is_found(tmp_path: Path, scan: str, mask: str) -> None:
    image = save(tmp_path / scan, (7, 8, 9, 2))
    assert find_mask(image, read_header(image)) is None
    save(tmp_path / mask, (7, 8, 9))
    assert find_mask(image, read_header(image)) == tmp_path / mask


@pytest.mark.parametrize(
    "mask",
    [
        "sub-02_space-MNI_desc-brain_mask.nii.gz",
        "sub-01_space-T1w_desc-brain_mask.nii.gz",
        "sub-01_space-MNI_dseg.nii.gz",
    ],
)
def test_the_mask_of_another_scan_is_not_taken(tmp_path: Path, mask: str) -> None:
    image = save(tmp_path / "sub-01_space-MNI_desc-preproc_bold.nii.gz", (7, 8, 9, 2))
    save(tmp_path / mask, (7, 8, 9))
    assert find_mask(image, read_header(image)) is None


def test_fmriprep_mask_comes_before_the_others(tmp_path: Path) -> None:
    image = save(tmp_path / "sub-01_bold.nii", (7, 8, 9, 2))
    for name in ("brainmask_fs.2.nii", "sub-01_brainmask.nii", "sub-01_desc-brain_mask.nii"):
        save(tmp_path / name, (7, 8, 9))
        assert find_mask(image, read_header(image)) == tmp_path / name


def test_a_sibling_of_another_shape_is_refused(tmp_path: Path) -> None:
    image = save(tmp_path / "sub-01_bold.nii", (7, 8, 9, 2))
    save(tmp_path / "sub-01_desc-brain_mask.nii", (8, 7, 9))
    message = (
        r"sub-01_desc-brain_mask\.nii: the mask's shape is \(8, 7, 9\), expected \(7, 8, 9\) as in the scan "
        r".*sub-01_bold\.nii; .*'nonzero'"
    )
    with pytest.raises(ScanError, match=message):
        find_mask(image, read_header(image))


@pytest.mark.parametrize("moved", [[0, 0, 0.5], [3.1, 0, 0], [0, -40, 0]])
def test_a_mask_that_lies_elsewhere_is_refused(tmp_path: Path, moved: list[float]) -> None:
    image = save(tmp_path / "bold.nii", (7, 8, 9, 2))
    affine = AFFINE.copy()
    affine[:3, 3] += moved
    mask = save(tmp_path / "mask.nii", (7, 8, 9), affine)
    distance = f"{np.linalg.norm(moved):.3g}"
    with pytest.raises(ScanError, match=rf"mask\.nii: .* but its affine puts it up to {distance} mm away"):
        check_mask_grid(mask, image, read_header(image))


def test_a_mask_of_another_orientation_is_refused(tmp_path: Path) -> None:
    image = save(tmp_path / "bold.nii", (7, 8, 9, 2))
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = 6  # the same voxels of space, stored from the other side
    mask = save(tmp_path / "mask.nii", (7, 8, 9), AFFINE @ flip)
    with pytest.raises(ScanError, match="RAS against LAS"):
        check_mask_grid(mask, image, read_header(image))


def test_rounding_of_the_header_and_a_fourth_axis_of_one_are_accepted(tmp_path: Path) -> None:
    image = save(tmp_path / "bold.nii", (7, 8, 9, 2))
    mask = save(tmp_path / "mask.nii", (7, 8, 9, 1), AFFINE + 1e-4 * np.eye(4))
    check_mask_grid(mask, image, read_header(image))


def test_a_mask_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    image = save(tmp_path / "sub-01_bold.nii", (7, 8, 9, 2))
    (tmp_path / "sub-01_desc-brain_mask.nii").write_bytes(b"broken")
    with pytest.raises(ScanError, match=r"sub-01_desc-brain_mask\.nii: the header cannot be read"):
        find_mask(image, read_header(image))


@needs_real_scans
def test_real_mask_on_another_grid_is_refused() -> None:
    name = "sub-01_task-mixedgamblestask_run-01_bold"
    image = REAL / "ds005_truncated" / "sub-01" / "func" / f"{name}.nii.gz"
    derivative = REAL / "ds005_truncated" / "derivatives" / "fmriprep" / "sub-01" / "func"
    mask = derivative / f"{name}_space-MNI152NLin2009cAsym_brainmask.nii.gz"
    with pytest.raises(ScanError, match=r"shape is \(49, 58, 49\), expected \(50, 50, 34\)"):
        check_mask_grid(mask, image, read_header(image))


@needs_real_scans
def test_real_mask_beside_its_scan_is_found() -> None:
    image = REAL / "nipype_ds003" / "ds003_sub-01_mc.nii.gz"
    found = find_mask(image, read_header(image))
    assert found is not None
    assert found.name == "ds003_sub-01_mc_brainmask.nii.gz"
