"""Does the score still tell the classes apart within a site or a band of motion, or only between them?"""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monai_tff.contract import Target
from monai_tff.evidence.numbers import chance
from monai_tff.metrics import score_columns
from monai_tff.metrics.intervals import Interval, bootstrap_draws, percentiles
from monai_tff.metrics.values import Values, weighted_auroc

ROUNDING = 1e-12
"""Deviations from a mean that are this small a share of the values are none."""


@dataclasses.dataclass(frozen=True)
class WithinStrata:
    """The main number over all pairs of units, and over pairs of one stratum alone.

    Attributes:
        by: `site` or `motion`.
        units: that the stratum is known of.
        pooled: AUROC or r over all of them.
        pooled_interval: 95 % of a group bootstrap.
        within: AUROC over pairs of units of one stratum; r after the means of each stratum are taken off.
        within_interval: likewise.
        difference: pooled - within.
        p: of a difference above 0, one-sided; None where a number is not defined.
    """

    by: str
    units: int
    pooled: float | None
    pooled_interval: Interval | None
    within: float | None
    within_interval: Interval | None
    difference: float | None
    p: float | None

    def falls_to_chance(self, target: Target) -> bool:
        """Whether the pooled number is above chance and the one within strata is not."""
        if self.pooled_interval is None or self.within_interval is None:
            return False
        return self.pooled_interval[0] > chance(target) >= self.within_interval[0]


def within_strata(
    units: pd.DataFrame, strata: pd.Series, target: Target, by: str, samples: int = 2000, seed: int = 0
) -> WithinStrata:
    """Compares the main number over all units with the one within strata, on the same draws of a group bootstrap.

    With B draws, p = (1 + draws whose difference is at most 0) / (1 + B).

    Args:
        units: of an `Evaluation`, sorted.
        strata: of each unit; units without one are left out.
        target: what is predicted.
        by: what the strata are.
        samples: draws of the bootstrap.
        seed: of the bootstrap.

    Reference:
        The pairs of one stratum as in van Elteren 1960, "On the combination of independent two-sample tests of
        Wilcoxon", each pair counted once.
    """
    known = units[strata.notna()]
    levels = np.unique(strata[strata.notna()].astype(str), return_inverse=True)[1]
    compute = partial(
        main_numbers,
        truth=known["truth"].to_numpy(float),
        scores=known[score_columns(target)].to_numpy(float),
        levels=levels,
        kind=target.kind,
    )
    values = {name: float(value[0]) for name, value in compute(np.ones((1, len(known)))).items()}
    draws = bootstrap_draws(compute, known["group"].tolist(), samples, seed)
    limits = {name: percentiles(draws[name]) for name in ("pooled", "within")}
    differences = draws["pooled"] - draws["within"]
    differences = differences[np.isfinite(differences)]
    difference = values["pooled"] - values["within"]
    p = None
    if np.isfinite(difference) and differences.size and np.ptp(differences) > 1e-12:
        p = float((1 + (differences <= 0).sum()) / (1 + len(differences)))
    return WithinStrata(
        by,
        len(known),
        _finite(values["pooled"]),
        _limits(limits["pooled"]),
        _finite(values["within"]),
        _limits(limits["within"]),
        _finite(difference),
        p,
    )


def main_numbers(weights: NDArray, *, truth: NDArray, scores: NDArray, levels: NDArray, kind: str) -> Values:
    """The main number of many weightings of the units.

    Args:
        weights: [draws, units].
        truth: [units].
        scores: [units, score columns].
        levels: stratum of each unit, a whole number from 0, [units].
        kind: of the target.

    Returns:
        `pooled`, over all units, and `within`, over pairs of one stratum or after the means of each are taken off.
    """
    everyone = np.zeros_like(levels)
    if kind == "regression":
        number = partial(_correlation, truth, scores[:, 0])
        return {"pooled": number(everyone, weights), "within": number(levels, weights)}
    columns = [(truth == 1, scores[:, 0])]
    if kind == "multiclass":
        columns = [(truth == index, scores[:, index]) for index in range(scores.shape[1])]
    return {
        name: np.mean([_auroc(positive, score, inside, weights) for positive, score in columns], axis=0)
        for name, inside in (("pooled", everyone), ("within", levels))
    }


def _auroc(positive: NDArray, score: NDArray, levels: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """Share of ordered pairs among the pairs of one level; NaN where there are none."""
    ordered, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for level in range(int(levels.max()) + 1):
        inside = levels == level
        own = weights[:, inside]
        number = (own * positive[inside]).sum(axis=1) * (own * ~positive[inside]).sum(axis=1)
        area = weighted_auroc(positive[inside], score[inside], own)
        ordered += np.where(number > 0, area, 0) * number
        pairs += number
    return ordered / np.where(pairs > 0, pairs, np.nan)


def _correlation(truth: NDArray, score: NDArray, levels: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """Pearson's r after the weighted means of each level are taken off."""
    left = [np.zeros(weights.shape), np.zeros(weights.shape)]
    for level in range(int(levels.max()) + 1):
        inside = levels == level
        own = weights[:, inside]
        total = own.sum(axis=1, keepdims=True)
        for rest, values in zip(left, (truth[inside], score[inside]), strict=True):
            rest[:, inside] = values - (own @ values)[:, None] / np.where(total == 0, 1, total)
    squares = []
    for rest, values in zip(left, (truth, score), strict=True):
        square = (weights * rest**2).sum(axis=1)
        # what rounding leaves of equal values, whatever their unit
        squares.append(np.where(square > ROUNDING**2 * (weights @ values**2), square, np.nan))
    return (weights * left[0] * left[1]).sum(axis=1) / np.sqrt(squares[0] * squares[1])


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _limits(interval: Interval) -> Interval | None:
    return interval if np.isfinite(interval).all() else None
