from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_tff.errors import ScanError
from monai_tff.transforms import statistics
from monai_tff.transforms.statistics import GlobalMoments, global_statistics, runs_of_frames, voxel_statistics


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
