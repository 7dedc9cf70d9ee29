"""Packing the voxels of a mask into one to four bytes per frame, with statistics from the unquantised values.

Four encodings. `integers`: the source's own integers; `value = (stored + offset) * slope + intercept`. `codes`:
`stored * scale` is the voxel normalisation itself, `(x - mean_v) / std_v`. It cannot leave +-(N - 1) / sqrt(N) for N
frames (Samuelson's inequality), so `scale = (N - 1) / sqrt(N) / 32767` needs no clipping and the error is at most
half a scale, 1e-3 of a voxel's standard deviation for up to 4,000 frames. `codes8`: the same in one byte; the bound
would be too wide for it, so the scale follows from the largest value that the scan has. `float32`: the values as they
are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from monai_tff.data.frames import StoredFrames
from monai_tff.data.integers import IntegerSource
from monai_tff.data.packed_numbers import ENCODINGS, PackedNumbers, PackedValues
from monai_tff.errors import ConfigError, ScanError
from monai_tff.transforms.statistics import FrameMoments, GlobalMoments

ZERO_CODE = -32768
"""Code of an exact zero, which the two-channel normalisation treats as background."""

LARGEST_CODE = 32767
ZERO_CODE_8 = -128
LARGEST_CODE_8 = 127


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
    """Packs some voxels of a scan in memory; arguments and errors are those of `measure`.

    Returns:
        Values [T, V] and statistics.
    """
    numbers = measure(
        frames,
        voxels,
        slope=slope,
        intercept=intercept,
        encoding=encoding,
        background_elsewhere=background_elsewhere,
        source=source,
    )
    values = torch.empty((len(frames), len(voxels)), dtype=numbers.dtype)
    for run, packed in packed_runs(frames, voxels, numbers):
        values[run] = packed
    known = {field.name: getattr(numbers, field.name) for field in dataclasses.fields(numbers)}
    return PackedValues(**known, values=values)


def measure(
    frames: StoredFrames,
    voxels: torch.Tensor,
    *,
    slope: float = 1.0,
    intercept: float = 0.0,
    encoding: str = "auto",
    background_elsewhere: bool = False,
    source: str = "the scan",
) -> PackedNumbers:
    """Reads some voxels of a scan once, a few frames at a time, and finds out how they are packed.

    Args:
        frames: the trimmed scan.
        voxels: int64 [V], positions of the voxels to keep, in their order.
        slope: the source's scaling, to find its integers again.
        intercept: likewise.
        encoding: `auto` (integers where the source has them, else codes), `integers`, `codes`, `codes8` or `float32`.
        background_elsewhere: the grid has voxels besides these; they are background.
        source: the scan's file, for messages.

    Returns:
        Encoding and statistics.

    Raises:
        ScanError: for NaN or infinite elements, if all are 0, or if `integers` are asked for and there are none.
        ConfigError: for an unknown encoding.
    """
    if encoding != "auto" and encoding not in ENCODINGS:
        raise ConfigError(f"encoding is '{encoding}', expected auto, {', '.join(ENCODINGS)}.")
    if encoding in ("auto", "integers"):
        integers = IntegerSource(frames, slope, intercept)
        moments = _integer_moments(frames, voxels, integers)
        if moments is not None:
            _refuse_no_signal(moments, source)
            return _as_integers(integers, moments, background_elsewhere)
    moments = _real_moments(frames, voxels, encoding == "codes8", source)
    _refuse_no_signal(moments, source)
    if encoding == "integers":
        raise ScanError(
            f"{source}: its values are not integers of 16 bits times a slope of {slope:g} plus {intercept:g}, as the "
            "encoding 'integers' expects; use 'auto' or 'codes'."
        )
    return _as_real("codes" if encoding == "auto" else encoding, moments, background_elsewhere)


def packed_runs(
    frames: StoredFrames, voxels: torch.Tensor, numbers: PackedNumbers
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Reads the same voxels once more and packs them.

    Yields:
        Frames and their packed values, [frames, V].
    """
    if numbers.source is not None:
        take = frames.stored_reader(voxels)
        for run in frames.runs(len(voxels)):
            integers = numbers.source.integers(take(run))
            yield run, (integers - numbers.offset if numbers.offset else integers).to(numbers.dtype)
        return
    read = _seen_reader(frames, voxels)
    for run in frames.runs(len(voxels)):
        seen = read(run)
        yield run, seen if numbers.encoding == "float32" else _codes(seen, numbers)


