"""HTML as a tree of elements: every text that comes from a file is escaped where the tree is written."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import Any

Element = ET.Element
Child = str | Element | None

_BLOCKS = {
    "p",
    "div",
    "section",
    "h2",
    "h3",
    "table",
    "thead",
    "tbody",
    "tr",
    "ul",
    "li",
    "figure",
    "details",
    "dt",
    "dd",
}


def element(tag: str, *children: Child, **attributes: Any) -> Element:
    r"""An HTML element.

    Args:
        tag: its name.
        *children: texts and elements in their order; None is left out.
        **attributes: `class_` for `class`, `data_value` for `data-value`; None is left out, True is an attribute
            without a value.

    Returns:
        The element.

    Example:
        >>> write(element("p", "AUROC ", element("b", "0.97"), " & more", class_="note"))
        '<p class="note">AUROC <b>0.97</b> &amp; more</p>\n'
    """
    made = ET.Element(tag)
    for name, value in attributes.items():
        if value is not None:
            made.set(name.rstrip("_").replace("_", "-"), "" if value is True else str(value))
    return extend(made, children)


def extend(parent: Element, children: Iterable[Child]) -> Element:
    """Adds children to an element, and returns it."""
    for child in children:
        if child is None:
            continue
        if isinstance(child, ET.Element):
            if child.tag in _BLOCKS and not child.tail:
                child.tail = "\n"
            parent.append(child)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + child
        else:
            parent.text = (parent.text or "") + child
    return parent


def write(tree: Element) -> str:
    """The text of an element and all within it.

    Args:
        tree: the element; `style` and `script` are written as they are, so nothing from a file may stand in them.

    Returns:
        HTML, the same for the same tree.
    """
    return ET.tostring(tree, encoding="unicode", method="html") + ("\n" if tree.tag in _BLOCKS else "")


def paragraph(*children: Child, **attributes: Any) -> Element:
    """A paragraph."""
    return element("p", *children, **attributes)


def bullets(items: Iterable[Child | Iterable[Child]], **attributes: Any) -> Element:
    """A list of points, each a text, an element, or several of them."""
    made = element("ul", **attributes)
    for item in items:
        children = [item] if item is None or isinstance(item, str | ET.Element) else list(item)
        extend(made, [element("li", *children)])
    return made


def table(
    head: Iterable[Child], rows: Iterable[Iterable[Child]], caption: str | None = None, **attributes: Any
) -> Element:
    """A table whose first column names the rows, in a box that scrolls sideways on a narrow screen.

    Args:
        head: texts of the columns.
        rows: cells; `td` and `th` elements are taken as they are, everything else is put into one.
        caption: what the table shows.
        **attributes: of the `table` element.
    """
    made = element("table", **attributes)
    if caption is not None:
        extend(made, [element("caption", caption)])
    extend(made, [element("thead", element("tr", *(element("th", cell, scope="col") for cell in head)))])
    body = element("tbody")
    for row in rows:
        cells = [_cell(cell, first=position == 0) for position, cell in enumerate(row)]
        extend(body, [element("tr", *cells)])
    extend(made, [body])
    return element("div", made, class_="scroll", tabindex="0", role="region", aria_label=caption or "table")


def _cell(content: Child, first: bool) -> Element:
    if isinstance(content, ET.Element) and content.tag in ("td", "th"):
        return content
    return element("th", content, scope="row") if first else element("td", content)


def folded(summary: str, *children: Child) -> Element:
    """What is shown when its line is clicked, and always on paper."""
    return element("details", element("summary", summary), *children)


def code(text: str) -> Element:
    """A command or a file name."""
    return element("code", text)
