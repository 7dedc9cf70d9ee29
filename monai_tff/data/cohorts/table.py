"""Tables of subjects: participants.tsv or any table with a `participant_id` column."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from monai_tff.data.bids_names import same_value, without_prefix, without_zeros
from monai_tff.data.cohorts.cells import cell, first_column, need_column, read_columns
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
    cells = read_columns(path)
    for wanted in ("participant_id", target):
        need_column(path, cells, wanted)
    optional = {
        "session": first_column(cells, ("session_id",)),
        "family": first_column(cells, FAMILY_COLUMNS),
        "site": first_column(cells, SITE_COLUMNS),
    }
    rows: dict[tuple[str, str | None], Row] = {}
    for index, identifier in enumerate(cells["participant_id"]):
        if is_missing(identifier):
            continue
        known = {key: cell(cells, column, index) for key, column in optional.items()}
        session = known["session"]
        row = Row(
            subject=without_prefix(identifier, "sub"),
            session=None if session is None else without_prefix(session, "ses"),
            value=cell(cells, target, index),
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
