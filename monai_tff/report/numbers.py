"""Numbers as the report prints them: rounded for the eye; whole, with file and key, for a program."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from monai_tff.report.html import Element, element

NOTHING = "-"


def rounded(value: float | None, digits: int = 3) -> str:
    """A number for the eye.

    Args:
        value: the number; None and what is not finite are a dash.
        digits: after the point for numbers below 100; larger ones have as many significant digits and two more.

    Example:
        >>> rounded(0.97712), rounded(1234.56), rounded(0.00002), rounded(None)
        ('0.977', '1234.6', '2e-05', '-')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if value != 0 and abs(value) < 0.5 * 10**-digits:
        return f"{value:.1g}"
    if abs(value) < 100:
        return f"{value:.{digits}f}"
    return f"{value:.{digits + 2}g}"


def number(value: float | None, source: str | None = None, digits: int = 3, text: str | None = None) -> Element:
    """A number with its full value.

    Args:
        value: the number; None or NaN where there is none.
        source: file and key that it comes from, `evaluation/metrics.json#values.auroc`.
        digits: see `rounded`.
        text: to be shown in place of the rounded number.
    """
    whole = repr(float(value)) if value is not None and math.isfinite(value) else ""
    return element("data", text or rounded(value, digits), value=whole, data_source=source)


def interval(limits: Sequence[float | None] | None, source: str | None = None, digits: int = 3) -> Element:
    """A 95 % interval in brackets; a dash where there is none."""
    if limits is None or any(limit is None or not math.isfinite(limit) for limit in limits):
        return element("span", NOTHING)
    low, high = limits
    ends = [None if source is None else f"{source}.{position}" for position in (0, 1)]
    return element(
        "span", "[", number(low, ends[0], digits), ", ", number(high, ends[1], digits), "]", class_="interval"
    )


def count(value: Any, what: str, several: str | None = None) -> str:
    """A count with its noun: `1 subject`, `35 subjects`."""
    return f"{value} {what if value == 1 else several or what + 's'}"


def p_value(value: float | None, source: str | None = None) -> Element:
    """A p value: two significant digits below 0.1, two decimals above."""
    if value is None or not math.isfinite(value):
        return number(None, source)
    return number(value, source, text=f"{value:.2g}" if value < 0.1 else f"{value:.2f}")
