"""Brain views by nilearn as pictures within the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import matplotlib.style
import nibabel as nib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from monai_tff.report.html import Element, element

DOTS_PER_INCH = 120
GLASS_SIZE, SLICES_SIZE = (7.4, 2.5), (7.4, 1.9)
"""Inches."""

CUTS = 5
STRENGTH, STRENGTH_ON_BLACK, SIGNED_ON_BLACK = "YlOrRd", "hot", "cold_hot"


def glass_brain(image: nib.Nifti1Image, threshold: float, limit: float, description: str) -> Element:
    """A map of strengths (no negative values) seen from four sides, its largest values in front.

    Args:
        image: 3D map in MNI space.
        threshold: smaller values are not drawn.
        limit: value at the end of the colours.
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
            vmin=0.0,
            vmax=limit,
            symmetric_cbar=False,
            colorbar=True,
            cmap=STRENGTH_ON_BLACK if black else STRENGTH,
        )

    light, dark = (_drawn(draw, GLASS_SIZE, black) for black in (False, True))
    shown = _image(light, GLASS_SIZE, description)
    return element("picture", element("source", srcset=dark, media="(prefers-color-scheme: dark)"), shown)


def slices(image: nib.Nifti1Image, threshold: float, limit: float, description: str) -> Element:
    """Axial slices of a map over nilearn's template, on black in both schemes.

    Args:
        image: 3D map in MNI space, with negative values or without.
        threshold: smaller magnitudes are not drawn.
        limit: magnitude at the end of the colours.
        description: for readers who do not see it.
    """
    signed = bool((np.asarray(image.dataobj) < 0).any())

    def draw(figure: Figure, black: bool) -> None:
        from nilearn.plotting import plot_stat_map

        plot_stat_map(
            image,
            figure=figure,
            black_bg=black,
            display_mode="z",
            cut_coords=CUTS,
            threshold=threshold,
            vmin=-limit if signed else 0.0,
            vmax=limit,
            symmetric_cbar=signed,
            colorbar=True,
            cmap=SIGNED_ON_BLACK if signed else STRENGTH_ON_BLACK,
        )

    return _image(_drawn(draw, SLICES_SIZE, black=True), SLICES_SIZE, description)


def _image(address: str, size: tuple[float, float], description: str) -> Element:
    width, height = (round(96 * inches) for inches in size)
    return element("img", src=address, alt=description, width=width, height=height, class_="brain")


def _drawn(draw: Callable[[Figure, bool], Any], size: tuple[float, float], black: bool) -> str:
    """A data address of the PNG; the figure is none of pyplot's, so that nothing of it stays behind."""
    with matplotlib.style.context("default"):
        figure = Figure(figsize=size, facecolor="black" if black else "white")
        FigureCanvasAgg(figure)
        draw(figure, black)
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
