from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_tff.errors import ScanError
from monai_tff.transforms import statistics
from monai_tff.transforms.statistics import (
    FrameMoments,
    GlobalMoments,
    global_statistics,
    runs_of_frames,
    voxel_statistics,
)


def random_frames(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    frames = 900 + 40 * torch.randn(11, 7, 8, 9, generator=generator, dtype=torch.float64)
    frames[:, :2] = 0
    frames[3, 4, 4, 4] = 0
    return frames.to(dtype)


@pytest.mark.parametrize("dtype", [torch.int16, torch.float32, torch.float64])
@pytest.mark.parametrize("chunk", [10, 2000, 2**20])
def test_statistics_equal_torch_in_float64_whatever_the_chunk(monkeypatch, dtype, chunk):
    monkeypatch.setattr(statistics, "CHUNK_ELEMENTS", chunk)
    frames = random_frames(dtype)
    exact = frames.float().double()
    found = global_statistics(frames)
    signal = exact[exact != 0]
    assert found.mean == pytest.approx(float(signal.mean()), rel=1e-13)
    assert found.std == pytest.approx(float(signal.std()), rel=1e-12)
    assert found.fill == pytest.approx(-float(signal.mean() / signal.std()), rel=1e-12)
    voxels = voxel_statistics(frames)
    torch.testing.assert_close(voxels.mean, exact.mean(0).float())
    torch.testing.assert_close(voxels.mean.double() + voxels.rest, exact.mean(0), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(voxels.std, exact.std(0).float())


def test_fill_is_the_lowest_value_where_nothing_is_background():
    frames = torch.tensor([[5.0, 7.0], [9.0, 11.0]])
    assert global_statistics(frames).fill == pytest.approx((5 - 8) / np.sqrt(20 / 3))


def test_fill_is_below_zero_signal_where_there_is_negative_signal():
    frames = torch.tensor([[-5.0, 0.0], [3.0, 2.0]])
    found = global_statistics(frames)
    assert found.mean == 0
    assert found.fill == pytest.approx(-5 / found.std)


def test_background_outside_counts_for_the_fill():
    moments = GlobalMoments()
    moments.update(torch.tensor([2.0, 4.0], dtype=torch.float64))
    assert moments.statistics().fill == pytest.approx(-1 / np.sqrt(2))
    assert moments.statistics(background_elsewhere=True).fill == pytest.approx(-3 / np.sqrt(2))


@pytest.mark.parametrize("value", [0.1, 1024.0, 1e-20, 3e30, -7.0])
def test_constant_voxels_and_scans_have_a_spread_of_exactly_zero(value):
    frames = torch.full((97, 5), value)
    assert voxel_statistics(frames).std.eq(0).all()
    assert global_statistics(frames).std == 0
    assert global_statistics(frames).fill == 0


def test_one_frame_has_no_spread():
    found = voxel_statistics(torch.tensor([[3.0, 0.0, -2.0]]))
    assert found.mean.tolist() == [3, 0, -2]
    assert found.std.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("frames", "words"), [
    (torch.zeros(3, 4), "all elements are 0"),
    (torch.tensor([1.0, float("nan")]), "NaN or infinite"),
    (torch.tensor([1.0, float("inf")]), "NaN or infinite"),
])  # fmt: skip
def test_useless_scans_are_refused(frames, words):
    with pytest.raises(ScanError, match=words):
        global_statistics(frames)


def test_large_means_do_not_cancel():
    frames = 1e7 + torch.arange(8.0).reshape(8, 1)
    assert global_statistics(frames).std == pytest.approx(np.sqrt(6), rel=1e-9)
    assert voxel_statistics(frames).std.item() == pytest.approx(np.sqrt(6), rel=1e-6)


def test_runs_cover_every_frame_once():
    runs = list(runs_of_frames(23, 2**18))
    assert [frame for run in runs for frame in range(23)[run]] == list(range(23))
    assert all(run.stop - run.start <= 4 for run in runs)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, (4, 6), elements=st.floats(-1e6, 1e6, width=32)))
def test_statistics_are_finite_and_the_fill_is_the_minimum(values):
    frames = torch.from_numpy(values)
    if not frames.any():
        return
    found = global_statistics(frames)
    assert all(np.isfinite(found))
    low = (frames.double().min() - found.mean) / found.std if found.std else 0
    assert found.fill <= float(low) + 1e-9 * abs(float(low))


