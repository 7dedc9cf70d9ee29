"""One pass over a scan gives what NumPy gives on the whole array at once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_tff.data.header import read_header
from monai_tff.data.quality_pass import VoxelPass
from monai_tff.data.stream import stored_runs

GRID = (7, 8, 9)
FRAMES = 12
FRAME_VALUES = 7 * 8 * 9


def facts_of(path: Path, mask: np.ndarray | None = None, frames_per_run: int = 5) -> dict:
    header = read_header(path)
    voxels = VoxelPass(header, None if mask is None else mask.reshape(-1, order="F"))
    for run in stored_runs(path, header, frames_per_run * FRAME_VALUES * header.dtype.itemsize):
        voxels.update(run)
    return voxels.facts()


def signal(seed: int = 0) -> np.ndarray:
    """[7, 8, 9, 12] of about 500 with a background of 0 in the outermost slices of the first axis."""
    values = np.random.default_rng(seed).normal(500, 20, (*GRID, FRAMES)).round()
    values[[0, -1]] = 0
    return values


def saved(path: Path, values: np.ndarray, dtype: str = "<i2", slope: float = 1.0, intercept: float = 0.0) -> Path:
    endianness = ">" if dtype.startswith(">") else "<"
    image = nib.Nifti1Image(
        values.astype(dtype), np.diag([2.0, 3.0, 4.0, 1.0]), nib.Nifti1Header(endianness=endianness)
    )
    image.header.set_data_dtype(dtype)
    image.to_filename(path)
    if (slope, intercept) != (1.0, 0.0):
        # as scanners write it: stored integers, scaled by the header alone
        content = bytearray(path.read_bytes())
        content[112:120] = np.array([slope, intercept], f"{endianness}f4").tobytes()
        path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize("frames_per_run", [1, 5, 12])
@pytest.mark.parametrize(
    ("dtype", "slope", "intercept"),
    [("<i2", 1.0, 0.0), (">i2", 0.5, 0.0), ("<u2", 1.0, -100.0), ("<f4", 1.0, 0.0), ("<f8", 2.0, 0.0)],
)
@pytest.mark.parametrize("masked", [False, True])
def test_facts_are_those_of_the_whole_array(
    tmp_path: Path, dtype: str, slope: float, intercept: float, masked: bool, frames_per_run: int
) -> None:
    path = saved(tmp_path / "scan.nii", signal(), dtype, slope, intercept)
    mask = np.zeros(GRID, bool)
    mask[:4, 2:, 1:] = True  # some of it in the background
    found = facts_of(path, mask if masked else None, frames_per_run)
    image = nib.load(path)
    values = np.asarray(image.dataobj, dtype=np.float64)
    chosen = values[mask] if masked else values
    kept = chosen[chosen != 0]
    assert found["content"] == hashlib.sha256(path.read_bytes()[image.dataobj.offset :]).hexdigest()
    assert found["background_fraction"] == (values == 0).mean()
    for name, value in {"minimum": kept.min(), "maximum": kept.max(), "mean": kept.mean()}.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name
    assert found["std"] == pytest.approx(kept.std(ddof=1), rel=1e-9)
    assert found["negative_fraction"] == (kept < 0).mean()
    still = (values == values[..., :1]).all(axis=-1)
    assert found["zero_voxels"] == (still & (values[..., 0] == 0)).sum()
    assert found["constant_voxels"] == (still & (values[..., 0] != 0)).sum()
    assert found["mask_zero_voxels"] == ((still & mask & (values[..., 0] == 0)).sum() if masked else None)
    assert found["mask_constant_voxels"] == ((still & mask & (values[..., 0] != 0)).sum() if masked else None)
    assert found["not_finite"] == found["empty_frames"] == found["repeated_frames"] == 0
    assert found["saturated_fraction"] == found["frames_before_steady_state"] == 0


@pytest.mark.parametrize("frames_per_run", [1, 5, 12])
def test_what_is_not_finite_is_counted_and_left_out(tmp_path: Path, frames_per_run: int) -> None:
    values = signal()
    values[3, 4, 5, 6:9] = np.nan
    values[1, 0, 0, 7] = -np.inf
    values[2, 2, 2, 2] = 1e39  # infinite in the float32 that a network sees
    mask = np.zeros(GRID, bool)
    mask[3] = True
    found = facts_of(saved(tmp_path / "scan.nii", values, "<f8"), mask, frames_per_run)
    assert (found["not_finite"], found["not_finite_in_mask"], found["first_not_finite_frame"]) == (5, 3, 2)
    kept = values[3][np.isfinite(values[3])]
    assert found["mean"] == pytest.approx(kept.mean(), rel=1e-12)
    assert found["maximum"] == kept.max()


@pytest.mark.parametrize("frames_per_run", [1, 5, 12])
def test_frames_that_are_empty_repeated_or_too_bright(tmp_path: Path, frames_per_run: int) -> None:
    values = signal()
    values[..., :2] *= 1.2
    values[..., 4] = 0
    values[..., 6] = values[..., 5]
    values[..., 10:] = 0
    found = facts_of(saved(tmp_path / "scan.nii", values), None, frames_per_run)
    assert (found["empty_frames"], found["repeated_frames"], found["frames_before_steady_state"]) == (3, 1, 2)


def test_the_first_frames_may_be_empty(tmp_path: Path) -> None:
    values = signal()
    values[..., :3] = 0
    found = facts_of(saved(tmp_path / "scan.nii", values), None, 1)
    assert found["empty_frames"] == 3
    assert found["mean"] == pytest.approx(values[1:-1, ..., 3:].mean(), rel=1e-12)


def test_a_scan_without_signal_has_no_statistics(tmp_path: Path) -> None:
    found = facts_of(saved(tmp_path / "scan.nii", np.zeros((*GRID, FRAMES))))
    assert (found["mean"], found["std"], found["minimum"], found["negative_fraction"]) == (None, None, None, None)
    assert (found["background_fraction"], found["zero_voxels"]) == (1.0, FRAME_VALUES)
    assert found["empty_frames"] == FRAMES


def test_saturated_elements_are_counted(tmp_path: Path) -> None:
    values = signal()
    values[2, 3, 4, :6] = 32767
    found = facts_of(saved(tmp_path / "scan.nii", values))
    assert found["saturated_fraction"] == 6 / (5 * 8 * 9 * FRAMES)
