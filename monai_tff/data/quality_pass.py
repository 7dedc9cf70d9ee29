"""What the voxels of a scan show, collected from its frames in one pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from monai_tff.data.content import VoxelHash
from monai_tff.data.header import ScanHeader

LARGEST = float(np.finfo(np.float32).max)
"""Beyond this a value is infinite in the float32 that a network sees."""

STEADY_STATE_TOLERANCE = 0.05
"""How far the mean of a frame at the start of a scan may be above the median frame's before it is not steady state."""


class VoxelPass:
    """Collects facts from runs of frames; memory is that of a run and three volumes.

    Means, extremes and spread are of the elements that are not 0 in the chosen voxels: those of the mask, without one
    those that are not 0 throughout the first run.

    Args:
        header: of the scan.
        mask: bool [X * Y * Z], the first axis fastest, or None.
    """

    def __init__(self, header: ScanHeader, mask: np.ndarray | None) -> None:
        self._slope, self._intercept = header.slope, header.intercept
        self._mask = mask
        self._chosen = None if mask is None else np.flatnonzero(mask)
        self._hash = VoxelHash()
        self._top = np.iinfo(header.dtype).max if header.dtype.kind in "iu" else None
        self._always_finite = self._top is not None and self._in_range(float(self._top) + 1)
        self._first: np.ndarray = np.empty(0)
        self._previous: np.ndarray = np.empty(0)
        self._still: np.ndarray = np.empty(0, np.int64)  # voxels that have not changed since the first frame
        self._frames = self._background = self._saturated = self._negative = self._repeated = 0
        self._broken = self._broken_in_mask = 0
        self._first_broken: int | None = None
        self._count, self._mean, self._squares = 0, 0.0, 0.0
        self._low, self._high = math.inf, -math.inf
        self._frame_sums: list[float] = []
        self._empty_frames = 0

    def update(self, run: np.ndarray) -> None:
        """Adds the next frames.

        Args:
            run: stored values [frames, X * Y * Z], as `stored_runs` yields them.
        """
        self._hash.update(run)
        self._watch_changes(run)
        # without an intercept a value is 0 where the stored one is
        zeros = run.size - int(np.count_nonzero(run if self._intercept == 0 else self._scaled(run)))
        self._background += zeros
        if self._chosen is None and zeros < run.size:
            self._chosen = np.flatnonzero(self._scaled(run).any(axis=0))
        stored = run[:, np.empty(0, np.int64) if self._chosen is None else self._chosen]
        if self._top is not None:
            self._saturated += int(np.count_nonzero(stored == self._top))
        values = self._scaled(stored)
        if not self._always_finite and self._count_not_finite(run):
            with np.errstate(invalid="ignore"):
                values[~(np.abs(values) <= LARGEST)] = 0  # counted already: background for the rest
        self._watch_values(values, run)
        self._frames += len(run)
        self._previous = run[-1].copy()

    def facts(self) -> dict[str, Any]:
        """What all frames together show; the keys are attributes of `ScanFacts`."""
        grid = len(self._first)
        elements = self._frames * grid
        values = self._frames * len(self._chosen if self._chosen is not None else ())
        first = self._scaled(self._first[self._still])
        zero, constant = self._still[first == 0], self._still[first != 0]
        std = math.sqrt(self._squares / (self._count - 1)) if self._count > 1 else 0.0
        known = self._count > 0
        return {
            "content": self._hash.hexdigest(),
            "background_fraction": self._background / elements,
            "zero_voxels": len(zero),
            "constant_voxels": len(constant),
            "mask_zero_voxels": None if self._mask is None else int(self._mask[zero].sum()),
            "mask_constant_voxels": None if self._mask is None else int(self._mask[constant].sum()),
            "not_finite": self._broken,
            "not_finite_in_mask": None if self._mask is None else self._broken_in_mask,
            "first_not_finite_frame": self._first_broken,
            "minimum": self._low if known else None,
            "maximum": self._high if known else None,
            "mean": self._mean if known else None,
            "std": std if known else None,
            "negative_fraction": self._negative / self._count if known else None,
            "saturated_fraction": self._saturated / values if values else 0.0,
            "empty_frames": self._empty_frames,
            "repeated_frames": self._repeated,
            "frames_before_steady_state": self._bright_start(),
        }

    def _scaled(self, stored: np.ndarray) -> np.ndarray:
        values = stored.astype(np.float64)
        if self._slope != 1:
            values *= self._slope
        if self._intercept != 0:
            values += self._intercept
        return values

    def _watch_changes(self, run: np.ndarray) -> None:
        if self._frames == 0:
            self._first = run[0].copy()
            self._still = np.arange(len(self._first))
        whole = len(self._still) == len(self._first)
        now = run if whole else run[:, self._still]
        self._still = self._still[(now == self._first[self._still]).all(axis=0)]

    def _in_range(self, stored: float) -> bool:
        return abs(stored * self._slope) + abs(self._intercept) <= LARGEST

    def _count_not_finite(self, run: np.ndarray) -> int:
        with np.errstate(invalid="ignore", over="ignore"):
            # NaN and infinity survive the maximum, which is cheaper than a test of each element
            if self._in_range(float(np.abs(run).max())):
                return 0
            broken = ~(np.abs(self._scaled(run)) <= LARGEST)
        per_frame = broken.sum(axis=1)
        found = int(per_frame.sum())
        if found and self._first_broken is None:
            self._first_broken = self._frames + int(per_frame.nonzero()[0][0])
        self._broken += found
        if self._mask is not None:
            self._broken_in_mask += int(broken[:, self._mask].sum())
        return found

    def _watch_values(self, values: np.ndarray, run: np.ndarray) -> None:
        """Moments, extremes and frames of the chosen voxels."""
        sums, counts = values.sum(axis=1), np.count_nonzero(values, axis=1)
        self._empty_frames += int((counts == 0).sum())
        self._count_repeated(run, sums, counts)
        self._frame_sums += sums.tolist()
        count = int(counts.sum())
        if count == 0:
            return
        kept = values if count == values.size else values[values != 0]
        self._low, self._high = min(self._low, float(kept.min())), max(self._high, float(kept.max()))
        self._negative += int((kept < 0).sum())
        mean = float(kept.mean())
        squares = float(np.square(kept - mean).sum())
        # two groups become one (Chan, Golub and LeVeque 1979)
        total, distance = self._count + count, mean - self._mean
        self._squares += squares + distance**2 * self._count * count / total
        self._mean += distance * count / total
        self._count = total

    def _count_repeated(self, run: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> None:
        """Frames equal to the one before them; only those with equal sums are compared."""
        for number in range(len(run)):
            if number:
                sum_before, before = sums[number - 1], run[number - 1]
            elif self._frame_sums:
                sum_before, before = self._frame_sums[-1], self._previous
            else:
                continue
            if counts[number] and sums[number] == sum_before and np.array_equal(run[number], before):
                self._repeated += 1

    def _bright_start(self) -> int:
        """Frames at the start that are brighter than the scan's median frame."""
        sums = np.asarray(self._frame_sums)
        middle = float(np.median(sums))
        steady = sums <= middle + STEADY_STATE_TOLERANCE * abs(middle)
        return int(np.argmax(steady)) if middle > 0 else 0
