"""Receiver operating characteristic and precision against recall, with bands from drawing groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from monai_tff.metrics.intervals import bootstrap_intervals
from monai_tff.report.figures.chart import MUTED, SERIES, chart, unit_axes
from monai_tff.report.html import Element

DRAWS = 500
GRID = np.linspace(0.0, 1.0, 101)

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
    """Sensitivity at each value of 1 - specificity of `GRID`, for one weighting [units] of the units."""
    false, true, _ = roc_curve(positive, score, sample_weight=weights, drop_intermediate=False)
    # the highest sensitivity where the curve goes straight up
    return np.maximum.accumulate(true)[np.searchsorted(false, GRID + 1e-9, side="right") - 1]


def precision_points(positive: NDArray, score: NDArray, weights: NDArray) -> NDArray:
    """Precision at the highest threshold that reaches each recall of `GRID`, for one weighting [units] of the units."""
    precision, recall, _ = precision_recall_curve(positive, score, sample_weight=weights)
    rising = recall[::-1]
    return precision[::-1][np.minimum(np.searchsorted(rising, GRID - 1e-9), len(rising) - 1)]


def _bands(points, positive: NDArray, score: NDArray, groups: Sequence[str], seed: int) -> NDArray:  # type: ignore[no-untyped-def]
    """Lower and upper 95 % limit at each point of `GRID`, [2, points]."""

    def compute(weights: NDArray) -> dict[str, NDArray]:
        drawn = np.full((len(weights), len(GRID)), np.nan)
        for row, draw in enumerate(weights):
            if draw[positive].any() and draw[~positive].any():
                drawn[row] = points(positive, score, draw)
        return {str(column): drawn[:, column] for column in range(len(GRID))}

    limits = bootstrap_intervals(compute, groups, DRAWS, seed)
    return np.array([limits[str(column)] for column in range(len(GRID))]).T


def _band(axes: Axes, limits: NDArray, colour: str) -> None:
    axes.fill_between(GRID, limits[0], limits[1], color=colour, alpha=0.16, linewidth=0, step="post")
