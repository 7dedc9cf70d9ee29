"""Tables of subjects: participants.tsv or any table with a column of IDs."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from monai_tff.data.bids_names import same_value, without_prefix, without_zeros
from monai_tff.data.cohorts.cells import (
    as_age,
    as_sex,
    cell,
    column_levels,
    first_column,
    need_column,
    read_columns,
)
from monai_tff.errors import DatalistError

FAMILY_COLUMNS = ("family_id", "familyid", "family", "fam_id")
SITE_COLUMNS = ("site", "site_id", "scanner", "scanner_id")
AGE_COLUMNS = ("age", "age_at_scan", "age_years")
SEX_COLUMNS = ("sex", "gender")
SESSION_COLUMN = "session_id"
ID_COLUMN = "participant_id"


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table, or what it says of one session.

    Attributes:
        subject: the ID without `sub-`.
        session: the session without `ses-`, None where the table has no `session_id` column.
        value: the target as written, None where it is missing.
        family: None where it is blank: an unknown family is never a shared one.
        site: scanner or site, None where unknown.
        age: in years, None where it is missing or not exact.
        sex: `F` or `M`, None where the cell does not say so in words.
        path: of the scan, None where the table has no column of paths.
    """

    subject: str
    session: str | None
    value: str | None
    family: str | None
    site: str | None
    age: float | None = dataclasses.field(default=None, compare=False)
    sex: str | None = dataclasses.field(default=None, compare=False)
    path: str | None = dataclasses.field(default=None, compare=False)


class SubjectTable:
    """Rows of a table, found by the IDs of a folder tree."""

    def __init__(self, path: Path, rows: Sequence[Row]) -> None:
        """Keeps the rows.

        Args:
            path: of the table, for messages.
            rows: one for each subject, or for each of its sessions.
        """
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
        """The row of one of a subject's sessions, as it is written before one without zeros; else that of the subject.

        Args:
            subject: the table's ID.
            session: of the scan, without `ses-`.
        """
        rows = self._by_subject[subject]
        fitting = [row for row in rows if row.session is None or (session and same_value(row.session, session))]
        return min(fitting, key=lambda row: (row.session is None, row.session != session), default=None)

    def families(self, subject: str) -> list[str]:
        """The families that any row of a subject states.

        Args:
            subject: the table's ID.
        """
        return [row.family for row in self._by_subject[subject] if row.family is not None]


def read_table(path: Path, target: str | None, *, id_column: str = ID_COLUMN) -> SubjectTable:
    """Reads a table of subjects.

    Args:
        path: tab-separated (`.tsv`) or comma-separated (`.csv`) file with a column of IDs, the target, and as far as
            known `session_id`, `family_id`, `site` or `scanner`, `age`, `sex`.
        target: column of the target, None for a table that only says more about the subjects.
        id_column: column of the IDs.

    Returns:
        The table.

    Raises:
        DatalistError: when the file is missing or unreadable, a column is missing, or two rows disagree.
    """
    rows = read_rows(path, target, id_column=id_column)
    return SubjectTable(path, merge_rows(path, rows, strict=target is not None))


def read_rows(
    path: Path,
    target: str | None,
    *,
    id_column: str = ID_COLUMN,
    path_column: str | None = None,
    subject: str | None = None,
) -> list[Row]:
    """Reads the rows of a table as they are.

    Args:
        path: of the table.
        target: column of the target, None for none.
        id_column: column of the IDs; rows without ID are left out.
        path_column: column of the scans' paths, None for none.
        subject: whom the whole table is about, for a table without IDs (`sub-01_sessions.tsv`).

    Returns:
        The rows, in the order of the table.

    Raises:
        DatalistError: when the file is missing or unreadable, or a column is missing.
    """
    cells = read_columns(path)
    for wanted in (id_column if subject is None else SESSION_COLUMN, target, path_column):
        if wanted is not None:
            need_column(path, cells, wanted)
    family, site = first_column(cells, FAMILY_COLUMNS), first_column(cells, SITE_COLUMNS)
    age, sex = first_column(cells, AGE_COLUMNS), first_column(cells, SEX_COLUMNS)
    session = first_column(cells, (SESSION_COLUMN,))
    levels = {} if sex is None else column_levels(path, sex)
    rows = []
    for index in range(len(next(iter(cells.values()), []))):
        identifier = subject if subject is not None else cell(cells, id_column, index)
        if identifier is None:
            continue
        session_id = cell(cells, session, index)
        rows.append(
            Row(
                subject=without_prefix(identifier, "sub"),
                session=None if session_id is None else without_prefix(session_id, "ses"),
                value=cell(cells, target, index),
                family=cell(cells, family, index),
                site=cell(cells, site, index),
                age=as_age(cell(cells, age, index)),
                sex=as_sex(cell(cells, sex, index), levels),
                path=cell(cells, path_column, index),
            )
        )
    return rows


def merge_rows(path: Path, rows: Sequence[Row], *, strict: bool = True) -> list[Row]:
    """One row for each subject and session; what equal rows say of age and sex stays only where they agree.

    Args:
        path: of the table, for messages.
        rows: in the order of the table.
        strict: whether rows must be equal; otherwise two sites make it unknown, and a blank family is filled.

    Raises:
        DatalistError: for two rows that disagree about target, family or site.
    """
    merged: dict[tuple[str, str | None], Row] = {}
    for row in rows:
        before = merged.setdefault((row.subject, row.session), row)
        families = {before.family, row.family} - {None}
        if (strict and before != row) or len(families) > 1:
            raise _disagreement(path, before, row)
        merged[row.subject, row.session] = dataclasses.replace(
            before,
            family=next(iter(families), None),
            site=before.site if before.site == row.site else None,
            age=before.age if before.age == row.age else None,
            sex=before.sex if before.sex == row.sex else None,
        )
    return list(merged.values())


def _disagreement(path: Path, first: Row, second: Row) -> DatalistError:
    differing = [f.name for f in dataclasses.fields(Row) if getattr(first, f.name) != getattr(second, f.name)]
    name = next(name for name in ("family", "value", *differing) if name in differing)
    return DatalistError(
        f"{path}: two rows of {second.subject} disagree ({name}: {getattr(first, name)} and {getattr(second, name)}), "
        "expected one row per subject, or a session_id column; correct the table."
    )
