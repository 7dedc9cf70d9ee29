"""The integers behind a scan: its own, or those that its real values are a slope and an intercept away from."""

from __future__ import annotations

import math

import numpy as np
import torch

from monai_tff.data.frames import StoredFrames, stored_zero

_ROUNDING = 2.0**-23


class IntegerSource:
    """Finds out whether a scan is integers times slope plus intercept.

    Attributes:
        slope: factor from the integers to real values.
        intercept: offset from the integers to real values.
        zero: the integer that means exactly 0, None where none does.
        base: real value that statistics of `integer - zero` start from.

    Args:
        frames: the scan.
        slope: its scaling, as the header says; a useless one counts as 1 and 0.
        intercept: likewise.
    """

    def __init__(self, frames: StoredFrames, slope: float, intercept: float) -> None:
        usable = math.isfinite(slope) and slope != 0 and math.isfinite(intercept)
        self.slope, self.intercept = (slope, intercept) if usable else (1.0, 0.0)
        self.zero = stored_zero(self.slope, self.intercept, integers=True)
        self.base = self.intercept if self.zero is None else 0.0
        scaling = (frames.slope, frames.intercept)
        self._stored = frames.stores_integers and scaling == (self.slope, self.intercept)
        self._scaling = scaling

    def integers(self, stored: np.ndarray) -> torch.Tensor:
        """The integers behind some stored values, of any dtype that holds them."""
        if self._stored:
            # torch cannot compute with unsigned integers of 16 bits and more, and an offset needs a bit more
            wider = {"int8": np.int16, "uint8": np.int16, "uint16": np.int32, "uint32": np.int64, "uint64": np.int64}
            return torch.from_numpy(stored.astype(wider.get(stored.dtype.name, stored.dtype), copy=False))
        return (torch.from_numpy(self._real(stored)) - self.intercept).div_(self.slope).round_()

    def explain(self, integers: torch.Tensor, stored: np.ndarray) -> bool:
        """Whether integers and scaling give the stored values, zeros exactly and the others to float32's precision."""
        if self._stored:
            return True
        values = torch.from_numpy(self._real(stored))
        is_zero = values == 0
        same_zeros = not bool(is_zero.any()) if self.zero is None else torch.equal(integers == self.zero, is_zero)
        if not same_zeros:
            return False
        error = (integers * self.slope).add_(self.intercept).sub_(values).abs_()
        return bool((error <= _ROUNDING * (values.abs() + abs(self.intercept))).all())

    def storage(self, low: float, high: float) -> tuple[torch.dtype, int]:
        """Smallest dtype that holds integers from low to high, and the offset to subtract first."""
        if high - low < 2**8:
            return torch.uint8, int(low)
        if low >= -(2**15) and high < 2**15:
            return torch.int16, 0
        return torch.int16, int(low) + 2**15

    def _real(self, stored: np.ndarray) -> np.ndarray:
        slope, intercept = self._scaling
        return stored.astype(np.float64) * slope + intercept
