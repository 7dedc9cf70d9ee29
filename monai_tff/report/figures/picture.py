"""Brain views by nilearn as pictures within the page, one for light and one for dark paper."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import matplotlib.style
import nibabel as nib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from monai_tff.report.html import Element, element

DOTS_PER_INCH = 120
SIZE = (7.4, 2.5)
"""Inches."""


def glass_brain(image: nib.Nifti1Image, threshold: float, limit: float, description: str) -> Element:
    """The whole map seen from four sides, its largest values in front.

    Args:
        image: 3D map in MNI space.
        threshold: smaller magnitudes are not drawn.
        limit: magnitude at the end of the colours.
        description: for readers who do not see it.
    """

    def draw(figure: Figure, black: bool) -> None:
        from nilearn.plotting import plot_glass_brain

        plot_glass_brain(
            image,
            figure=figure,
            black_bg=black,
            display_mode="lyrz",
            threshold=threshold,
            vmax=limit,
            plot_abs=False,
            colorbar=True,
            cmap="cold_hot" if black else "RdBu_r",
        )

    return _picture(draw, description)


def slices(image: nib.Nifti1Image, threshold: float, limit: float, description: str) -> Element:
    """Axial slices of a map over nilearn's template.

    Args:
        image: 3D map in MNI space.
        threshold: smaller magnitudes are not drawn.
        limit: magnitude at the end of the colours.
        description: for readers who do not see it.
    """

    def draw(figure: Figure, black: bool) -> None:
        from nilearn.plotting import plot_stat_map

        plot_stat_map(
            image,
            figure=figure,
            black_bg=black,
            display_mode="z",
            cut_coords=6,
            threshold=threshold,
            vmax=limit,
            colorbar=True,
            cmap="cold_hot" if black else "RdBu_r",
        )

    return _picture(draw, description)


def _picture(draw: Callable[[Figure, bool], Any], description: str) -> Element:
    """Draws once for each scheme; a browser shows the one that suits the reader's."""
    light, dark = (_drawn(draw, black) for black in (False, True))
    width, height = (round(96 * inches) for inches in SIZE)
    return element(
        "picture",
        element("source", srcset=dark, media="(prefers-color-scheme: dark)"),
        element("img", src=light, alt=description, width=width, height=height, class_="brain"),
    )


def _drawn(draw: Callable[[Figure, bool], Any], black: bool) -> str:
    """A data address of the PNG; the figure is none of pyplot's, so that nothing of it stays behind."""
    with matplotlib.style.context("default"):
        figure = Figure(figsize=SIZE, facecolor="black" if black else "white")
        FigureCanvasAgg(figure)
        draw(figure, black)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
