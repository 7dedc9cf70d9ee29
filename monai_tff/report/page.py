"""The page around the sections: head, table of contents, and one tree that is written as one file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from monai_tff.report.html import Child, Element, element, write
from monai_tff.report.style import STYLE


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of the report.

    Attributes:
        identifier: its anchor, unique in the page.
        title: its heading, also in the table of contents.
        content: what follows the heading.
    """

    identifier: str
    title: str
    content: Sequence[Child]


def write_page(title: str, subtitle: str, sections: Sequence[Section], footer: Sequence[Child]) -> str:
    """The whole file: it names no other file and no address that a browser would fetch.

    Args:
        title: of the page.
        subtitle: a line below it.
        sections: in their order.
        footer: what stands at the end.

    Returns:
        An HTML5 document, UTF-8 when encoded.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="robots", content="noindex"),
        element("title", title),
        element("style", STYLE),
    )
    contents = element("ol", *(element("li", element("a", s.title, href=f"#{s.identifier}")) for s in sections))
    body = element(
        "body",
        element("a", "Skip to the content", href="#content", class_="skip"),
        element(
            "div",
            element("nav", contents, aria_label="Contents"),
            element(
                "main",
                element("header", element("h1", title), element("p", subtitle, class_="muted")),
                *(_section(section) for section in sections),
                element("footer", *footer, class_="small muted"),
                id="content",
            ),
            class_="page",
        ),
    )
    return "<!DOCTYPE html>\n" + write(element("html", head, body, lang="en")) + "\n"


def _section(section: Section) -> Element:
    heading = f"{section.identifier}-heading"
    return element(
        "section",
        element("h2", section.title, id=heading),
        *section.content,
        id=section.identifier,
        aria_labelledby=heading,
    )


def absent(*children: Child) -> Element:
    """The sentence of a section that has no data: why, and which command makes them."""
    return element("p", *children, class_="absent")
