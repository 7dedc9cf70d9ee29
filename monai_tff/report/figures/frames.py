"""When the network looks: the frames of a window."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from monai_tff.report.figures.chart import SERIES, chart
from monai_tff.report.html import Element


def frames_chart(name: str, frames: pd.DataFrame) -> Element:
    """Attention rollout and occlusion of each frame of a window.

    Args:
        name: of the chart.
        frames: `frames.csv` of an explanation: `frame`, `attention_rollout`, `occlusion_absolute`.
    """

    def draw(*axes: Axes) -> None:
        for panel, column, label, colour in zip(
            axes,
            ("attention_rollout", "occlusion_absolute"),
            ("attention rollout", "change when hidden"),
            SERIES,
            strict=False,
        ):
            panel.bar(frames["frame"], frames[column], color=colour, width=0.8)
            panel.set(xlabel="frame of the window", ylabel=label)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.grid(False, axis="x")

    description = f"Attention rollout and occlusion of the {len(frames)} frames of a window"
    return chart(name, draw, description, size=(7.6, 2.6), panels=(1, 2))
