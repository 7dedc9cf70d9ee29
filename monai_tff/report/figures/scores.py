"""The score of every scoring unit: by class, against the truth, and how often what was said is so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from monai_tff.metrics.intervals import wilson
from monai_tff.report.figures.chart import LINE, MUTED, PAPER, SERIES, chart, unit_axes
from monai_tff.report.html import Element

MANY = 300
"""Units of a class from which on bars are drawn in place of dots."""

GOLDEN = 0.6180339887498949


def strip_chart(
    name: str, groups: Sequence[tuple[str, NDArray]], label: str, lines: Sequence[float] = (), unit: bool = True
) -> Element:
    """Scores side by side, one row of dots (or bars, where they are many) for each group of units.

    Args:
        name: of the chart.
        groups: name and scores [units] of each group.
        label: of the axis of scores.
        lines: thresholds to be marked.
        unit: whether scores are probabilities.
    """

    def draw(axes: Axes) -> None:
        for row, (_, values) in enumerate(groups):
            _row(axes, row, values, SERIES[row % len(SERIES)])
        for value in lines:
            axes.axvline(value, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_yticks(range(len(groups)), [f"{text} ({len(values)})" for text, values in groups])
        axes.set(ylim=(len(groups) - 0.4, -0.6), xlabel=label)
        axes.grid(False, axis="y")
        if unit:
            axes.set_xlim(-0.03, 1.03)

    counts = ", ".join(f"{text}: {len(values)}" for text, values in groups)
    return chart(name, draw, f"{label} of each unit by group ({counts})", size=(6.4, 1.0 + 0.75 * len(groups)))


def _row(axes: Axes, row: int, values: NDArray, colour: str) -> None:
    if not len(values):
        return
    if len(values) <= MANY:
        heights = (np.arange(len(values)) * GOLDEN % 1 - 0.5) * 0.6  # spread evenly, and the same each time
        axes.scatter(np.sort(values), row + heights, s=22, color=colour, alpha=0.65, linewidth=0)
    else:
        heights, edges = np.histogram(values, bins=30)
        axes.bar(edges[:-1], -0.8 * heights / heights.max(), np.diff(edges), row + 0.4, align="edge", color=colour)
    middle = float(np.median(values))
    axes.plot([middle, middle], [row - 0.38, row + 0.38], color=colour, linewidth=2.4)


def calibration_chart(name: str, positive: NDArray, score: NDArray, groups: Sequence[str], label: str) -> Element:
    """How often the class is the true one, among units of about the same score.

    Args:
        name: of the chart.
        positive: whether each unit is of the class, [units].
        score: probability of the class, [units].
        groups: of the units; the intervals count each once.
        label: of the class.
    """
    bins = calibration_bins(positive, score, groups)

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="as often as said")
        errors = [bins["share"] - bins["low"], bins["high"] - bins["share"]]
        axes.errorbar(bins["score"], bins["share"], errors, color=SERIES[0], fmt="o-", markersize=5, capsize=2)
        for row in bins.itertuples():
            axes.annotate(str(row.units), (row.score, row.share), (6, -11), textcoords="offset points", fontsize=8)
        unit_axes(axes, f"mean score of {label}", f"share of {label}")
        axes.legend(loc="upper left")

    return chart(name, draw, f"Observed share of {label} against the mean score, in {len(bins)} bins", size=(4.3, 4.3))


def calibration_bins(positive: NDArray, score: NDArray, groups: Sequence[str]) -> pd.DataFrame:
    """Bins of about equally many units, one for every ten units, from 2 to 10.

    Returns:
        One row per bin: `score` (mean), `share` of the class, its 95 % interval `low` and `high` (Wilson, for the
        number of groups), and the number of `units`.
    """
    table = pd.DataFrame({"positive": positive.astype(float), "score": score, "group": np.asarray(groups, dtype=str)})
    wanted = min(max(2, len(table) // 10), 10)
    rows = []
    for _, part in table.groupby(pd.qcut(table["score"], wanted, duplicates="drop"), observed=True):
        share = float(part["positive"].mean())
        low, high = wilson(share, part["group"].nunique())
        rows.append({"score": part["score"].mean(), "share": share, "low": low, "high": high, "units": len(part)})
    return pd.DataFrame(rows, columns=["score", "share", "low", "high", "units"])


def truth_chart(name: str, truth: NDArray, score: NDArray, spread: NDArray, label: str) -> Element:
    """Predicted against true value, with the spread over windows as error bars.

    Args:
        name: of the chart.
        truth: [units].
        score: predicted values, [units].
        spread: standard deviation over the windows, [units].
        label: of the target.
    """

    def draw(axes: Axes) -> None:
        ends = [float(np.min([truth.min(), score.min()])), float(np.max([truth.max(), score.max()]))]
        axes.plot(ends, ends, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="prediction = truth")
        axes.errorbar(
            truth,
            score,
            spread,
            fmt="o",
            markersize=4,
            color=SERIES[0],
            ecolor=LINE,
            elinewidth=1.2,
            mec=PAPER,
            mew=0.5,
        )
        axes.set(xlabel=f"true {label}", ylabel=f"predicted {label}")
        axes.legend(loc="upper left")

    return chart(name, draw, f"Predicted against true {label} of {len(truth)} units", size=(4.8, 4.3))


def against_chart(
    name: str,
    series: Sequence[tuple[str, NDArray, NDArray]],
    across: str,
    up: str,
    size: tuple[float, float] = (4.6, 3.4),
) -> Element:
    """Scores against another quantity, one colour for each group of units.

    Args:
        name: of the chart.
        series: name, quantity [units] and score [units] of each group.
        across: label of the quantity.
        up: label of the score.
        size: width and height, inches.
    """

    def draw(axes: Axes) -> None:
        for number, (label, quantity, score) in enumerate(series):
            colour = SERIES[number % len(SERIES)]
            axes.scatter(quantity, score, s=20, color=colour, alpha=0.7, linewidth=0, label=label)
        axes.set(xlabel=across, ylabel=up)
        if len(series) > 1:
            axes.legend(loc="best")

    return chart(name, draw, f"{up} against {across}", size=size)
