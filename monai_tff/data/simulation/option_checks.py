"""Checks of a simulated cohort's options: each names the option, what was found and what was expected."""

from __future__ import annotations

import numbers
from collections.abc import Sequence

from monai_tff.errors import ConfigError

TARGETS = ("sex", "age", "diagnosis")
"""What a simulated subject has, and an effect or a confound can follow."""


def one_of(name: str, value: str, known: Sequence[str]) -> None:
    """Refuses a name that is not known.

    Raises:
        ConfigError: naming those that are.
    """
    if value not in known:
        raise ConfigError(f"{name} is '{value}', expected one of {', '.join(known)}.")


def whole(name: str, value: object, lowest: int) -> None:
    """Refuses what is no whole number, or too small a one.

    Raises:
        ConfigError: naming the smallest.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < lowest:
        raise ConfigError(f"{name} is {value}, expected a whole number of {lowest} or more.")


def within(name: str, value: object, low: float, high: float) -> None:
    """Refuses what is no number of a range.

    Raises:
        ConfigError: naming the range.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not low <= float(value) <= high:
        raise ConfigError(f"{name} is {value}, expected a number from {low:g} to {high:g}.")
