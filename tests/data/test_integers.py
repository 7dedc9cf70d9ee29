from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_tff.data.frames import StoredFrames
from monai_tff.data.integers import IntegerSource


def source(stored: np.ndarray, slope: float, intercept: float, *, applied: bool) -> IntegerSource:
    """Of stored integers, or of the real values behind them."""
    values = stored * slope + intercept if applied else stored
    shaped = values.reshape(len(values), -1, 1, 1)
    frames = StoredFrames(shaped) if applied else StoredFrames(shaped, slope, intercept)
    return IntegerSource(frames, slope, intercept)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4"])
def test_stored_integers_are_taken_as_they_are(dtype: str) -> None:
    stored = np.array([[0, 1, 100], [127, 5, 6]], dtype)
    found = source(stored, 0.5, 3.0, applied=False)
    integers = found.integers(stored)
    assert integers.tolist() == stored.tolist()
    assert found.explain(integers, stored)


@pytest.mark.parametrize(("slope", "intercept", "zero", "base"), [
    (1.0, 0.0, 0, 0.0), (0.25, -2.0, 8, 0.0), (2.0, 100.3, None, 100.3), (float("nan"), 4.0, 0, 0.0),
])  # fmt: skip
def test_the_integer_that_means_zero(slope: float, intercept: float, zero: int | None, base: float) -> None:
    found = IntegerSource(StoredFrames(np.ones((1, 1, 1, 1))), slope, intercept)
    assert (found.zero, found.base) == (zero, base)


def test_real_values_are_integers_only_within_rounding() -> None:
    stored = np.array([[3, 900, -5]])
    found = source(stored, 0.7, 0.0, applied=True)
    real = (stored * 0.7).astype(np.float32)
    assert torch.equal(found.integers(real), torch.tensor(stored, dtype=torch.float64))
    assert found.explain(found.integers(real), real)
    real[0, 1] += 0.01
    assert not found.explain(found.integers(real), real)
    real[0, 1] = np.nan
    assert not found.explain(found.integers(real), real)


def test_a_small_value_that_is_not_zero_is_no_integer() -> None:
    real = np.array([[0.0, 1e-30, 5.0]])
    found = source(real, 1.0, 0.0, applied=True)
    assert not found.explain(found.integers(real), real)


@pytest.mark.parametrize(("low", "high", "storage"), [
    (0, 255, (torch.uint8, 0)), (-200, 50, (torch.uint8, -200)), (-300, 300, (torch.int16, 0)),
    (0, 65535, (torch.int16, 2**15)), (-(2**15), 2**15 - 1, (torch.int16, 0)),
])  # fmt: skip
def test_the_smallest_storage(low: int, high: int, storage: tuple) -> None:
    found = IntegerSource(StoredFrames(np.ones((1, 1, 1, 1))), 1.0, 0.0)
    assert found.storage(low, high) == storage
