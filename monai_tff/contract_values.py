"""The kinds of values that an input contract takes, each refused by a sentence that names its key."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from monai_tff.errors import ContractError

AXES = ("RL", "AP", "SI")


def whole_numbers(key: str, value: Any, count: int, least: int) -> tuple[int, ...]:
    """A list of whole numbers.

    Args:
        key: of the contract.
        value: what it was given.
        count: how many numbers there must be.
        least: the smallest that each may be.

    Raises:
        ContractError: naming the key.
    """
    if not _is_list(value, count) or not all(_is_whole(number) and number >= least for number in value):
        _refuse(key, value, f"{count} whole numbers of at least {least}")
    return tuple(int(number) for number in value)


def whole_number(key: str, value: Any, least: int) -> int:
    """One whole number, see `whole_numbers`."""
    if not _is_whole(value) or value < least:
        _refuse(key, value, f"a whole number of at least {least}")
    return int(value)


def positive_numbers(key: str, value: Any, count: int) -> tuple[float, ...]:
    """A list of numbers above 0.

    Raises:
        ContractError: naming the key.
    """
    if not _is_list(value, count) or not all(_is_positive(number) for number in value):
        _refuse(key, value, f"{count} numbers above 0")
    return tuple(float(number) for number in value)


def positive_number(key: str, value: Any) -> float:
    """One number above 0, see `positive_numbers`."""
    if not _is_positive(value):
        _refuse(key, value, "a number above 0")
    return float(value)


def inner_probability(key: str, value: Any) -> float:
    """One number above 0 and below 1.

    Raises:
        ContractError: naming the key.
    """
    if not _is_positive(value) or value >= 1:
        _refuse(key, value, "a number above 0 and below 1")
    return float(value)


def slices(key: str, value: Any) -> tuple[tuple[int | None, int | None], ...]:
    """A start and a stop for each axis, as in a Python slice; None for a whole axis.

    Raises:
        ContractError: naming the key.
    """
    whole = (None, None)
    pairs: list[Any] = [whole if bounds is None else bounds for bounds in value] if _is_list(value, 3) else [()]
    if not all(_is_list(pair, 2) and all(end is None or _is_whole(end) for end in pair) for pair in pairs):
        _refuse(key, value, "a [start, stop] for each of 3 axes, or null")
    return tuple((pair[0], pair[1]) for pair in pairs)


def orientation(key: str, value: Any) -> str:
    """Three letters, one of each of R/L, A/P and S/I.

    Raises:
        ContractError: naming the key.
    """
    pairs = sorted(next((pair for pair in AXES if letter in pair), "") for letter in str(value))
    if not isinstance(value, str) or pairs != sorted(AXES):
        _refuse(key, value, "one of R/L, A/P and S/I each, such as RAS, or null")
    return value


def _is_list(value: Any, count: int) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) == count


def _is_whole(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and float(value).is_integer()


def _is_positive(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value) and value > 0


def _refuse(key: str, value: Any, expected: str) -> None:
    raise ContractError(f"input contract: {key} is {value!r}, expected {expected}; correct it in the configuration.")
