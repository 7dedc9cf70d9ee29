from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_tff.data.frames import StoredFrames
from monai_tff.data.packing import LARGEST_CODE, LARGEST_CODE_8, ZERO_CODE, ZERO_CODE_8, pack
from monai_tff.transforms import statistics

VOXELS = torch.arange(2 * 3 * 4)


def noise(num_frames: int) -> np.ndarray:
    return np.random.default_rng(1).normal(900, 30, (num_frames, 2, 3, 4)).astype(np.float32)


@pytest.mark.parametrize("num_frames", [2, 3, 50, 1190])
def test_one_spike_reaches_the_largest_code_and_no_more(num_frames):
    values = np.zeros((num_frames, 2, 3, 4), np.float32)
    values += 5.25
    values[-1] = -1000.7
    packed = pack(StoredFrames(values), VOXELS, encoding="codes")
    assert packed.slope * LARGEST_CODE == pytest.approx((num_frames - 1) / math.sqrt(num_frames))
    assert packed.values.min() == -LARGEST_CODE
    assert packed.zero_code == ZERO_CODE


def test_the_published_error_bound_holds_for_4000_frames():
    assert 0.5 * (3999 / math.sqrt(4000)) / LARGEST_CODE < 1e-3


def test_exact_zeros_have_their_own_code():
    values = noise(9)
    values[4, 1, 2, 3] = 0
    values[5, 1, 2, 2] = 1e-30
    packed = pack(StoredFrames(values), VOXELS, encoding="codes")
    assert (packed.values == ZERO_CODE).nonzero().tolist() == [[4, 23]]


def test_constant_voxels_have_code_zero():
    values = noise(9)
    values[:, 1, 1, 1] = 0.1
    packed = pack(StoredFrames(values), VOXELS)
    assert packed.encoding == "codes"
    assert (packed.values[:, 17] == 0).all()
    assert packed.of_voxels.std[17] == 0


@pytest.mark.parametrize("chunk", [1, 30, 10**6])
@pytest.mark.parametrize("encoding", ["integers", "codes", "float32"])
def test_the_size_of_the_runs_changes_nothing(monkeypatch, chunk, encoding):
    values = np.rint(noise(9)).astype(np.int16)
    whole = pack(StoredFrames(values), VOXELS, encoding=encoding)
    monkeypatch.setattr(statistics, "CHUNK_ELEMENTS", chunk)
    parts = pack(StoredFrames(values), VOXELS, encoding=encoding)
    assert torch.equal(whole.values, parts.values)
    assert parts.of_scan == pytest.approx(whole.of_scan, rel=1e-12)
    torch.testing.assert_close(parts.of_voxels.std, whole.of_voxels.std)


@pytest.mark.parametrize(("slope", "intercept"), [(0.0, 0.0), (math.nan, 0.0), (math.inf, 3.0)])
def test_a_useless_slope_counts_as_none(slope, intercept):
    values = np.rint(noise(9))
    packed = pack(StoredFrames(values), VOXELS, slope=slope, intercept=intercept)
    assert (packed.encoding, packed.slope, packed.intercept) == ("integers", 1.0, 0.0)


def test_a_zero_that_no_integer_means_gives_codes():
    values = 100.3 + 2.0 * np.rint(noise(9).astype(np.float64))
    values[3, 1, 1, 1] = 0
    assert pack(StoredFrames(values), VOXELS, slope=2.0, intercept=100.3).encoding == "codes"


@pytest.mark.parametrize("spike", [None, 3.0, 40.0])
def test_eight_bits_reach_the_largest_value_and_no_more(spike):
    values = noise(60)
    values[7, 1, 0, 0] = 0
    if spike is not None:
        values[9, 0, 1, 2] += 30 * spike
    packed = pack(StoredFrames(values), VOXELS, encoding="codes8")
    assert (packed.values.dtype, packed.zero_code) == (torch.int8, ZERO_CODE_8)
    codes = packed.values.int()
    assert (codes == ZERO_CODE_8).nonzero().tolist() == [[7, 12]]
    signal = codes[codes != ZERO_CODE_8]
    assert int(signal.abs().max()) == LARGEST_CODE_8
    flat = torch.from_numpy(values).flatten(1).double()
    exact = (flat - flat.mean(0)) / flat.std(0)
    error = (codes * packed.slope - exact).abs()[flat != 0]
    assert error.max() <= 0.5 * packed.slope * (1 + 1e-6)


def test_eight_bits_of_a_scan_without_spread():
    packed = pack(StoredFrames(np.full((5, 2, 3, 4), 3.5)), VOXELS, encoding="codes8")
    assert (packed.values == 0).all()
    assert math.isfinite(packed.slope)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 60),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["plain", "spikes", "zeros", "constant", "late"]),
    st.floats(1.0, 1e4),
    st.floats(1e-3, 0.5),
)
def test_codes_of_any_scan_err_by_less_than_a_thousandth(num_frames, seed, oddity, size, spread):
    """Both channels, in standard deviations of each voxel; float32's own rounding is left out."""
    generator = np.random.default_rng(seed)
    values = size * (1 + spread * generator.standard_normal((num_frames, 2, 3, 4)))
    if oddity == "spikes":
        values[generator.integers(num_frames), :, 1] *= 50
    elif oddity == "zeros":
        values[generator.random(values.shape) < 0.2] = 0
    elif oddity == "constant":
        values[:, 1] = values[0, 1]
    elif oddity == "late":
        values[: num_frames // 2, 0] = 0
    values = values.astype(np.float32)
    if not values.any():
        return
    packed = pack(StoredFrames(values), VOXELS, encoding="codes", background_elsewhere=False)
    found = packed.values.double() * packed.slope
    flat = torch.from_numpy(values).flatten(1).double()
    std = flat.std(0)
    signal = (flat != 0) & (std > 0)
    exact = (flat - flat.mean(0)) / std
    assert torch.equal(packed.values == ZERO_CODE, flat == 0)
    assert ((found - exact).abs()[signal] <= 1e-3).all()
    # channel 0 is the real value again: its error is that of channel 1 times the voxel's standard deviation
    real = found * packed.exact_std + packed.exact_mean
    assert (((real - flat).abs() / std)[signal] <= 1e-3).all()
    assert (packed.values[:, std == 0] == torch.where(flat[:, std == 0] == 0, ZERO_CODE, 0)).all()
