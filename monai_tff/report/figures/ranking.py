"""Receiver operating characteristic and precision against recall, with bands from drawing groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from monai_tff.metrics.intervals import bootstrap_intervals
from monai_tff.report.figures.chart import MUTED, SERIES, chart, unit_axes
from monai_tff.report.html import Element

DRAWS = 500
GRID = np.linspace(0.0, 1.0, 101)

NONE = np.full(len(GRID), np.nan)
ROUNDING = 1e-9

Points = Callable[[NDArray, NDArray, NDArray], NDArray]

Curve = tuple[str, NDArray, NDArray]
"""Name, whether each unit is of the class [units], and its score for the class [units]."""


def roc_chart(name: str, curves: Sequence[Curve], groups: Sequence[str], seed: int) -> Element:
    """Sensitivity against 1 - specificity at every threshold.

    Args:
        name: of the chart.
        curves: one, or one of each class against the rest.
        groups: of the units, which the bootstrap draws.
        seed: of the bootstrap.
    """

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="chance")
        for number, (label, positive, score) in enumerate(curves):
            colour = SERIES[number % len(SERIES)]
            false, true, _ = roc_curve(positive, score)
            _band(axes, _bands(roc_points, positive, score, groups, seed), colour)
            axes.plot(false, true, color=colour, label=label)
        unit_axes(axes, "1 - specificity", "sensitivity")
        axes.legend(loc="lower right")

    named = ", ".join(label for label, _, _ in curves)
    return chart(name, draw, f"Receiver operating characteristic with 95 % bands: {named}", size=(4.3, 4.3))


def precision_chart(name: str, curve: Curve, groups: Sequence[str], seed: int) -> Element:
    """Precision against recall at every threshold; chance is the share of the class.

    Args:
        name: of the chart.
        curve: of one class.
        groups: of the units, which the bootstrap draws.
        seed: of the bootstrap.
    """
    label, positive, score = curve

    def draw(axes: Axes) -> None:
        precision, recall, _ = precision_recall_curve(positive, score)
        share = float(np.mean(positive))
        axes.axhline(share, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label=f"chance ({share:.2f})")
        _band(axes, _bands(precision_points, positive, score, groups, seed), SERIES[0])
        axes.step(recall, precision, where="post", color=SERIES[0], label=label)
        unit_axes(axes, "recall (sensitivity)", "precision")
        axes.legend(loc="lower left")

    return chart(name, draw, f"Precision against recall with a 95 % band: {label}", size=(4.3, 4.3))


def roc_points(positive: NDArray, score: NDArray, weights: NDArray) -> NDArray:
    """Sensitivity at each value of 1 - specificity of `GRID`.

    Args:
        positive: booleans [units].
        score: [units].
        weights: [draws, units].

    Returns:
        [draws, points], the highest sensitivity where the curve goes straight up; NaN for a draw without a class.
    """
    true, false = _counts(positive, score, weights)
    rows = []
    for sensitivity, error in zip(true, false, strict=True):
        reached = np.searchsorted(error, GRID * error[-1] + ROUNDING, side="right") - 1
        rows.append(_ratio(np.concatenate([[0.0], sensitivity])[reached + 1], sensitivity[-1]) if error[-1] else NONE)
    return np.array(rows)


def precision_points(positive: NDArray, score: NDArray, weights: NDArray) -> NDArray:
    """Precision at the highest threshold that reaches each recall of `GRID`.

    Args:
        positive: booleans [units].
        score: [units].
        weights: [draws, units].

    Returns:
        [draws, points]; 1 at recall 0, as scikit-learn has it; NaN for a draw without a class.
    """
    true, false = _counts(positive, score, weights)
    rows = []
    for found, wrong in zip(true, false, strict=True):
        if not found[-1] or not wrong[-1]:
            rows.append(NONE)
            continue
        reached = np.searchsorted(found, GRID * found[-1] - ROUNDING)
        precision = np.where(GRID == 0, 1.0, _ratio(found[reached], found[reached] + wrong[reached]))
        rows.append(precision)
    return np.array(rows)


def _counts(positive: NDArray, score: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """Weights of the units of the class and of the others at each threshold, from the highest score down."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.diff(score[order], append=-np.inf))
    counted = [np.cumsum((weights * chosen)[:, order], axis=1)[:, last] for chosen in (positive, ~positive)]
    return counted[0], counted[1]


def _ratio(numerator: NDArray, denominator: NDArray | float) -> NDArray:
    return numerator / np.where(np.asarray(denominator) == 0, np.nan, denominator)


def _bands(points: Points, positive: NDArray, score: NDArray, groups: Sequence[str], seed: int) -> NDArray:
    """Lower and upper 95 % limit at each point of `GRID`, [2, points]."""

    def compute(weights: NDArray) -> dict[str, NDArray]:
        drawn = points(positive, score, weights)
        return {str(column): drawn[:, column] for column in range(len(GRID))}

    limits = bootstrap_intervals(compute, groups, DRAWS, seed)
    return np.array([limits[str(column)] for column in range(len(GRID))]).T


def _band(axes: Axes, limits: NDArray, colour: str) -> None:
    axes.fill_between(GRID, limits[0], limits[1], color=colour, alpha=0.16, linewidth=0, step="post")
