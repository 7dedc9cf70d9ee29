"""Tables of subjects: participants.tsv or any table with a `participant_id` column."""

from __future__ import annotations

import csv
import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from monai_tff.data.bids_names import same_value, without_prefix, without_zeros
from monai_tff.data.targets import is_missing
from monai_tff.errors import DatalistError

FAMILY_COLUMNS = ("family_id", "familyid", "family", "fam_id")
SITE_COLUMNS = ("site", "site_id", "scanner", "scanner_id")


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table, or what it says of one session.

    Attributes:
        subject: the ID without `sub-`.
        session: the session without `ses-`, None where the table has no `session_id` column.
        value: the target as written, None where it is missing.
        family: None where it is blank: an unknown family is never a shared one.
        site: scanner or site, None where unknown.
    """

    subject: str
    session: str | None
    value: str | None
    family: str | None
    site: str | None


class SubjectTable:
    """Rows of a table, found by the IDs of a folder tree."""

    def __init__(self, path: Path, rows: Sequence[Row]) -> None:
        """Args: path of the table, for messages; its rows."""
        self.path = path
        self.rows = list(rows)
        self._by_subject: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            self._by_subject[row.subject].append(row)

    @property
    def subjects(self) -> list[str]:
        """IDs in the order of the table."""
        return list(self._by_subject)

    def match(self, subjects: Sequence[str]) -> dict[str, str]:
        """Finds the table's ID of each subject of a folder: the same, or the same without leading zeros.

        Args:
            subjects: IDs in the folder, without `sub-`.

        Returns:
            The folder's ID to the table's ID; subjects that are not in the table are left out.

        Raises:
            DatalistError: when one ID of the folder fits two of the table or the reverse.
        """
        loose: dict[str, list[str]] = defaultdict(list)
        for subject in self.subjects:
            loose[without_zeros(subject)].append(subject)
        found: dict[str, str] = {}
        for subject in subjects:
            candidates = [subject] if subject in self._by_subject else loose.get(without_zeros(subject), [])
            if len(candidates) > 1:
                raise DatalistError(
                    f"{self.path}: sub-{subject} fits the rows {' and '.join(candidates)}, expected one row; "
                    "write the IDs as in the folder."
                )
            if candidates:
                found[subject] = candidates[0]
        taken: dict[str, str] = {}
        for subject, row in found.items():
            if taken.setdefault(row, subject) != subject:
                raise DatalistError(
                    f"{self.path}: the row {row} fits both sub-{taken[row]} and sub-{subject}, expected one subject; "
                    "write the IDs as in the folder."
                )
        return found

    def row(self, subject: str, session: str | None) -> Row | None:
        """The row of a subject, or of one of its sessions where the table has them.

        Args:
            subject: the table's ID.
            session: of the scan, without `ses-`.
        """
        for row in self._by_subject[subject]:
            if row.session is None or (session is not None and same_value(row.session, session)):
                return row
        return None

    def group(self, subject: str, in_folder: str) -> str:
        """The unit that is never split: the family where the table knows it, else the subject."""
        families = [row.family for row in self._by_subject[subject] if row.family is not None]
        return f"family-{families[0]}" if families else f"sub-{in_folder}"


def read_table(path: Path, target: str) -> SubjectTable:
    """Reads a table of subjects.

    Args:
        path: tab-separated (`.tsv`) or comma-separated (`.csv`) file with the columns `participant_id`, the target, and
            as far as known `session_id`, `family_id`, `site` or `scanner`.
        target: column of the target.

    Returns:
        The table.

    Raises:
        DatalistError: when the file is missing or unreadable, a column is missing, or two rows disagree.
    """
    cells = _read_cells(path)
    columns = {name.lower(): name for name in cells}
    for wanted in ("participant_id", target):
        if wanted not in cells:
            raise DatalistError(
                f"{path}: has no column '{wanted}', found {', '.join(cells) or 'no column'}; "
                "name a column of this table, or give another table."
            )
    optional = {
        "session": _first(columns, ("session_id",)),
        "family": _first(columns, FAMILY_COLUMNS),
        "site": _first(columns, SITE_COLUMNS),
    }
    rows: dict[tuple[str, str | None], Row] = {}
    for index, identifier in enumerate(cells["participant_id"]):
        if is_missing(identifier):
            continue
        known = {key: _cell(cells, column, index) for key, column in optional.items()}
        session = known["session"]
        row = Row(
            subject=without_prefix(identifier, "sub"),
            session=None if session is None else without_prefix(session, "ses"),
            value=_cell(cells, target, index),
            family=known["family"],
            site=known["site"],
        )
        before = rows.setdefault((row.subject, row.session), row)
        if before != row:
            raise _disagreement(path, identifier, before, row)
    return SubjectTable(path, list(rows.values()))


def _disagreement(path: Path, identifier: str, first: Row, second: Row) -> DatalistError:
    name = next(f.name for f in dataclasses.fields(Row) if getattr(first, f.name) != getattr(second, f.name))
    return DatalistError(
        f"{path}: two rows of {identifier} disagree ({name}: {getattr(first, name)} and {getattr(second, name)}), "
        "expected one row per subject, or a session_id column; correct the table."
    )


def _read_cells(path: Path) -> dict[str, list[str]]:
    """Columns of a table as text: an ID such as `01` must not become a number."""
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


def _first(columns: dict[str, str], wanted: Sequence[str]) -> str | None:
    """The table's name for the first of the wanted columns that it has, in any case."""
    return next((columns[name] for name in wanted if name in columns), None)


def _cell(cells: dict[str, list[str]], column: str | None, index: int) -> str | None:
    if column is None or is_missing(cells[column][index]):
        return None
    return cells[column][index]
