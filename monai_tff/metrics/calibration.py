"""A temperature and a threshold, fitted on subjects that the network was not trained on and is not tested on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax

from monai_tff.contract import Target
from monai_tff.metrics.aggregation import aggregate, checked_windows, mean_scores, score_columns
from monai_tff.metrics.subject import FEW_SUBJECTS
from monai_tff.metrics.units import check_truth
from monai_tff.metrics.values import log_losses

BOUNDS = (0.05, 20.0)
"""A temperature beyond these is not believed: the scores then all but separate the classes, or do not follow them."""

LEAST_UNITS = 10
GRID = 21
TINY = float(np.finfo(np.float32).tiny)
NEARLY_ONE = 1 - 2.0**-24
"""Probabilities were float32: 0 may be anything below the first number, 1 anything above the second."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What `fit_calibration` found.

    Attributes:
        temperature: that logits are divided by, 1 where none could be fitted.
        threshold: probability above which class 1 is named, 0.5 where none could be fitted.
        units: scoring units that it was fitted on.
        cross_entropy_before: of the scoring units at temperature 1; None for a regression.
        cross_entropy_after: of the scoring units at the fitted temperature; None for a regression.
        warnings: sentences on what could not be fitted, or only on few subjects.
    """

    temperature: float = 1.0
    threshold: float = 0.5
    units: int = 0
    cross_entropy_before: float | None = None
    cross_entropy_after: float | None = None
    warnings: list[str] = dataclasses.field(default_factory=list)


def fit_calibration(windows: pd.DataFrame, target: Target, flat: bool = False) -> Calibration:
    """Fits a temperature, and for two classes a threshold, to the scores of validation subjects.

    The temperature T minimises the cross-entropy of the scoring units. As in `OutputsToScores` it divides the logits
    of each window, before windows are averaged to units. It is sought between 0.05 and 20; where it would be one of
    these, where every window is right (the best temperature is then 0), where a class is absent or where there are
    fewer than 10 units it stays 1. The threshold has the highest balanced accuracy on the calibrated units, among the
    midpoints between neighbouring scores; of several the one closest to 0.5. Nothing is fitted for a regression.

    Args:
        windows: table of windows as for `aggregate`, with probabilities at temperature 1.
        target: what is predicted.
        flat: average over windows at once, as the evaluation will.

    Returns:
        Temperature, threshold and warnings. The order of the rows does not matter.

    Raises:
        DatalistError: for a table that `aggregate` refuses, or a unit without a truth.
        ContractError: for scores that are no probabilities.

    Reference:
        Guo, Pleiss, Sun, Weinberger 2017, "On calibration of modern neural networks", section 4.2.
    """
    units = aggregate(windows, target, flat)
    check_truth(units, target)
    if target.kind == "regression":
        return Calibration(units=len(units))
    truth = units["truth"].to_numpy(int)
    table, keys = checked_windows(windows, target)

    def scores_at(temperature: float) -> NDArray:
        warmed = with_temperature(table, target, temperature)
        return mean_scores(warmed, keys, score_columns(target), flat).to_numpy()

    def cross_entropy(log_temperature: float) -> float:
        return float(log_losses(truth, scores_at(np.exp(log_temperature))).mean())

    temperature, warnings = 1.0, _obstacles(truth, target) or _all_right(table, target)
    if not warnings:
        temperature, warnings = _temperature(cross_entropy)
    scores, threshold = scores_at(temperature), 0.5
    if target.kind == "binary":
        threshold, more = _threshold(truth == 1, scores[:, 0], target)
        warnings = [*warnings, *more, *_few(units, target)]
    after = float(log_losses(truth, scores).mean())
    return Calibration(temperature, threshold, len(units), cross_entropy(0.0), after, warnings)


def with_temperature(windows: pd.DataFrame, target: Target, temperature: float) -> pd.DataFrame:
    """Divides the logits behind the probabilities of windows by a temperature.

    Args:
        windows: table of windows, with probabilities at temperature 1.
        target: what is predicted; the values of a regression stay.
        temperature: greater than 0; above 1 the probabilities come closer to each other.

    Returns:
        A copy with sigmoid(logit(p) / temperature) for two classes, softmax(log(p) / temperature) for several. A
        probability that float32 could not tell from 0 or 1 counts as the nearest that it can.

    Raises:
        ValueError: for a temperature that is not greater than 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, expected a number greater than 0.")
    columns = score_columns(target)
    table = windows.copy()
    if target.kind == "regression" or temperature == 1:
        return table
    scores = table[columns].to_numpy(float)
    if target.kind == "binary":
        table[columns] = expit(logit(np.clip(scores, TINY, NEARLY_ONE)) / temperature)
    else:
        table[columns] = softmax(np.log(np.maximum(scores, TINY)) / temperature, axis=1)
    return table


