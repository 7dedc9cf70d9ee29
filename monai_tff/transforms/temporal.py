"""Frames and windows of a scan: trimming, windows at a given start, random windows, and which windows there are."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from monai.config import KeysCollection
from monai.transforms import Randomizable, Transform
from monai.utils import convert_to_tensor

from monai_tff.errors import ConfigError, ScanError
from monai_tff.transforms.per_key import PerKey


@runtime_checkable
class Windowed(Protocol):
    """A scan in another form than a tensor that can give windows itself, such as a compact scan."""

    @property
    def num_frames(self) -> int:
        """Frames in the scan."""

    def window(self, start: int, length: int) -> Any:
        """`length` frames from `start` on."""


def window_starts(num_frames: int, window_length: int, stride: int | None = None) -> list[int]:
    """First frames of the windows that cover a whole scan.

    Args:
        num_frames: frames in the trimmed scan, N.
        window_length: frames in a window, L.
        stride: frames between two starts; None for windows side by side (L).

    Returns:
        0, stride, ... and N - L as the last start, which may overlap the window before it.

    Raises:
        ScanError: if the scan is shorter than a window.
        ConfigError: if the length or the stride is below 1, or the stride leaves frames out.

    Example:
        >>> window_starts(50, 20)
        [0, 20, 30]
    """
    _check_length(num_frames, window_length)
    stride = window_length if stride is None else stride
    if not 1 <= stride <= window_length:
        raise ConfigError(
            f"the stride of the windows is {stride}, expected 1 to {window_length} (window_length); "
            "a longer one leaves frames out."
        )
    last = num_frames - window_length
    return [*range(0, last, stride), last]


def published_window_count(num_frames: int, window_length: int) -> int:
    """Windows that the published loader takes from a scan in one epoch, and so the draws per scan and epoch.

    Args:
        num_frames: frames in the trimmed scan, N.
        window_length: frames in a window, L.

    Returns:
        `len(range(0, N - L, L))`, at least 1 (the published loader skips a scan of exactly one window).

    Raises:
        ScanError: if the scan is shorter than a window.

    Example:
        >>> published_window_count(1190, 20), published_window_count(1190, 1)
        (59, 1189)
    """
    _check_length(num_frames, window_length)
    return max(1, len(range(0, num_frames - window_length, window_length)))


def _check_length(num_frames: int, window_length: int) -> None:
    if window_length < 1:
        raise ConfigError(f"window_length is {window_length}, expected 1 or more; set the frames in a window.")
    if num_frames < window_length:
        raise ScanError(
            f"the scan has {num_frames} frames, expected at least {window_length} for one window; "
            "use a longer scan, or a shorter window_length or trim."
        )


def _num_frames(scan: Any) -> int:
    return scan.num_frames if isinstance(scan, Windowed) else len(scan)


def take_window(scan: Any, start: int, window_length: int) -> Any:
    """Cuts a window out of a scan.

    Args:
        scan: [T, ...], or a compact scan.
        start: first frame.
        window_length: frames in the window.

    Returns:
        [window_length, ...] with its own memory, or a view of a compact scan.

    Raises:
        ScanError: if the window does not lie within the scan.
    """
    frames = _num_frames(scan)
    _check_length(frames, window_length)
    if not 0 <= start <= frames - window_length:
        raise ScanError(
            f"a window of {window_length} frames cannot start at frame {start} of a scan of {frames}, "
            f"expected 0 to {frames - window_length}; choose another start."
        )
    if isinstance(scan, Windowed):
        return scan.window(start, window_length)
    # a view would keep the whole scan in memory
    return convert_to_tensor(scan[start : start + window_length]).clone()


class TrimFrames(Transform):
    """Drops the first frames of a scan, taken before the magnetisation is steady.

    Args:
        count: frames to drop (10 in the paper).
    """

    def __init__(self, count: int) -> None:
        if count < 0:
            raise ConfigError(f"trim is {count}, expected 0 or more frames to drop at the start of a scan.")
        self.count = count

    def __call__(self, img: Any) -> torch.Tensor:
        """Trims [T, ...].

        Returns:
            [T - count, ...] with its own memory.

        Raises:
            ScanError: if no frame would be left.
        """
        if len(img) <= self.count:
            raise ScanError(
                f"the scan has {len(img)} frames, expected more than the {self.count} that trim drops; "
                "use a longer scan or a smaller trim."
            )
        return take_window(img, self.count, len(img) - self.count)


class TemporalWindow(Transform):
    """Cuts the window at a given start.

    Args:
        start: first frame.
        window_length: frames in the window.
    """

    def __init__(self, start: int, window_length: int) -> None:
        self.start = start
        self.window_length = window_length

    def __call__(self, img: Any) -> Any:
        """Cuts [T, ...] or a compact scan, see `take_window`."""
        return take_window(img, self.start, self.window_length)


class RandTemporalWindow(Randomizable, Transform):
    """Cuts windows at random starts, uniform over all N - L + 1 of them.

    Args:
        window_length: frames in a window, L.
        num_samples: windows per call, drawn independently; None for one window that is not in a list.
    """

    def __init__(self, window_length: int, num_samples: int | None = None) -> None:
        self.window_length = window_length
        self.num_samples = num_samples
        self.starts: list[int] = []

    def randomize(self, data: Any) -> None:
        """Draws the starts for a scan of `data` frames."""
        _check_length(int(data), self.window_length)
        count = 1 if self.num_samples is None else self.num_samples
        self.starts = [int(self.R.randint(int(data) - self.window_length + 1)) for _ in range(count)]

    def __call__(self, img: Any) -> Any:
        """Cuts [T, ...] or a compact scan.

        Returns:
            One window, or a list of `num_samples`; the starts are in `starts`.

        Raises:
            ScanError: if the scan is shorter than a window.
        """
        self.randomize(_num_frames(img))
        windows = [take_window(img, start, self.window_length) for start in self.starts]
        return windows[0] if self.num_samples is None else windows


class TrimFramesd(PerKey):
    """Dictionary version of `TrimFrames`."""

    def __init__(self, keys: KeysCollection, count: int, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, TrimFrames(count), allow_missing_keys)


class TemporalWindowd(PerKey):
    """Dictionary version of `TemporalWindow`."""

    def __init__(self, keys: KeysCollection, start: int, window_length: int, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, TemporalWindow(start, window_length), allow_missing_keys)


class RandTemporalWindowd(Randomizable, PerKey):
    """Dictionary version of `RandTemporalWindow`: all keys get the same starts.

    With `num_samples` a call gives a list of dictionaries; each holds its first frame under `window`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        window_length: int,
        num_samples: int | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        self.cutter = RandTemporalWindow(window_length, num_samples)
        super().__init__(keys, self.cutter, allow_missing_keys)

    def set_random_state(self, seed: int | None = None, state: Any = None) -> RandTemporalWindowd:
        """Seeds the draws."""
        super().set_random_state(seed, state)
        self.cutter.set_random_state(seed, state)
        return self

    def __call__(self, data: Any) -> Any:
        """Cuts the same windows from each key.

        Raises:
            ScanError: if the keys' scans differ in length, or are shorter than a window.
        """
        lengths = {key: _num_frames(data[key]) for key in self.key_iterator(dict(data))}
        if len(set(lengths.values())) > 1:
            raise ScanError(f"the scans have different numbers of frames ({lengths}), expected one; check the record.")
        self.cutter.randomize(next(iter(lengths.values()), self.cutter.window_length))
        windows = []
        for start in self.cutter.starts:
            cut = {key: take_window(data[key], start, self.cutter.window_length) for key in lengths}
            windows.append({**data, **cut, "window": start})
        return windows[0] if self.cutter.num_samples is None else windows
