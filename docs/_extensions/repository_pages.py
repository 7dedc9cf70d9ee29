"""Pages of the repository on the site, and links that hold in both.

A page writes

    ```{repository-page} configs/README.md
    ```

and gets that file's text in its place. Links are written as the repository browser follows them; on the site a link to
an included file leads to the page that includes it, and a link to any other file of the repository is a download.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```\{repository-page\} (\S+)\n```$", re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)\s#]+)(#[^)\s]*)?(?=\))")
CODE = re.compile(r"^(`{3,}).*?^\1`*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Place:
    """Where a file of the repository is on the site.

    Attributes:
        page: the page that includes it.
        label: the target of its first heading there; empty where it is the whole page.
    """

    page: Path
    label: str


def places() -> dict[Path, Place]:
    """Where each included file is, by its path: found by reading the pages."""
    found = {}
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            label = "" if text.startswith(match.group()) else re.sub(r"\W+", "-", match.group(1)).lower()
            found[ROOT / match.group(1)] = Place(page, label)
    return found


def outside_code(pattern: re.Pattern[str], change: Any, text: str) -> str:
    """The text with every match changed that lies in no fenced block."""
    parts, end = [], 0
    for block in CODE.finditer(text):
        parts += [pattern.sub(change, text[end : block.start()]), block.group()]
        end = block.end()
    return "".join([*parts, pattern.sub(change, text[end:])])


def relinked(text: str, source: Path, page: Path, found: dict[Path, Place]) -> str:
    """The text of a file as a page of the site shows it.

    Args:
        text: markdown whose links are relative to `source`.
        source: the file that the text is from.
        page: the page that shows it.
        found: where the included files are.

    Returns:
        The text, its links relative to `page`.
    """

    def change(match: re.Match[str]) -> str:
        target, anchor = Path(os.path.normpath(source.parent / match.group(1))), match.group(2) or ""
        if target in found:
            place = found[target]
            target, anchor = place.page, anchor or (f"#{place.label}" if place.label else "")
        return os.path.relpath(target, page.parent) + anchor

    return outside_code(LINK, change, text)


def _read(app: Sphinx, docname: str, content: list[str]) -> None:
    page = Path(app.env.doc2path(docname))
    if page.suffix != ".md":
        return
    found = app.env.repository_places  # type: ignore[attr-defined]

    def include(match: re.Match[str]) -> str:
        source = ROOT / match.group(1)
        app.env.note_dependency(source)
        text, label = relinked(source.read_text(encoding="utf-8"), source, page, found), found[source].label
        return f"({label})=\n\n" + outside_code(re.compile(r"^#", re.MULTILINE), "##", text) if label else text

    pieces = FENCE.split(relinked(content[0], page, page, found))
    content[0] = FENCE.sub(include, relinked(content[0], page, page, found)) if len(pieces) > 1 else pieces[0]


def _find(app: Sphinx) -> None:
    app.env.repository_places = places()  # type: ignore[attr-defined]


def setup(app: Sphinx) -> dict[str, bool]:
    """Tells Sphinx about the two steps."""
    app.connect("builder-inited", _find)
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
