"""Is one better than another? Differences on the same scoring units, and p values of several comparisons."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monai_tff.contract import Target
from monai_tff.errors import DatalistError
from monai_tff.metrics.intervals import Interval, bootstrap_draws, is_degenerate, percentiles
from monai_tff.metrics.units import NumberOfUnits, check_truth, in_order, value_function
from monai_tff.metrics.values import Values, weighted_auroc

FEW_GROUPS = 10


@dataclasses.dataclass(frozen=True)
class PairedDifference:
    """What `paired_difference` found.

    Attributes:
        statistic: name of the number that was compared.
        first: its value for the first table, None where it is not defined.
        second: its value for the second table.
        difference: first - second; whether more is better depends on the statistic.
        interval: 95 % interval of the difference, None where there is none.
        p: two-sided, None where there is none.
        p_holm: p corrected by `holm` for the comparisons it is listed with, None until then.
        units: scoring units, the same in both tables.
        groups: groups that the bootstrap draws.
        samples: draws of the bootstrap.
        seed: of the bootstrap.
        warnings: sentences that every output has to repeat.
    """

    statistic: str
    first: float | None
    second: float | None
    difference: float | None
    interval: Interval | None
    p: float | None
    p_holm: float | None
    units: int
    groups: int
    samples: int
    seed: int
    warnings: list[str]


def paired_difference(
    first: pd.DataFrame,
    second: pd.DataFrame,
    target: Target,
    statistic: str | None = None,
    samples: int = 2000,
    seed: int = 0,
    thresholds: tuple[NumberOfUnits, NumberOfUnits] = (0.5, 0.5),
) -> PairedDifference:
    """Compares the scores of two methods on the same scoring units.

    Both are evaluated on the same draws of a bootstrap over groups. The interval is that of the percentiles; with B
    draws p = 2 * min(1 + draws of at most 0, 1 + draws of at least 0) / (1 + B), at most 1 (Davison and Hinkley 1997,
    "Bootstrap Methods and their Application", sections 3.8 and 4.4).

    Args:
        first: table of `aggregate`.
        second: table of `aggregate`, of the same units.
        target: what is predicted.
        statistic: name of a number of `evaluate_units`; None takes `auroc` for classes and `pearson_r` for a number.
        samples: draws of the bootstrap.
        seed: of the bootstrap.
        thresholds: of both tables, each one number or one per row, for numbers that depend on it.

    Returns:
        The difference, its interval and p. The order of the rows does not matter.

    Raises:
        DatalistError: if the tables differ in their units, groups or truths, or a truth is missing.
        ValueError: for a number that there is not.
    """
    name = statistic or ("pearson_r" if target.kind == "regression" else "auroc")
    for table in (first, second):
        check_truth(table, target)
    tables = [in_order(table, limits) for table, limits in zip((first, second), thresholds, strict=True)]
    _check_same(tables[0][0], tables[1][0])
    compute = partial(_differences, name, [_values_of(table, target, limits, name) for table, limits in tables])
    one, other, difference = (float(value[0]) for value in compute(np.ones((1, len(first)))).values())
    groups = [str(group) for group in tables[0][0]["group"]]
    draws = bootstrap_draws(compute, groups, samples, seed)["difference"]
    interval, p, warnings = _interval_and_p(difference, draws[np.isfinite(draws)])
    numbers = (_number(one), _number(other), _number(difference))
    sizes, warnings = (len(groups), len(set(groups))), [*warnings, *_few(len(set(groups)))]
    return PairedDifference(name, *numbers, interval, p, None, *sizes, samples, seed, warnings)


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Corrects p values for their number, by Holm's step-down procedure.

    Args:
        p_values: name of each comparison to its p value; None, where there is none, does not count.

    Returns:
        The corrected values under the same names, at most 1.

    Reference:
        Holm 1979, "A simple sequentially rejective multiple test procedure".

    Example:
        >>> holm({"a": 0.01, "b": 0.04, "c": None})
        {'a': 0.02, 'b': 0.04, 'c': None}
    """
    known = sorted((p, name) for name, p in p_values.items() if p is not None)
    corrected: dict[str, float | None] = dict.fromkeys(p_values)
    largest = 0.0
    for index, (p, name) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - index) * p))
        corrected[name] = largest
    return corrected


def _check_same(first: pd.DataFrame, second: pd.DataFrame) -> None:
    """Refuses tables that were not made of the same units."""
    names = ["subject", "session", "group", "truth"]
    one, other = (
        table[names].astype(object).where(table[names].notna(), "").astype({"truth": float, "group": str})
        for table in (first, second)
    )
    who = [set(zip(table["subject"], table["session"], strict=True)) for table in (one, other)]
    if who[0] != who[1]:
        subject, session = min(who[0] ^ who[1])
        raise DatalistError(
            f"comparison: subject '{subject}'{f' session {session!r}' if session else ''} is in one of the two tables "
            f"only ({len(first)} and {len(second)} units), expected the same units in both; evaluate both on the same "
            "split."
        )
    for name in ("group", "truth"):
        differs = (one[name] != other[name]).to_numpy()
        if differs.any():
            row = int(np.flatnonzero(differs)[0])
            raise DatalistError(
                f"comparison: {name} of subject '{one['subject'][row]}' is {one[name][row]} in the first table and "
                f"{other[name][row]} in the second, expected the same; evaluate both with the same datalist."
            )


def _values_of(table: pd.DataFrame, target: Target, limits: NDArray, name: str) -> Callable[[NDArray], Values]:
    if (target.kind, name) == ("binary", "auroc"):  # alone: the logistic fits of the others would take longer than it
        positive, score = table["truth"].to_numpy(float) == 1, table["score"].to_numpy(float)
        return lambda weights: {name: weighted_auroc(positive, score, weights)}
    return value_function(table, target, limits)


def _differences(name: str, functions: Sequence[Callable[[NDArray], Values]], weights: NDArray) -> Values:
    values = [function(weights) for function in functions]
    if name not in values[0]:
        raise ValueError(f"statistic is '{name}', expected one of {', '.join(values[0])}.")
    # an infinite slope, of scores that separate the classes, has no difference to another
    first, second = (np.where(np.isfinite(value[name]), value[name], np.nan) for value in values)
    return {"first": first, "second": second, "difference": first - second}


def _few(groups: int) -> list[str]:
    number = f"{groups} group{'s' if groups != 1 else ''}"
    return [f"only {number} (fewer than {FEW_GROUPS}): this difference is uncertain."] if groups < FEW_GROUPS else []


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _interval_and_p(difference: float, draws: NDArray) -> tuple[Interval | None, float | None, list[str]]:
    if not np.isfinite(difference) or not draws.size:
        return None, None, ["no difference: the number is not defined for both tables."]
    low, high = percentiles(draws)
    if is_degenerate((low, high)):
        alike = abs(difference) < 1e-12
        return None, 1.0 if alike else None, ["no interval: every bootstrap draw gives the same difference."]
    tail = min((draws <= 0).sum(), (draws >= 0).sum())
    p = min(1.0, 2 * (1 + int(tail)) / (1 + len(draws)))
    return (min(low, difference), max(high, difference)), p, []
