"""Markdown of the model card: paragraphs, lists and tables within the columns that the model zoo allows."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

LINE = 120
"""Columns of a line."""


def paragraph(text: str) -> str:
    """A paragraph, its lines broken anew."""
    return _wrapped(text, "", "")


def bullets(items: Sequence[str]) -> str:
    """A list, one item a line or more."""
    return "\n".join(_wrapped(item, "- ", "  ") for item in items)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table.

    Args:
        header: one word for each column, may be empty.
        rows: cells.

    Returns:
        Markdown, without a blank line around it.
    """
    lines = [header, ["---"] * len(header), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(value: object) -> str:
    """A number, truth value or list of them as the card writes it; `set by an expression` for anything else."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:,}" if isinstance(value, int) and value >= 10_000 else f"{value:.6g}"
    return "set by an expression"


def times(sizes: Sequence[float]) -> str:
    """Sizes with a sign between them: 75 x 93 x 81."""
    return " x ".join(f"{size:g}" for size in sizes)


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "/").split())


def _wrapped(text: str, first: str, rest: str) -> str:
    return textwrap.fill(
        " ".join(text.split()),
        LINE,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
