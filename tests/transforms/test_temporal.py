from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.transforms import Compose

from monai_tff.data.scan import CompactScan
from monai_tff.errors import ConfigError, ScanError
from monai_tff.transforms.temporal import (
    RandTemporalWindow,
    RandTemporalWindowd,
    TemporalWindow,
    TemporalWindowd,
    TrimFrames,
    TrimFramesd,
    published_window_count,
    take_window,
    window_starts,
)


def numbered(num_frames: int) -> torch.Tensor:
    """A scan whose values are the numbers of its frames, from 1."""
    return torch.arange(1.0, num_frames + 1).reshape(-1, 1, 1, 1).repeat(1, 2, 3, 4)


@pytest.mark.parametrize(("arguments", "starts"), [
    ((50, 20), [0, 20, 30]),
    ((40, 20), [0, 20]),
    ((20, 20), [0]),
    ((21, 20), [0, 1]),
    ((10, 4, 2), [0, 2, 4, 6]),
    ((10, 4, 3), [0, 3, 6]),
    ((3, 1), [0, 1, 2]),
])  # fmt: skip
def test_window_starts(arguments, starts):
    assert window_starts(*arguments) == starts


@given(st.integers(1, 300), st.integers(1, 40), st.data())
def test_windows_cover_every_frame(extra, length, data):
    num_frames = length + extra - 1
    stride = data.draw(st.integers(1, length))
    starts = window_starts(num_frames, length, stride)
    assert starts == sorted(set(starts))
    assert {frame for start in starts for frame in range(start, start + length)} == set(range(num_frames))


@pytest.mark.parametrize(
    ("num_frames", "length", "count"), [(1190, 20, 59), (1190, 1, 1189), (20, 20, 1), (40, 20, 1), (41, 20, 2)]
)
def test_published_window_count(num_frames, length, count):
    assert published_window_count(num_frames, length) == count


@pytest.mark.parametrize("function", [window_starts, published_window_count])
def test_too_short_scans_are_refused(function):
    with pytest.raises(ScanError, match=r"has 16 frames, expected at least 20 .*shorter window_length"):
        function(16, 20)


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match="window_length is 0"):
        window_starts(16, 0)
    with pytest.raises(ConfigError, match="stride of the windows is 5, expected 1 to 4"):
        window_starts(16, 4, 5)
    with pytest.raises(ConfigError, match="trim is -1"):
        TrimFrames(-1)


def test_trim_drops_the_first_frames_and_their_memory():
    out = TrimFrames(10)(numbered(13))
    assert out[:, 0, 0, 0].tolist() == [11, 12, 13]
    assert out.untyped_storage().nbytes() == out.nbytes
    assert torch.equal(TrimFrames(0)(numbered(3)), numbered(3))
    assert TrimFramesd("image", 2)({"image": numbered(3)})["image"].shape == (1, 2, 3, 4)
    with pytest.raises(ScanError, match="has 10 frames, expected more than the 10 that trim drops"):
        TrimFrames(10)(numbered(10))


def test_window_at_a_start():
    out = TemporalWindow(3, 2)(numbered(8))
    assert out[:, 1, 2, 3].tolist() == [4, 5]
    assert out.untyped_storage().nbytes() == out.nbytes
    assert torch.equal(TemporalWindowd("image", 3, 2)({"image": numbered(8)})["image"], out)
    assert TemporalWindow(6, 2)(numbered(8))[:, 0, 0, 0].tolist() == [7, 8]
    with pytest.raises(ScanError, match=r"cannot start at frame 7 of a scan of 8, expected 0 to 6"):
        TemporalWindow(7, 2)(numbered(8))
    with pytest.raises(ScanError, match="frame -1"):
        TemporalWindow(-1, 2)(numbered(8))


def test_compact_scans_give_windows_that_share_their_memory():
    scan = CompactScan.from_frames(numbered(8), torch.ones(2, 3, 4))
    window = take_window(scan, 2, 3)
    assert window.values.data_ptr() == scan.values[2:].data_ptr()
    cut = RandTemporalWindow(3)
    assert cut.set_random_state(0)(scan).num_frames == 3


def test_random_starts_are_uniform_over_all_of_them():
    cut = RandTemporalWindow(4, num_samples=3000)
    cut.set_random_state(5)
    cut.randomize(9)
    counts = torch.bincount(torch.tensor(cut.starts), minlength=6)
    assert len(counts) == 6
    assert (counts - 500).abs().max() < 100


def test_random_windows_follow_the_seed():
    cut = RandTemporalWindow(2, num_samples=5)
    first = [window[0, 0, 0, 0].item() for window in cut.set_random_state(1)(numbered(30))]
    again = [window[0, 0, 0, 0].item() for window in cut.set_random_state(1)(numbered(30))]
    assert first == again
    assert first == [start + 1 for start in cut.starts]
    assert len(set(first)) > 1
    with pytest.raises(ScanError, match="has 1 frames, expected at least 2"):
        cut(numbered(1))


def test_dictionary_version_cuts_all_keys_alike():
    record = {"image": numbered(30), "motion": torch.arange(1.0, 31), "label": 1}
    cut = RandTemporalWindowd(["image", "motion"], 4, num_samples=3).set_random_state(3)
    windows = cut(record)
    assert len(windows) == 3
    for window in windows:
        assert torch.equal(window["image"][:, 0, 0, 0], window["motion"])
        assert window["motion"][0] == window["window"] + 1
        assert window["label"] == 1
    one = RandTemporalWindowd("image", 4).set_random_state(3)(record)
    assert torch.equal(one["image"], windows[0]["image"])
    with pytest.raises(ScanError, match="different numbers of frames"):
        cut({"image": numbered(30), "motion": torch.arange(29.0)})


def test_compose_seeds_the_draws():
    chain = Compose([RandTemporalWindowd("image", 4)])
    starts = [chain.set_random_state(seed)({"image": numbered(40)})["window"] for seed in (1, 1, 2, 3)]
    assert starts[0] == starts[1]
    assert len(set(starts)) > 1
