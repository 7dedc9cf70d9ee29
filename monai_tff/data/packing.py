"""Packing the voxels of a mask into two bytes per frame, with statistics from the unquantised values.

Three encodings. `integers`: the source's own integers; `value = (stored + offset) * slope + intercept`. `codes`:
`stored * scale` is the voxel normalisation itself, `(x - mean_v) / std_v`. It cannot leave +-(N - 1) / sqrt(N) for N
frames (Samuelson's inequality), so `scale = (N - 1) / sqrt(N) / 32767` needs no clipping and the error is at most
half a scale, 1e-3 of a voxel's standard deviation for up to 4,000 frames. `float32`: the values as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from monai_tff.data.frames import StoredFrames
from monai_tff.errors import ConfigError, ScanError
from monai_tff.transforms.statistics import GlobalMoments, GlobalStatistics, VoxelMoments, VoxelStatistics

ENCODINGS = ("integers", "codes", "float32")

ZERO_CODE = -32768
"""Code of an exact zero, which the two-channel normalisation treats as background."""

LARGEST_CODE = 32767
_ROUNDING = 2.0**-23


class PackedValues(NamedTuple):
    """In-mask values of a scan and what turns them back; see the fields of `CompactScan`."""

    values: torch.Tensor
    encoding: str
    slope: float
    intercept: float
    offset: int
    zero_code: int | None
    of_scan: GlobalStatistics
    of_voxels: VoxelStatistics

    def fields(self) -> dict[str, Any]:
        """The same under the names that a compact scan has for it."""
        return {
            "values": self.values,
            "encoding": self.encoding,
            "slope": self.slope,
            "intercept": self.intercept,
            "offset": self.offset,
            "zero_code": self.zero_code,
            "global_mean": self.of_scan.mean,
            "global_std": self.of_scan.std,
            "global_fill": self.of_scan.fill,
            "voxel_mean": self.of_voxels.mean,
            "voxel_mean_rest": self.of_voxels.rest,
            "voxel_std": self.of_voxels.std,
        }


class _IntegerSource:
    """Finds out whether a scan is integers times slope plus intercept, in a range of 16 bits."""

    def __init__(self, slope: float, intercept: float) -> None:
        usable = math.isfinite(slope) and slope != 0 and math.isfinite(intercept)
        self.slope, self.intercept = (slope, intercept) if usable else (1.0, 0.0)
        self.fits = True
        self.known = False
        self.low, self.high = math.inf, -math.inf
        self.zero: int | None = None

    def integers(self, values: torch.Tensor) -> torch.Tensor:
        """The stored integers behind some values, float64 of the same shape."""
        return ((values - self.intercept) / self.slope).round_()

    def update(self, values: torch.Tensor) -> None:
        """Checks some values, float64 [frames, V]."""
        if not self.fits:
            return
        integers = self.integers(values)
        self.low = min(self.low, float(integers.min()))
        self.high = max(self.high, float(integers.max()))
        zeros = values == 0
        if self.zero is None and bool(zeros.any()):
            self.zero = int(integers[zeros][0])
        # a stored integer means 0 always or never, or background could not be told from signal
        same_zeros = self.zero is None or torch.equal(integers == self.zero, zeros)
        self.fits = same_zeros and self.high - self.low < 2**16
        if self.fits and not self.known:
            error = (integers * self.slope + self.intercept - values).abs_()
            self.fits = bool((error <= _ROUNDING * (values.abs() + abs(self.intercept))).all())

    def storage(self) -> tuple[torch.dtype, int]:
        """Smallest dtype that holds the integers, and the offset to subtract first."""
        if self.high - self.low < 2**8:
            return torch.uint8, int(self.low)
        if self.low >= -(2**15) and self.high < 2**15:
            return torch.int16, 0
        return torch.int16, int(self.low) + 2**15


def pack(
    frames: StoredFrames,
    voxels: torch.Tensor,
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
    encoding: str = "auto",
    background_elsewhere: bool = False,
    source: str = "the scan",
) -> PackedValues:
    """Packs some voxels of a scan; reads it twice, a few frames at a time.

    Args:
        frames: the trimmed scan.
        voxels: int64 [V], positions of the voxels to keep, in their order.
        slope: the source's scaling, to find its integers again.
        intercept: likewise.
        encoding: `auto` (integers where the source has them, else codes), `integers`, `codes` or `float32`.
        background_elsewhere: the grid has voxels besides these; they are background.
        source: the scan's file, for messages.

    Returns:
        Values [T, V] and statistics.

    Raises:
        ScanError: for NaN or infinite elements, if all are 0, or if `integers` are asked for and there are none.
        ConfigError: for an unknown encoding.
    """
    if encoding != "auto" and encoding not in ENCODINGS:
        raise ConfigError(f"encoding is '{encoding}', expected auto, {', '.join(ENCODINGS)}.")
    read = frames.reader(voxels)
    integers = _IntegerSource(slope, intercept)
    integers.fits = encoding in ("auto", "integers")
    integers.known = frames.stores_integers and (frames.slope, frames.intercept) == (slope, intercept)
    of_scan, of_voxels = _statistics(frames, read, len(voxels), integers, background_elsewhere, source)
    if encoding == "integers" and not integers.fits:
        raise ScanError(
            f"{source}: its values are not integers of 16 bits times a slope of {slope:g} plus {intercept:g}, as the "
            "encoding 'integers' expects; use 'auto' or 'codes'."
        )
    encoding = ("integers" if integers.fits else "codes") if encoding == "auto" else encoding
    write = {"integers": _write_integers, "codes": _write_codes, "float32": _write_float32}[encoding]
    values, numbers = write(frames, read, len(voxels), integers, of_voxels)
    return PackedValues(values, encoding, *numbers, of_scan, of_voxels.statistics())


_Read = Callable[[slice], torch.Tensor]
_Numbers = tuple[float, float, int, "int | None"]


def _statistics(
    frames: StoredFrames, read: _Read, num_voxels: int, integers: _IntegerSource, elsewhere: bool, source: str
) -> tuple[GlobalStatistics, VoxelMoments]:
    """First reading: statistics, integers, and what makes a scan useless."""
    of_scan, of_voxels = GlobalMoments(), VoxelMoments()
    broken, first_broken = 0, 0
    for run in frames.runs(num_voxels):
        values = read(run)
        # the network sees float32; statistics of more digits would not be those of what it sees
        seen = values.float()
        # one sum is cheaper than a test of each element, and NaN and infinity survive it
        if not math.isfinite(float(seen.sum(dtype=torch.float64))):
            per_frame = (~torch.isfinite(seen)).sum(dim=1)
            if broken == 0:
                first_broken = frames.first_frame + run.start + int(per_frame.nonzero()[0])
            broken += int(per_frame.sum())
        if broken == 0:
            integers.update(values)
            seen = seen.double()
            of_scan.update(seen)
            of_voxels.update(seen)
    if broken:
        raise ScanError(
            f"{source}: {broken} elements within the mask are NaN or infinite (the first in frame {first_broken}), "
            "expected finite values; set them to 0 or give a mask without these voxels."
        )
    if of_scan.count == 0:
        raise ScanError(
            f"{source}: all {num_voxels * len(frames)} elements within the mask are 0, expected a scan with signal; "
            "check the file and its mask."
        )
    return of_scan.statistics(elsewhere), of_voxels


def _write_integers(
    frames: StoredFrames, read: _Read, num_voxels: int, integers: _IntegerSource, of_voxels: VoxelMoments
) -> tuple[torch.Tensor, _Numbers]:
    dtype, offset = integers.storage()
    out = torch.empty((len(frames), num_voxels), dtype=dtype)
    for run in frames.runs(num_voxels):
        out[run] = integers.integers(read(run)).sub_(offset).to(dtype)
    zero = None if integers.zero is None else integers.zero - offset
    return out, (integers.slope, integers.intercept, offset, zero)


def _write_codes(
    frames: StoredFrames, read: _Read, num_voxels: int, integers: _IntegerSource, of_voxels: VoxelMoments
) -> tuple[torch.Tensor, _Numbers]:
    count = len(frames)
    # one frame has no spread: any scale will do
    scale = (max(count, 2) - 1) / math.sqrt(max(count, 2)) / LARGEST_CODE
    mean, std = of_voxels.exact()
    divisor = std.masked_fill(std.float() == 0, math.inf)
    out = torch.empty((count, num_voxels), dtype=torch.int16)
    for run in frames.runs(num_voxels):
        values = read(run).float().double()
        codes = ((values - mean) / divisor / scale).round_().clamp_(-LARGEST_CODE, LARGEST_CODE)
        out[run] = codes.masked_fill_(values == 0, ZERO_CODE).to(torch.int16)
    return out, (scale, 0.0, 0, ZERO_CODE)


def _write_float32(
    frames: StoredFrames, read: _Read, num_voxels: int, integers: _IntegerSource, of_voxels: VoxelMoments
) -> tuple[torch.Tensor, _Numbers]:
    out = torch.empty((len(frames), num_voxels), dtype=torch.float32)
    for run in frames.runs(num_voxels):
        out[run] = read(run).float()
    return out, (1.0, 0.0, 0, None)
