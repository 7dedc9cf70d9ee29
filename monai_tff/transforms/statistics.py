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


class FrameMoments:
    """Collects the statistics of both normalisations in one pass over runs of frames, in float64.

    Per voxel it keeps the number of elements that are not background, and sums of their distances to the first of
    them; the zeros join at the end. Nothing cancels: a constant voxel has a spread of exactly 0, and the sums of
    integers are exact in any order.

    Args:
        num_voxels: V.
        background: the value that means 0, None where none does; statistics are of `values - background`.
        extremes: whether to keep the largest distance of each voxel too.
    """

    def __init__(self, num_voxels: int, background: float | None = 0.0, extremes: bool = False) -> None:
        self.num_frames = 0
        self.low, self.high = math.inf, -math.inf
        self._background = background
        self._first, self._count, self._sum, self._squares = torch.zeros(4, num_voxels, dtype=torch.float64)
        self._distance = torch.empty(num_voxels, dtype=torch.float64)
        self._all_seen = False
        self._range = torch.zeros(2, num_voxels, dtype=torch.float64) if extremes else None

    def update(self, frames: torch.Tensor) -> None:
        """Adds frames.

        Args:
            frames: [frames, V] of any dtype.
        """
        low, high = (float(bound) for bound in torch.aminmax(frames))
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.num_frames += len(frames)
        holes = self._holes(frames, low, high)
        kept = [part[holes].clone() for part in (self._first, self._count, self._sum, self._squares)]
        if not self._all_seen:
            self._first = torch.where(self._count == 0, frames[0].double(), self._first)
            self._all_seen = len(holes) == 0
        self._count += len(frames)
        for frame in frames:
            distance = self._distance.copy_(frame).sub_(self._first)
            self._sum.add_(distance)
            self._squares.addcmul_(distance, distance)
            if self._range is not None:
                distance[holes] = 0.0
                torch.minimum(self._range[0], distance, out=self._range[0])
                torch.maximum(self._range[1], distance, out=self._range[1])
        if len(holes):
            self._update_with_holes(frames[:, holes].double(), holes, kept)

    def _holes(self, frames: torch.Tensor, low: float, high: float) -> torch.Tensor:
        """Voxels that are background in some of these frames, int64; in most runs there are none."""
        background = self._background
        if background is None or not low <= background <= high:
            return torch.empty(0, dtype=torch.int64)
        if background == 0 and int(torch.count_nonzero(frames)) == frames.numel():
            return torch.empty(0, dtype=torch.int64)
        return (frames == background).any(dim=0).nonzero()[:, 0]

    def _update_with_holes(self, frames: torch.Tensor, holes: torch.Tensor, kept: list[torch.Tensor]) -> None:
        first, count, total, squares = kept
        signal = frames.ne(float(self._background or 0.0))
        fresh = frames.gather(0, signal.to(torch.uint8).argmax(dim=0, keepdim=True))[0]
        first = torch.where((count == 0) & signal.any(dim=0), fresh, first)
        distance = (frames - first).masked_fill_(~signal, 0.0)
        self._first[holes] = first
        self._count[holes] = count + signal.sum(dim=0)
        self._sum[holes] = total + distance.sum(dim=0)
        self._squares[holes] = squares + distance.square().sum(dim=0)
        if self._range is not None:
            self._range[0, holes] = torch.minimum(self._range[0, holes], distance.amin(dim=0))
            self._range[1, holes] = torch.maximum(self._range[1, holes], distance.amax(dim=0))

    @property
    def count(self) -> int:
        """Elements that are not background."""
        return int(self._count.sum())

    @property
    def num_elements(self) -> int:
        """All elements so far."""
        return self.num_frames * len(self._count)

    def is_finite(self) -> bool:
        """Whether every element so far was."""
        return math.isfinite(float(self._sum.sum()))

    def scan(self) -> GlobalMoments:
        """What `GlobalMoments` collects from the same elements, less `background`."""
        count, mean, squares = self._signal()
        moments = GlobalMoments()
        moments.count = self.count
        moments.num_background = self.num_elements - moments.count
        if moments.count:
            moments.mean = float((count * mean).sum()) / moments.count
            moments.squares = float(squares.sum() + (count * (mean - moments.mean).square()).sum())
            moments.low = self.low - (self._background or 0.0)
        return moments

    def voxels(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation over all frames, less `background`, float64 [V] each."""
        count, mean, squares = self._signal()
        zeros = self.num_frames - count
        # zeros are a second group of each voxel (Chan, Golub and LeVeque 1979)
        squares = squares + count * mean.square() * zeros / self.num_frames
        return mean - mean * (zeros / self.num_frames), (squares / max(1, self.num_frames - 1)).sqrt_()

    def largest_distance(self) -> torch.Tensor:
        """Largest distance of an element that is not background to the voxel's mean, float64 [V]."""
        assert self._range is not None
        # an element is first + distance, the mean is first + what the sum says
        mean = self.voxels()[0] - (self._first - (self._background or 0.0))
        return torch.maximum(mean - self._range[0], self._range[1] - mean)

    def _signal(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Number, mean and squared distances of each voxel's elements that are not background."""
        divisor = self._count.clamp(min=1)
        first = torch.where(self._count > 0, self._first - (self._background or 0.0), 0.0)
        mean = self._sum / divisor
        return self._count, first + mean, (self._squares - mean * self._sum).clamp_(min=0)


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
