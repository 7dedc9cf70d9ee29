"""What the tables of a BIDS dataset say of its scans."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from monai_tff.data.cohorts.families import joined_families
from monai_tff.data.cohorts.table import Row, SubjectTable
from monai_tff.data.targets import as_number, canonical
from monai_tff.errors import DatalistError


@dataclasses.dataclass
class Labels:
    """What the tables of a cohort say of a subject or of one of its sessions.

    Attributes:
        table: holds the target.
        others: hold the target as well; where they disagree with the table, the subject is left out.
        background: say more about the subjects: family, site, age, sex.
    """

    table: SubjectTable
    others: Sequence[SubjectTable] = ()
    background: Sequence[SubjectTable] = ()

    def __post_init__(self) -> None:
        self._ids: dict[Path, dict[str, str]] = {}
        self._families: dict[str, str] = {}

    def match(self, subjects: Sequence[str]) -> set[str]:
        """Finds the subjects of a folder in all tables.

        Args:
            subjects: IDs in the folder, without `sub-`.

        Returns:
            Those that the table of the target has.

        Raises:
            DatalistError: when none is in it, or an ID fits several rows.
        """
        for table in (self.table, *self.others, *self.background):
            self._ids[table.path] = table.match(subjects)
        self._families = joined_families(self._families_of(subject) for subject in subjects)
        matched = self._ids[self.table.path]
        if not matched:
            raise DatalistError(
                f"{self.table.path}: none of the {len(subjects)} subjects with scans (sub-{subjects[0]}, ...) has a "
                f"row, found the IDs {', '.join(self.table.subjects[:3]) or 'none'}; write the IDs as in the folder."
            )
        return set(matched)

    def without_scan(self) -> set[str]:
        """IDs of the target's table that fit no subject of the folder."""
        return set(self.table.subjects) - set(self._ids[self.table.path].values())

    def row(self, subject: str, session: str | None) -> Row | None:
        """What is known of a scan: its row of the target's table, completed by the other tables; None without one."""
        row = self._row(self.table, subject, session)
        return None if row is None else self.completed(row, subject, session)

    def completed(self, row: Row, subject: str, session: str | None) -> Row:
        """A row of the target's table with the site, age and sex that only the other tables know."""
        more = [row, *(r for r in (self._row(table, subject, session) for table in self.background) if r is not None)]
        return dataclasses.replace(
            row,
            site=next((r.site for r in more if r.site is not None), None),
            age=next((r.age for r in more if r.age is not None), None),
            sex=next((r.sex for r in more if r.sex is not None), None),
        )

    def covariates(self, subject: str, session: str | None) -> Row:
        """What is known of a scan whose target is not: the same, the value None."""
        row = self.row(subject, session)
        known = [row] if row is not None else [self._row(t, subject, session) for t in self.background]
        first = next((r for r in known if r is not None), Row(subject, session, None, None, None))
        return dataclasses.replace(first, value=None)

    def group(self, subject: str) -> str:
        """The unit that is never split: the family where any table knows it, else the subject.

        Families that two tables, or two rows of one, give to one subject are one.
        """
        families = self._families_of(subject)
        return f"family-{self._families[families[0]]}" if families else f"sub-{subject}"

    def disagreement(self, subject: str, session: str | None) -> str | None:
        """A sentence where another table has another value of the target for this scan, else None."""
        row = self._row(self.table, subject, session)
        for table in self.others:
            other = self._row(table, subject, session)
            values = [r.value for r in (row, other) if r is not None and r.value is not None]
            if len(values) == 2 and not _same(*values):
                return (
                    f"sub-{subject}{f' ses-{session}' if session else ''}: {self.table.path} says {values[0]} and "
                    f"{table.path} says {values[1]}, expected one value; correct one, or name a table with --table."
                )
        return None

    def _families_of(self, subject: str) -> list[str]:
        """The subject's families in each table that knows them; spreadsheets write 7 as 7.0."""
        tables = [(t, self._ids[t.path].get(subject)) for t in (self.table, *self.others, *self.background)]
        return [canonical(family) for table, known in tables if known is not None for family in table.families(known)]

    def _row(self, table: SubjectTable, subject: str, session: str | None) -> Row | None:
        identifier = self._ids[table.path].get(subject)
        return None if identifier is None else table.row(identifier, session)


def _same(first: str, second: str) -> bool:
    numbers = as_number(first), as_number(second)
    return numbers[0] == numbers[1] if None not in numbers else canonical(first) == canonical(second)
