"""Tables as text: columns by name, missing cells as None."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from monai_tff.data.targets import is_missing
from monai_tff.errors import DatalistError

Columns = dict[str, list[str]]


def read_columns(path: str | os.PathLike[str]) -> Columns:
    """Columns of a table as text: an ID such as `01` must not become a number.

    Args:
        path: tab-separated (`.tsv`, `.txt`) or comma-separated (`.csv`) file with a header line.

    Returns:
        The stripped cells of each column, by the name in the header, in the order of the table.

    Raises:
        DatalistError: for a file that is missing, not text, or a row with more cells than the header.
    """
    path = Path(path)
    if not path.is_file():
        raise DatalistError(f"{path}: there is no such table, expected participants.tsv or a table given by its path.")
    separator, word = (",", "commas") if path.suffix.lower() == ".csv" else ("\t", "tabs")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file, delimiter=separator) if any(line)]
        header, *rows = lines or [[]]
        for number, row in enumerate(rows, start=1):
            if any(row[len(header) :]):
                raise ValueError(f"row {number} has {len(row)} cells, the header {len(header)}")
    except (OSError, ValueError, csv.Error) as error:
        raise DatalistError(
            f"{path}: cannot be read as a table ({error}), expected text separated by {word}; correct the file."
        ) from error
    return {name: [row[index] if index < len(row) else "" for row in rows] for index, name in enumerate(header)}


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
