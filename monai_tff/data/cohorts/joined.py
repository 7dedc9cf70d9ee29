"""Several tables of the same subjects, joined on their ID: each value known once, disagreements named."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from monai_tff.data.cohorts.cells import Columns, cell, read_columns
from monai_tff.data.targets import canonical, is_missing
from monai_tff.errors import DatalistError

NAMES_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Joined:
    """What the tables say of each subject.

    Attributes:
        values: known cells by subject and column; a column whose cell is blank is not there.
        faults: a sentence for each subject about whom the tables, or two rows of one, disagree.
    """

    values: dict[str, dict[str, str]]
    faults: dict[str, str]


class SubjectTables:
    """Tables with one row for each subject, told apart by their columns and not by their file names."""

    def __init__(
        self, paths: Sequence[str | os.PathLike[str]], id_column: str, read_id: Callable[[str], str] = str.strip
    ) -> None:
        """Reads the tables.

        Args:
            paths: of the tables, see `read_columns`.
            id_column: that each must have.
            read_id: makes the ID of the folder tree from a cell of it.

        Raises:
            DatalistError: for a table that cannot be read or has no such column.
        """
        self.id_column = id_column
        self._read_id = read_id
        self._tables: list[tuple[Path, Columns]] = [(Path(path), read_columns(path)) for path in paths]
        for path, columns in self._tables:
            if id_column not in columns:
                raise DatalistError(
                    f"{path}: has no column '{id_column}', found {_listed(list(columns))}; give a table with one row "
                    "for each subject."
                )

    @property
    def paths(self) -> str:
        """The tables, for messages."""
        return ", ".join(str(path) for path, _ in self._tables) or "no table"

    def has(self, column: str) -> bool:
        """Whether one of the tables has a column of this name."""
        return any(column in columns for _, columns in self._tables)

    def with_any(self, wanted: Sequence[str]) -> set[str]:
        """IDs of the subjects in a table that has one of these columns, blank or not."""
        tables = [columns for _, columns in self._tables if any(name in columns for name in wanted)]
        return {self._read_id(cell) for columns in tables for cell in columns[self.id_column] if not is_missing(cell)}

    def need(self, column: str) -> None:
        """Refuses a column that none of the tables has.

        Raises:
            DatalistError: naming the tables, and columns of a similar name.
        """
        if self.has(column):
            return
        names = list(dict.fromkeys(name for _, columns in self._tables for name in columns))
        close = difflib.get_close_matches(column, names, n=3) or names
        raise DatalistError(
            f"{self.paths}: has no column '{column}' among {len(names)} ({_listed(close)}); name a column as it is "
            "written, or add the table that has it with --table."
        )

    def join(self, wanted: Sequence[str]) -> Joined:
        """Puts together what the tables say of each subject.

        Args:
            wanted: names of columns; those that no table has are nowhere known.

        Returns:
            Values and faults; every subject of a table is in `values`, even without any value.
        """
        joined = Joined({}, {})
        source: dict[tuple[str, str], Path] = {}
        for path, columns in self._tables:
            present = [name for name in dict.fromkeys(wanted) if name in columns]
            for row, identifier in enumerate(columns[self.id_column]):
                if is_missing(identifier):
                    continue
                subject = self._read_id(identifier)
                known = joined.values.setdefault(subject, {})
                for name in present:
                    value = cell(columns, name, row)
                    if value is None:
                        continue
                    first = source.setdefault((subject, name), path)
                    before = known.setdefault(name, value)
                    if canonical(before) != canonical(value):
                        joined.faults.setdefault(subject, _disagreement(subject, name, (before, first), (value, path)))
        return joined


def _disagreement(subject: str, name: str, first: tuple[str, Path], second: tuple[str, Path]) -> str:
    where = f"{first[1]} and {second[1]}: disagree" if first[1] != second[1] else f"{first[1]}: two rows disagree"
    return f"{where} about {subject}: {name} is '{first[0]}' and '{second[0]}', expected one value; correct the table."


def _listed(names: Sequence[str]) -> str:
    return (", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")) or "no column"