def exact(frames: torch.Tensor, background: float = 0.0) -> tuple[float, float, torch.Tensor, torch.Tensor]:
    """Mean and spread of the signal, and of each voxel, the plain way."""
    values = frames.double() - background
    signal = values[values != 0]
    spread = float(signal.std()) if len(signal) > 1 else 0.0
    voxel_spread = values.std(0) if len(values) > 1 else torch.zeros_like(values[0])
    return float(signal.mean()), spread, values.mean(0), voxel_spread


def with_holes(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """[11, 5]: a voxel without signal, one that starts late, one with a hole, one constant, one with a spike first."""
    generator = torch.Generator().manual_seed(2)
    frames = (900 + 40 * torch.randn(11, 5, generator=generator, dtype=torch.float64)).round()
    frames[:, 0] = 0
    frames[:6, 1] = 0
    frames[4, 2] = 0
    frames[:, 3] = 77
    frames[0, 4] = 30000
    return frames.to(dtype)


@pytest.mark.parametrize("run", [1, 3, 11])
@pytest.mark.parametrize("dtype", [torch.int16, torch.float32, torch.float64])
@pytest.mark.parametrize("background", [0, -7, 100])
def test_one_pass_gives_both_statistics(run, dtype, background):
    frames = with_holes(dtype) + background
    moments = FrameMoments(5, float(background), extremes=True)
    for start in range(0, 11, run):
        moments.update(frames[start : start + run])
    mean, spread, voxel_mean, voxel_spread = exact(frames, background)
    of_scan = moments.scan().statistics()
    assert (moments.count, moments.num_elements) == (11 * 5 - 11 - 6 - 1, 55)
    assert of_scan.mean == pytest.approx(mean, rel=1e-13)
    assert of_scan.std == pytest.approx(spread, rel=1e-13)
    assert of_scan.fill == pytest.approx(-mean / spread, rel=1e-13)
    found_mean, found_spread = moments.voxels()
    torch.testing.assert_close(found_mean, voxel_mean, rtol=1e-13, atol=1e-12)
    torch.testing.assert_close(found_spread, voxel_spread, rtol=1e-12, atol=1e-12)
    assert found_spread[3] == 0
    values = frames.double() - background
    distance = (values - voxel_mean).abs().masked_fill(values == 0, 0.0).amax(0)
    # of a voxel without signal there is nothing to encode
    torch.testing.assert_close(moments.largest_distance()[1:], distance[1:], rtol=1e-12, atol=1e-12)


def test_without_a_background_every_element_counts():
    moments = FrameMoments(5, None)
    moments.update(with_holes())
    assert moments.count == 55
    assert moments.scan().statistics().mean == pytest.approx(float(with_holes().mean()))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_elements_that_are_not_finite_are_noticed(value):
    frames = with_holes(torch.float32)
    moments = FrameMoments(5)
    moments.update(frames)
    assert moments.is_finite()
    frames[5, 4] = value
    moments.update(frames)
    assert not moments.is_finite()


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
        elements=st.sampled_from([0.0, 0.0, 1.0, -3.5, 1e6, 1e6 + 0.0625, -1e-20]) | st.floats(-1e6, 1e6, width=32),
    ),
    st.integers(1, 6),
)
def test_one_pass_equals_the_plain_way_for_any_frames(values, run):
    frames = torch.from_numpy(values)
    if not frames.any():
        return
    moments = FrameMoments(frames.shape[1])
    for start in range(0, len(frames), run):
        moments.update(frames[start : start + run])
    mean, spread, voxel_mean, voxel_spread = exact(frames)
    of_scan = moments.scan().statistics()
    size = float(frames.abs().max())
    assert of_scan.mean == pytest.approx(mean, abs=1e-14 * size)
    assert of_scan.std == pytest.approx(spread, rel=1e-7, abs=1e-13 * size)
    torch.testing.assert_close(moments.voxels()[0], voxel_mean, rtol=0, atol=1e-14 * size)
    torch.testing.assert_close(moments.voxels()[1], voxel_spread, rtol=1e-7, atol=1e-8 * size)
