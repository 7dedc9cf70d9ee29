"""From the published globally normalised frames back to a signal whose background is 0.

The frames are `y = (x - mean) / std` over the elements that are not background, and the smallest y in the background.
A scale or an offset of the signal changes neither normalisation, so `y - offset` with a background of 0 gives both
published channels back. For a scan without negative values the offset is the background's y, which is `-mean / std`.
Else the smallest element of the signal has the background's y too. Where the frames of the voxel normalisation are
there, their NaN tell it from the background, and the offset lies just above; without them it joins the background.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from monai_tff.data.cohorts.published_tensors import PublishedScan, load_frame
from monai_tff.errors import ScanError
from monai_tff.transforms.intensity import normalise_voxels
from monai_tff.transforms.statistics import VoxelMoments

CHECKED_FRAMES = 5
"""Frames of the voxel normalisation that are compared, spread over the scan."""

_TOLERANCE = 0.01
_SHARE_OFF = 0.01
"""Share of elements that may differ: voxels that hardly vary are rounding noise in the published frames."""

_ABOVE = 1e-3
"""From the smallest element of a signal with negative values to the offset, in units of y."""


@dataclasses.dataclass
class Survey:
    """What a first reading of all frames finds.

    Attributes:
        fill: y of the background, the smallest of all.
        at_fill: number of elements with that value.
        signal_at_fill: those among them that are signal, as far as is known.
    """

    fill: float = math.inf
    at_fill: int = 0
    signal_at_fill: int = 0
    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def update(self, frame: torch.Tensor, of_voxels: torch.Tensor | None) -> None:
        """Adds a frame, float64 [X, Y, Z], and the same frame in the voxel normalisation."""
        low = float(frame.min())
        if low < self.fill:
            self.fill, self.at_fill, self.signal_at_fill = low, 0, 0
        lowest = frame == self.fill
        self.at_fill += int(lowest.sum())
        if of_voxels is not None:
            self.signal_at_fill += int((lowest & ~of_voxels.isnan()).sum())
        self.count += frame.numel()
        self.total += float(frame.sum())
        self.squares += float(frame.square().sum())

    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation of the signal: 0 and 1 in the published global normalisation."""
        background = self.at_fill - self.signal_at_fill
        number = max(1, self.count - background)
        mean = (self.total - background * self.fill) / number
        return mean, math.sqrt(max(0.0, (self.squares - background * self.fill**2) / number - mean**2))


def survey_frames(scan: PublishedScan, advance: Callable[[int], None]) -> Survey:
    """Reads all frames once and checks them.

    Args:
        scan: its frames.
        advance: called with 1 after each frame.

    Returns:
        The survey of all frames.

    Raises:
        ScanError: for frames of several shapes, NaN, frames that are not in the published global normalisation, or
            that do not belong to those of the voxel normalisation.
    """
    found = Survey()
    shape = load_frame(scan.files[0]).shape
    moments = VoxelMoments()
    for index, file in enumerate(scan.files):
        frame, of_voxels = load_frame(file), load_frame(scan.voxel_files[index]) if scan.voxel_files else None
        for path, values in ((file, frame), *([(scan.voxel_files[index], of_voxels)] if scan.voxel_files else [])):
            if values is not None and values.shape != shape:
                raise ScanError(
                    f"{path}: has the shape {tuple(values.shape)}, the first frame {tuple(shape)}, expected one shape; "
                    "the folder holds frames of several scans."
                )
        if not torch.isfinite(frame).all():
            raise ScanError(
                f"{file}: has NaN or infinite elements, expected the global normalisation, which has none; "
                "the folder may hold the other normalisation."
            )
        found.update(frame.double(), of_voxels)
        if of_voxels is not None:
            moments.update(frame.double()[None])
        advance(1)
    slack = _TOLERANCE
    if not scan.voxel_files or found.signal_at_fill == found.at_fill:
        # no NaN tells background from signal: one element of signal may be counted as background
        found.signal_at_fill = 0
        slack += (1 + abs(found.fill)) ** 2 / max(1, found.count - found.at_fill)
    mean, std = found.moments()
    if abs(mean) > slack or abs(std - 1) > slack:
        raise ScanError(
            f"{scan.files[0].parent}: the elements above the background have mean {mean:.3g} and standard deviation "
            f"{std:.3g}, expected 0 and 1 of the published global normalisation; the folder holds something else."
        )
    if scan.voxel_files:
        _compare(scan, found, moments)
    return found


def restored_frames(scan: PublishedScan, survey: Survey) -> Iterator[np.ndarray]:
    """The signal, frame by frame.

    Args:
        scan: its frames.
        survey: of them, complete.

    Yields:
        float32 [X, Y, Z], background 0.
    """
    for index, file in enumerate(scan.files):
        frame = load_frame(file)
        if survey.signal_at_fill:
            signal = frame - (survey.fill + _ABOVE)
            # an element that is just the offset is not background
            signal.masked_fill_(signal == 0, _ABOVE / 1000)
            background = (frame == survey.fill) & load_frame(scan.voxel_files[index]).isnan()
            yield signal.masked_fill_(background, 0).numpy()
        else:
            yield (frame - survey.fill).numpy()


def _compare(scan: PublishedScan, survey: Survey, moments: VoxelMoments) -> None:
    """Compares some frames of the published voxel normalisation with those that follow from the global one."""
    statistics = moments.statistics()
    for index in sorted({round(n) for n in np.linspace(0, len(scan.files) - 1, CHECKED_FRAMES)}):
        frame, published = load_frame(scan.files[index])[None], load_frame(scan.voxel_files[index])[None]
        background = frame == survey.fill
        off = (normalise_voxels(frame, statistics, background) - published.nan_to_num(nan=0.0)).abs() > _TOLERANCE
        share = float(off[~background].float().mean()) if (~background).any() else 0.0
        if share > _SHARE_OFF:
            raise ScanError(
                f"{scan.voxel_files[index]}: {share:.0%} of its elements are not those that follow from "
                f"{scan.files[index]}, expected at most {_SHARE_OFF:.0%}; the folders belong to two scans, or the "
                "frames are in another order."
            )