def _codes(seen: torch.Tensor, numbers: PackedNumbers) -> torch.Tensor:
    """Codes of some frames, float32 [frames, V]."""
    largest = LARGEST_CODE if numbers.dtype == torch.int16 else LARGEST_CODE_8
    factor = 1.0 / (numbers.exact_std.masked_fill(numbers.exact_std.float() == 0, math.inf) * numbers.slope)
    out = torch.empty(seen.shape, dtype=numbers.dtype)
    distance = torch.empty(seen.shape[1], dtype=torch.float64)
    # frame by frame, so that what is computed with stays in the processor's cache
    for frame, codes in zip(seen, out, strict=True):
        distance.copy_(frame).sub_(numbers.exact_mean).mul_(factor)
        codes.copy_(distance.round_().clamp_(-largest, largest))
        if int(torch.count_nonzero(frame)) < len(frame):
            codes.masked_fill_(frame == 0, numbers.zero_code or 0)
    return out


def _seen_reader(frames: StoredFrames, voxels: torch.Tensor) -> Callable[[slice], torch.Tensor]:
    """Reads real values rounded to float32, as the network sees them."""
    if frames.rows.dtype == np.float32 and (frames.slope, frames.intercept) == (1.0, 0.0):
        take = frames.stored_reader(voxels)
        return lambda run: torch.from_numpy(take(run))
    read = frames.reader(voxels)
    return lambda run: read(run).float()


def _integer_moments(frames: StoredFrames, voxels: torch.Tensor, integers: IntegerSource) -> FrameMoments | None:
    """Moments of the integers behind a scan, None where there are none of 16 bits."""
    moments = FrameMoments(len(voxels), integers.zero)
    take = frames.stored_reader(voxels)
    for run in frames.runs(len(voxels)):
        stored = take(run)
        values = integers.integers(stored)
        if not integers.explain(values, stored):
            return None
        moments.update(values)
        if moments.high - moments.low >= 2**16:
            return None
    return moments


def _real_moments(frames: StoredFrames, voxels: torch.Tensor, extremes: bool, source: str) -> FrameMoments:
    """Moments of the real values, rounded to float32 as the network sees them."""
    moments = FrameMoments(len(voxels), extremes=extremes)
    read = _seen_reader(frames, voxels)
    broken, first_broken = 0, 0
    for run in frames.runs(len(voxels)):
        seen = read(run)
        if broken == 0:
            moments.update(seen)
        if broken or not moments.is_finite():
            per_frame = (~torch.isfinite(seen)).sum(dim=1)
            if broken == 0:
                first_broken = frames.first_frame + run.start + int(per_frame.nonzero()[0])
            broken += int(per_frame.sum())
    if broken:
        raise ScanError(
            f"{source}: {broken} elements within the mask are NaN or infinite (the first in frame {first_broken}), "
            "expected finite values; set them to 0 or give a mask without these voxels."
        )
    return moments


def _refuse_no_signal(moments: FrameMoments, source: str) -> None:
    if moments.count == 0:
        raise ScanError(
            f"{source}: all {moments.num_elements} elements within the mask are 0, expected a scan with signal; "
            "check the file and its mask."
        )


def _as_integers(integers: IntegerSource, moments: FrameMoments, elsewhere: bool) -> PackedNumbers:
    slope, base = integers.slope, integers.base
    dtype, offset = integers.storage(moments.low, moments.high)
    mean, std = moments.voxels()
    of_scan = moments.scan()
    lowest = of_scan.low if slope > 0 else of_scan.low + moments.high - moments.low
    scaled = GlobalMoments()
    scaled.count, scaled.num_background = of_scan.count, of_scan.num_background
    scaled.mean, scaled.squares = of_scan.mean * slope + base, of_scan.squares * slope**2
    scaled.low = lowest * slope + base
    return PackedNumbers(
        encoding="integers",
        dtype=dtype,
        slope=slope,
        intercept=integers.intercept,
        offset=offset,
        zero_code=None if moments.count == moments.num_elements else int(integers.zero or 0) - offset,
        of_scan=scaled.statistics(elsewhere),
        exact_mean=mean * slope + base,
        exact_std=std * abs(slope),
        source=integers,
    )


def _as_real(encoding: str, moments: FrameMoments, elsewhere: bool) -> PackedNumbers:
    mean, std = moments.voxels()
    count = moments.num_frames
    dtype, scale, zero_code = torch.float32, 1.0, None
    if encoding == "codes":
        # one frame has no spread: any scale will do
        scale = (max(count, 2) - 1) / math.sqrt(max(count, 2)) / LARGEST_CODE
        dtype, zero_code = torch.int16, ZERO_CODE
    elif encoding == "codes8":
        spread = std.masked_fill(std.float() == 0, math.inf)
        largest = float((moments.largest_distance() / spread).max())
        # a scan of constant voxels has no value but 0: any scale will do
        scale = (largest or 1.0) / LARGEST_CODE_8
        dtype, zero_code = torch.int8, ZERO_CODE_8
    of_scan = moments.scan().statistics(elsewhere)
    return PackedNumbers(encoding, dtype, scale, 0.0, 0, zero_code, of_scan, mean, std)
