"""Statistics of the two normalisations, collected in float64 from parts of a scan."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch

from monai_tff.errors import ScanError

CHUNK_ELEMENTS = 2**20
"""Elements that are promoted to float64 at once: 8 MB per temporary."""


class GlobalStatistics(NamedTuple):
    """Statistics of the global normalisation.

    Attributes:
        mean: mean of all elements that are not background, in the scan's units.
        std: unbiased standard deviation of the same; 0 where they are all equal.
        fill: value of the background after the normalisation.
    """

    mean: float
    std: float
    fill: float


class VoxelStatistics(NamedTuple):
    """Statistics of the voxel normalisation.

    Attributes:
        mean: mean over all frames, float32 [...], in the scan's units.
        rest: what float32 leaves out of the mean, float32 [...]; the exact mean is `mean + rest`.
        std: unbiased standard deviation, float32 [...]; exactly 0 for a constant voxel.
    """

    mean: torch.Tensor
    rest: torch.Tensor
    std: torch.Tensor


class GlobalMoments:
    """Collects the global statistics from parts of a scan, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.num_background = 0
        self.mean = 0.0
        self.squares = 0.0
        self.low = math.inf

    def update(self, values: torch.Tensor) -> None:
        """Adds some elements; those that are 0 count as background.

        Args:
            values: float64, any shape.
        """
        count = int(torch.count_nonzero(values))
        # most runs within a mask have no background, and selecting elements is slow
        kept = values if count == values.numel() else values[values != 0]
        self.num_background += values.numel() - count
        if count == 0:
            return
        mean = float(kept.mean())
        squares = float((kept - mean).square_().sum())
        # two groups become one (Chan, Golub and LeVeque 1979)
        total, distance = self.count + count, mean - self.mean
        self.squares += squares + distance**2 * self.count * count / total
        self.mean += distance * count / total
        self.count = total
        self.low = min(self.low, float(kept.min()))

    def statistics(self, background_elsewhere: bool = False) -> GlobalStatistics:
        """The statistics of everything that was added.

        Args:
            background_elsewhere: there is background besides the elements that were added (voxels outside a mask).

        Raises:
            ScanError: if every element is 0, or some are NaN or infinite.
        """
        if self.count == 0:
            raise ScanError("all elements are 0, expected a scan with signal; use another scan or mask.")
        if not math.isfinite(self.mean) or not math.isfinite(self.squares):
            raise ScanError("there are NaN or infinite elements, expected finite ones; set them to 0 (background).")
        # rounding of the mean leaves squares of 1e-32 times the mean's in equal elements
        tiny = self.count * (1e-15 * self.mean) ** 2
        std = math.sqrt(self.squares / (self.count - 1)) if self.count > 1 and self.squares > tiny else 0.0
        has_background = background_elsewhere or self.num_background > 0
        low = min(self.low, 0.0) if has_background else self.low
        return GlobalStatistics(self.mean, std, (low - self.mean) / std if std > 0 else 0.0)


class VoxelMoments:
    """Collects the statistics of each voxel from runs of frames, in float64."""

    def __init__(self) -> None:
        self.num_frames = 0
        self._first = self._sum = self._squares = torch.empty(0)

    def update(self, frames: torch.Tensor) -> None:
        """Adds frames.

        Args:
            frames: float64 [frames, ...].
        """
        if self.num_frames == 0:
            # sums of distances to the first frame do not cancel, and are exactly 0 for a constant voxel
            self._first = frames[0].clone()
            self._sum = torch.zeros_like(self._first)
            self._squares = torch.zeros_like(self._first)
        distance = frames - self._first
        self._sum += distance.sum(dim=0)
        self._squares += distance.square_().sum(dim=0)
        self.num_frames += len(frames)

    def exact(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation in float64; one frame alone has a standard deviation of 0."""
        mean = self._sum / self.num_frames
        variance = (self._squares - mean * self._sum).clamp_(min=0) / max(1, self.num_frames - 1)
        return self._first + mean, variance.sqrt_()

    def statistics(self) -> VoxelStatistics:
        """The statistics of all frames that were added, as the normalisation takes them."""
        mean, std = self.exact()
        rounded = mean.float()
        return VoxelStatistics(rounded, (mean - rounded).float(), std.float())


def runs_of_frames(num_frames: int, frame_size: int) -> Iterator[slice]:
    """Splits a scan into runs of frames of at most `CHUNK_ELEMENTS` elements (one frame at least)."""
    length = max(1, CHUNK_ELEMENTS // max(1, frame_size))
    for start in range(0, num_frames, length):
        yield slice(start, min(start + length, num_frames))


def _as_seen(frames: torch.Tensor) -> Iterator[torch.Tensor]:
    """The frames in float64, a run at a time; rounded to float32 first, as the network sees them."""
    for run in runs_of_frames(len(frames), frames[:1].numel()):
        yield frames[run].float().double()


def global_statistics(frames: torch.Tensor) -> GlobalStatistics:
    """Mean, standard deviation and fill of the global normalisation.

    Args:
        frames: trimmed scan [T, ...] of any dtype, background 0.

    Returns:
        The statistics; accumulated in float64 with temporaries of a few megabytes.

    Raises:
        ScanError: if every element is 0, or some are NaN or infinite.
    """
    moments = GlobalMoments()
    for run in _as_seen(frames):
        moments.update(run)
    return moments.statistics()


def voxel_statistics(frames: torch.Tensor) -> VoxelStatistics:
    """Mean and standard deviation of each voxel over the frames.

    Args:
        frames: trimmed scan [T, ...] of any dtype, background 0.

    Returns:
        The statistics, float32 [...] each.
    """
    moments = VoxelMoments()
    for run in _as_seen(frames):
        moments.update(run)
    return moments.statistics()