def _obstacles(truth: NDArray, target: Target) -> list[str]:
    """Why no temperature can be fitted."""
    absent = [f"'{name}'" for index, name in enumerate(target.class_names) if not (truth == index).any()]
    if absent:
        return [f"temperature 1, not fitted: there is no validation subject of class {', '.join(absent)}."]
    if len(truth) < LEAST_UNITS:
        return [f"temperature 1, not fitted: only {len(truth)} validation units (fewer than {LEAST_UNITS})."]
    return []


def _all_right(table: pd.DataFrame, target: Target) -> list[str]:
    """Says so where the cross-entropy goes to 0 with the temperature: its minimum is no estimate then.

    Clipped float32 probabilities hide the bound: the smallest cross-entropy may seem to lie well above it.
    """
    scores, truth = table[score_columns(target)].to_numpy(), table["truth"].to_numpy(int)
    if target.kind == "binary":
        scores = np.hstack([1 - scores, scores])
    others = np.where(np.arange(scores.shape[1]) == truth[:, None], -np.inf, scores).max(axis=1)
    if not (scores[np.arange(len(truth)), truth] > others).all():
        return []
    return ["temperature 1, not fitted: the scores of all validation windows are on the side of their class."]


def _temperature(cross_entropy: Callable[[float], float]) -> tuple[float, list[str]]:
    """The best temperature; a grid first, since the averages over windows may have several minima."""
    grid = np.linspace(np.log(BOUNDS[0]), np.log(BOUNDS[1]), GRID)
    best = int(np.argmin([cross_entropy(value) for value in grid]))
    around = grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)]
    found = minimize_scalar(cross_entropy, bounds=around, method="bounded", options={"xatol": 1e-6})
    log_temperature = float(found.x)
    for bound, reason in zip(BOUNDS, ("all but separate the classes", "do not follow the classes"), strict=True):
        if abs(log_temperature - np.log(bound)) < 1e-3:
            return 1.0, [f"temperature 1, not fitted: the best is at the bound {bound:g}, the scores {reason}."]
    if cross_entropy(log_temperature) > cross_entropy(0.0):
        return 1.0, []
    return float(np.exp(log_temperature)), []


def _threshold(positive: NDArray, score: NDArray, target: Target) -> tuple[float, list[str]]:
    if positive.all() or not positive.any():
        absent = target.class_names[0 if positive.all() else 1]
        return 0.5, [f"threshold 0.5, not fitted: there is no validation subject of class '{absent}'."]
    scores = np.unique(score)
    candidates = (scores[1:] + scores[:-1]) / 2
    if not len(candidates):
        return 0.5, ["threshold 0.5, not fitted: the scores of all validation subjects are equal."]
    named = score > candidates[:, None]
    # balanced accuracy times the sizes of both classes: whole numbers, of which equal ones compare as equal
    hits = (named & positive).sum(axis=1) * (~positive).sum() + (~named & ~positive).sum(axis=1) * positive.sum()
    best = candidates[hits == hits.max()]
    return float(best[np.argmin(np.abs(best - 0.5))]), []


def _few(units: pd.DataFrame, target: Target) -> list[str]:
    numbers = [units.loc[units["truth"] == index, "subject"].nunique() for index in range(len(target.class_names))]
    return [
        f"threshold fitted on only {number} validation subjects of class '{name}' (fewer than {FEW_SUBJECTS})."
        for name, number in zip(target.class_names, numbers, strict=True)
        if 0 < number < FEW_SUBJECTS
    ]
