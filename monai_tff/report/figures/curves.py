"""Learning curves: the numbers of `metrics.csv` over the epochs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from monai_tff.report.figures.chart import MUTED, SERIES, chart
from monai_tff.report.html import Element

Line = tuple[str, str, str]
"""Split and name of the number in `metrics.csv`, and its label."""


def learning_chart(
    name: str, tables: Sequence[pd.DataFrame], lines: Sequence[Line], label: str, best: Sequence[int] = ()
) -> Element:
    """Numbers of one or several trainings over their epochs.

    Args:
        name: of the chart.
        tables: `metrics.csv` of each training.
        lines: what to draw, each in its colour.
        label: of the numbers' axis.
        best: epochs whose weights were kept.
    """

    def draw(axes: Axes) -> None:
        alone = len(tables) == 1
        for epoch in sorted(set(best)) if alone else []:
            axes.axvline(epoch, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), label="weights kept")
        for number, (split, value, text) in enumerate(lines):
            for position, table in enumerate(tables):
                rows = table[(table["split"] == split) & (table["name"] == value)]
                axes.plot(
                    rows["epoch"],
                    rows["value"],
                    color=SERIES[number % len(SERIES)],
                    marker="o" if len(rows) < 40 and alone else ("o" if len(rows) == 1 else None),
                    markersize=3,
                    alpha=1.0 if alone else 0.55,
                    linewidth=1.6 if alone else 1.1,
                    label=text if position == 0 else None,
                )
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(loc="best")

    named = " and ".join(text for _, _, text in lines)
    return chart(name, draw, f"{named} over the epochs of {len(tables)} trainings", size=(4.2, 3.0))
