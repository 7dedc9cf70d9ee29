"""A matplotlib figure as an SVG element of the page, in the reader's colours, light or dark."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from monai_tff.report.html import Element, element

# Stand-ins: no chart uses these colours for themselves, and the page's style sheet says what they are.
INK, MUTED, LINE, PAPER = "#010001", "#010002", "#010003", "#010004"
SERIES = tuple(f"#0200{number:02x}" for number in range(6))
_VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", PAPER: "--paper"} | {
    colour: f"--series-{number}" for number, colour in enumerate(SERIES)
}
_COLOUR = re.compile("|".join(_VARIABLES))
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_ID_USE = re.compile(r"url\(#([^)]+)\)")

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "monai_tff",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.6,
    "figure.facecolor": "none",
    "path.simplify": True,
}
"""Settings over matplotlib's defaults, for one chart; those of the process are not looked at, and not changed."""


def chart(
    name: str,
    draw: Callable[..., None],
    description: str,
    size: tuple[float, float] = (4.6, 3.6),
    panels: tuple[int, int] = (1, 1),
    **grid: Any,
) -> Element:
    """Draws a chart.

    Args:
        name: unique in the page; the ids within the chart begin with it.
        draw: given the axes of the panels, row by row.
        description: what the chart shows, for readers who do not see it.
        size: width and height, inches; an inch is 96 pixels in the browser.
        panels: rows and columns.
        **grid: further arguments of `Figure.subplots`.

    Returns:
        The `svg` element.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(*panels, squeeze=False, **grid)
        draw(*(axis for row in axes for axis in row))
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inline(ET.fromstring(text.getvalue()), name, description, size)


def captioned(chart_or_picture: Element, *caption: Element | str) -> Element:
    """A figure with its caption."""
    return element("figure", chart_or_picture, element("figcaption", *caption))


def _inline(tree: Element, name: str, description: str, size: tuple[float, float]) -> Element:
    """Takes from a file of its own what cannot stand within a page: namespaces, a global style, common ids."""
    for parent in list(tree.iter()):
        for child in list(parent):
            # comments have a function for a tag; the style would hold for the whole page
            if not isinstance(child.tag, str) or child.tag.endswith(("}metadata", "}style")) or _is_empty(child):
                parent.remove(child)
    used = _used_ids(tree)
    for node in tree.iter():
        node.tag = node.tag.removeprefix(_SVG)
        attributes = dict(_attribute(key, value, name) for key, value in node.attrib.items())
        if attributes.get("id", "").removeprefix(f"{name}-") not in used:
            attributes.pop("id", None)
        node.attrib.clear()
        node.attrib.update(attributes)
        node.text = node.text if node.tag == "text" else None
        node.tail = None
    width, height = (round(96 * inches) for inches in size)
    # width and height keep a narrow screen from cutting: the style sheet lets them shrink together
    tree.attrib.update({"width": str(width), "height": str(height), "class": "chart", "role": "img"})
    tree.set("aria-label", description)
    return tree


def _used_ids(tree: Element) -> set[str]:
    links = {
        value[1:] for node in tree.iter() for key, value in node.attrib.items() if key == _LINK and value[0] == "#"
    }
    return links | {found for node in tree.iter() for value in node.attrib.values() for found in _ID_USE.findall(value)}


def _attribute(key: str, value: str, name: str) -> tuple[str, str]:
    if key == "id":
        return key, f"{name}-{value}"
    if key == _LINK:
        return "href", f"#{name}-{value[1:]}" if value.startswith("#") else value
    value = _COLOUR.sub(lambda found: f"var({_VARIABLES[found[0]]})", value)
    value = _ID_USE.sub(lambda found: f"url(#{name}-{found[1]})", value)
    value = _NUMBER.sub(lambda found: f"{float(found[0]):.2f}", value)
    return key, " ".join(value.split())


def _is_empty(node: Element) -> bool:
    return node.tag == f"{_SVG}defs" and len(node) == 1 and node[0].tag == f"{_SVG}style"


def unit_axes(axes: Axes, across: str, up: str) -> None:
    """A square from 0 to 1 with labels."""
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=across, ylabel=up, aspect="equal")
