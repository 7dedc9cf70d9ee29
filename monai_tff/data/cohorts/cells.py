"""Tables as text: columns by name, missing cells as None."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from monai_tff.data.targets import as_number, is_missing
from monai_tff.errors import DatalistError

Columns = dict[str, list[str]]

_SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}


def read_columns(path: str | os.PathLike[str]) -> Columns:
    """Columns of a table as text: an ID such as `01` must not become a number.

    Args:
        path: tab-separated (`.tsv`, `.txt`) or comma-separated (`.csv`) file with a header line.

    Returns:
        The stripped cells of each column, by the name in the header, in the order of the table.

    Raises:
        DatalistError: for a file that is missing, not text, a row with more or fewer cells than the header (BIDS asks
            for equal rows), or two columns of one name that disagree.
    """
    with _table(path) as lines:
        header, *rows = list(lines) or [[]]
        for number, row in enumerate(rows, start=1):
            # a short row may lack any of its cells, not the last: its labels could be those of other columns
            if any(row[len(header) :]) or len(row) < len(header):
                raise ValueError(f"row {number} has {len(row)} cells, the header {len(header)}")
        columns: Columns = {}
        for index, name in enumerate(header):
            cells = [row[index] for row in rows]
            if name and columns.setdefault(name, cells) != cells:
                raise ValueError(f"two columns are named '{name}' and disagree")
    return columns


def column_names(path: str | os.PathLike[str]) -> list[str]:
    """Names of a table's columns; only the header is read.

    Raises:
        DatalistError: for a file that is missing or not text.
    """
    with _table(path) as lines:
        return [name for name in next(lines, []) if name]


@contextlib.contextmanager
def _table(path: str | os.PathLike[str]) -> Iterator[Iterator[list[str]]]:
    """Lines of a table as stripped cells, blank lines left out; what goes wrong becomes a sentence."""
    path = Path(path)
    if not path.is_file():
        raise DatalistError(f"{path}: there is no such table, expected participants.tsv or a table given by its path.")
    separator, word = (",", "commas") if path.suffix.lower() == ".csv" else ("\t", "tabs")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            yield (
                [cell.strip() for cell in line]
                for line in csv.reader(file, delimiter=separator, strict=True)
                if any(line)
            )
    except (OSError, ValueError, csv.Error) as error:
        raise DatalistError(
            f"{path}: cannot be read as a table ({error}), expected text separated by {word}; correct the file."
        ) from error


def first_column(columns: Columns, wanted: Sequence[str]) -> str | None:
    """The table's name for the first of the wanted columns that it has, in any case; None without one."""
    names = {name.lower(): name for name in columns}
    return next((names[name.lower()] for name in wanted if name.lower() in names), None)


def need_column(path: str | os.PathLike[str], columns: Columns, name: str) -> None:
    """Refuses a table without a column.

    Raises:
        DatalistError: naming the table, the column and those that there are.
    """
    if name not in columns:
        raise DatalistError(
            f"{path}: has no column '{name}', found {', '.join(columns) or 'no column'}; "
            "name a column of this table, or give another table."
        )


def cell(columns: Columns, column: str | None, row: int) -> str | None:
    """A cell, None where the column is not there or the value is missing."""
    if column is None or is_missing(columns[column][row]):
        return None
    return columns[column][row]


def as_age(text: str | None) -> float | None:
    """Years in a cell; None for what is no exact age (`36+`, `26-30`, a negative number)."""
    years = None if text is None else as_number(text)
    return years if years is not None and years >= 0 else None


def as_sex(text: str | None, levels: Mapping[str, str] | None = None) -> str | None:
    """`F` or `M` for a word that says so; None for codes (`1`, `2`), which mean one thing here and another there.

    Args:
        text: the cell.
        levels: what codes stand for, from `column_levels`.
    """
    if text is None:
        return None
    return _SEXES.get((levels or {}).get(text, text).strip().lower())


def column_levels(path: str | os.PathLike[str], column: str) -> dict[str, str]:
    """What the codes of a column stand for, from the JSON file beside the table (`participants.json`).

    Returns:
        `Levels` of the column: code to description; empty where there is no such file or key.

    Raises:
        DatalistError: for a file that is not JSON.
    """
    sidecar = Path(path).with_suffix(".json")
    if not sidecar.is_file():
        return {}
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DatalistError(
            f"{sidecar}: is not readable as JSON ({error}), expected a description of the table; correct or remove it."
        ) from error
    described = content.get(column) if isinstance(content, dict) else None
    levels = described.get("Levels") if isinstance(described, dict) else None
    return {str(code): str(text) for code, text in levels.items()} if isinstance(levels, dict) else {}
