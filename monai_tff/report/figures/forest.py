"""Several values with their intervals, one below the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from matplotlib.axes import Axes

from monai_tff.report.figures.chart import MUTED, SERIES, chart
from monai_tff.report.html import Element


@dataclasses.dataclass(frozen=True)
class ForestRow:
    """One line of a forest plot.

    Attributes:
        label: on the left.
        value: where the dot is.
        low: lower limit, None where there is no interval.
        high: upper limit.
        series: which colour.
    """

    label: str
    value: float
    low: float | None
    high: float | None
    series: int = 0


def forest_chart(
    name: str, rows: Sequence[ForestRow], label: str, reference: float | None, width: float = 6.6
) -> Element:
    """A forest plot.

    Args:
        name: of the chart.
        rows: from top to bottom.
        label: of the axis.
        reference: where a line stands: chance, or no difference.
        width: inches.
    """

    def draw(axes: Axes) -> None:
        if reference is not None:
            axes.axvline(reference, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        for position, row in enumerate(rows):
            colour = SERIES[row.series % len(SERIES)]
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [position, position], color=colour, linewidth=2, solid_capstyle="round")
            axes.plot(row.value, position, "o", color=colour, markersize=6)
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel=label)
        axes.grid(False, axis="y")

    described = "; ".join(f"{row.label} {row.value:.3g}" for row in rows)
    return chart(name, draw, f"{label} with 95 % intervals: {described}", size=(width, 0.8 + 0.32 * len(rows)))
