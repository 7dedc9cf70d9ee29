"""A reconstructed scan beside the true one: slices of one frame, and the time course of one voxel."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from monai_tff.report.figures.chart import SERIES, chart
from monai_tff.report.html import Element

PLANES = ("sagittal", "coronal", "axial")


def slices_chart(name: str, truth: NDArray, reconstruction: NDArray, mask: NDArray) -> Element:
    """Three planes through the middle of the mask: truth, reconstruction and their difference.

    Args:
        name: of the chart.
        truth: one frame, [H, W, D].
        reconstruction: the same frame, [H, W, D].
        mask: bool [H, W, D]; what lies outside is not drawn.
    """
    middle = [round(float(places.mean())) for places in np.nonzero(mask)]
    limit = float(np.percentile(np.abs(truth[mask]), 99)) or 1.0
    rows = [("truth", truth), ("reconstruction", reconstruction), ("difference", reconstruction - truth)]

    def draw(*axes: Axes) -> None:
        for row, (label, volume) in enumerate(rows):
            for axis, plane in enumerate(PLANES):
                panel = axes[3 * row + axis]
                shown = np.ma.masked_where(~mask.take(middle[axis], axis), volume.take(middle[axis], axis))
                colours = "gray" if row < 2 else "RdBu_r"
                panel.imshow(shown.T, origin="lower", interpolation="none", cmap=colours, vmin=-limit, vmax=limit)
                panel.set(xticks=[], yticks=[])
                panel.spines[:].set_visible(False)
                panel.grid(False)
                if row == 0:
                    panel.set_title(plane, loc="center")
                if axis == 0:
                    panel.set_ylabel(label)

    description = "One frame in three planes: the scan, its reconstruction, and the difference"
    return chart(name, draw, description, size=(5.6, 5.4), panels=(3, 3))


def course_chart(name: str, truth: NDArray, reconstruction: NDArray, seconds: float | None) -> Element:
    """The time course of one voxel.

    Args:
        name: of the chart.
        truth: [T].
        reconstruction: [T].
        seconds: between two frames, None where unknown.
    """

    def draw(axes: Axes) -> None:
        across = np.arange(len(truth)) * (seconds or 1.0)
        axes.plot(across, truth, color=SERIES[0], label="truth")
        axes.plot(across, reconstruction, color=SERIES[1], label="reconstruction")
        axes.set(xlabel="time (s)" if seconds else "frame", ylabel="normalised signal")
        axes.legend(loc="best")

    return chart(name, draw, "Time course of one voxel: the scan and its reconstruction", size=(6.4, 2.6))
