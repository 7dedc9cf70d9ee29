"""Tables of OASIS-3: demographics, clinical visits and scanners, recognised by their columns."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from monai_tff.data.bids_names import without_prefix
from monai_tff.data.cohorts.cells import Columns, cell, first_column, read_columns
from monai_tff.data.targets import as_number, canonical
from monai_tff.errors import DatalistError

DAYS_PER_YEAR = 365.25

KINDS = {
    "demographics": ("OASISID", "AgeatEntry", "GENDER"),
    "clinical": ("OASISID", "days_to_visit", "CDRTOT"),
    "scanners": ("label", "ManufacturersModelName"),
}
"""The columns that each kind of table is recognised by."""

FILES = {
    "demographics": "OASIS3_demographics.csv",
    "clinical": "OASIS3_UDSb4_cdr.csv",
    "scanners": "OASIS3_MR_json.csv",
}
"""The files of the release that have these columns."""

MAX_AGE_DIFFERENCE = 1.5
"""Years by which the age in two tables may differ before they count as being about two people."""

_SEXES = {1.0: "M", 2.0: "F"}
_CDR = (0.0, 0.5, 1.0, 2.0, 3.0)
_LABEL = re.compile(r"OAS3\d+_MR_d(\d+)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Visit:
    """A clinical visit.

    Attributes:
        day: since entry.
        cdr: global Clinical Dementia Rating (0, 0.5, 1, 2, 3), None where missing.
        dx: first diagnosis (`dx1`) as written, None where missing.
        wrong: whether the table contradicts itself or cannot be read here.
    """

    day: int
    cdr: float | None
    dx: str | None
    wrong: bool = False


@dataclasses.dataclass
class Oasis3Tables:
    """What the tables say of the subjects, by OASISID.

    Attributes:
        paths: of the tables, by kind.
        subjects: IDs in each table of subjects, by kind.
        ages: at entry, in years.
        sexes: `F` or `M`.
        visits: of each subject, in the order of the days.
        scanners: model and serial number by subject and day of the session.
        contradicted: subjects about whom two tables disagree; they are not used.
        faults: subject and a sentence for each row that cannot be used.
        has_diagnoses: whether the clinical table has a column dx1.
    """

    paths: dict[str, Path] = dataclasses.field(default_factory=dict)
    subjects: dict[str, set[str]] = dataclasses.field(default_factory=dict)
    ages: dict[str, float] = dataclasses.field(default_factory=dict)
    sexes: dict[str, str] = dataclasses.field(default_factory=dict)
    visits: dict[str, list[Visit]] = dataclasses.field(default_factory=dict)
    scanners: dict[tuple[str, int], str] = dataclasses.field(default_factory=dict)
    contradicted: set[str] = dataclasses.field(default_factory=set)
    faults: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    has_diagnoses: bool = False

    def faults_of(self, subjects: Iterable[str]) -> list[str]:
        """The sentences about some subjects: the release has tables of many whose scans are not at hand."""
        wanted = set(subjects)
        return [sentence for subject, sentence in self.faults if subject in wanted]

    def add_fault(self, subject: str, sentence: str) -> None:
        """Notes what is wrong with a row of a subject."""
        self.faults.append((subject, sentence))


def read_oasis3_tables(tables: Sequence[str | os.PathLike[str]]) -> Oasis3Tables:
    """Reads the tables that the user named.

    Args:
        tables: comma-separated files, in any order.

    Returns:
        Their content.

    Raises:
        DatalistError: for a table that is missing, unreadable or of no known kind, or two tables of one kind.
    """
    result = Oasis3Tables()
    columns_of: dict[str, Columns] = {}
    for table in tables:
        path = Path(table)
        columns = read_columns(path)
        kind = _kind(path, columns)
        if kind in result.paths:
            raise DatalistError(
                f"{result.paths[kind]} and {path} are both tables of {kind}, expected one; leave one out."
            )
        result.paths[kind], columns_of[kind] = path, columns
    if "demographics" in columns_of:
        _read_demographics(result, columns_of["demographics"])
    if "clinical" in columns_of:
        _read_visits(result, columns_of["clinical"])
        _compare_ages(result, columns_of["clinical"])
    if "scanners" in columns_of:
        _read_scanners(result, columns_of["scanners"])
    return result


def _kind(path: Path, columns: Columns) -> str:
    for kind, wanted in KINDS.items():
        if all(first_column(columns, (name,)) for name in wanted):
            return kind
    known = "; ".join(f"{', '.join(wanted)} ({FILES[kind]})" for kind, wanted in KINDS.items())
    raise DatalistError(
        f"{path}: is no table of OASIS-3 that is used here, found the columns {', '.join(list(columns)[:12])}, "
        f"expected {known}; leave it out, or name its columns so."
    )


def _text(columns: Columns, name: str, row: int) -> str | None:
    """A cell; OASIS-3 writes `.` where there is nothing."""
    text = cell(columns, first_column(columns, (name,)), row)
    return None if text == "." else text


def _subject_rows(columns: Columns) -> Iterator[tuple[int, str]]:
    """Number and OASISID of each row that has one."""
    for row in range(len(next(iter(columns.values()), []))):
        identifier = _text(columns, "OASISID", row)
        if identifier is not None:
            yield row, without_prefix(identifier, "sub").upper()


def _read_demographics(result: Oasis3Tables, columns: Columns) -> None:
    path = result.paths["demographics"]
    result.subjects["demographics"] = set()
    seen: dict[str, tuple[str | None, str | None]] = {}
    for row, subject in _subject_rows(columns):
        age, gender = _text(columns, "AgeatEntry", row), _text(columns, "GENDER", row)
        result.subjects["demographics"].add(subject)
        if seen.setdefault(subject, (age, gender)) != (age, gender):
            result.contradicted.add(subject)
            result.add_fault(subject, f"{path}: two rows of {subject} disagree, expected one row; correct the table.")
        years = None if age is None else as_number(age)
        if years is not None and years > 0:
            result.ages[subject] = years
        elif age is not None:
            result.add_fault(subject, f"{path}: {subject} has AgeatEntry '{age}', expected years; correct the table.")
        sex = None if gender is None else _SEXES.get(as_number(gender) or 0.0)
        if sex is not None:
            result.sexes[subject] = sex
        elif gender is not None:
            result.add_fault(
                subject, f"{path}: {subject} has GENDER '{gender}', expected 1 (M) or 2 (F); correct the table."
            )


def _read_visits(result: Oasis3Tables, columns: Columns) -> None:
    path = result.paths["clinical"]
    result.subjects["clinical"] = set()
    result.has_diagnoses = first_column(columns, ("dx1",)) is not None
    visits: dict[str, dict[int, Visit]] = defaultdict(dict)
    for row, subject in _subject_rows(columns):
        result.subjects["clinical"].add(subject)
        days, rating = _text(columns, "days_to_visit", row), _text(columns, "CDRTOT", row)
        day = _day(days)
        if day is None:
            result.add_fault(
                subject,
                f"{path}: a visit of {subject} has days_to_visit '{days or ''}', expected the days since entry; "
                "correct the table.",
            )
            continue
        cdr = None if rating is None else as_number(rating)
        visit = Visit(day, cdr, _text(columns, "dx1", row), wrong=rating is not None and cdr not in _CDR)
        if visit.wrong:
            result.add_fault(
                subject,
                f"{path}: the visit of {subject} on day {day} has CDRTOT '{rating}', expected 0, 0.5, 1, 2 or 3; "
                "correct the table.",
            )
        before = visits[subject].setdefault(day, visit)
        if before != visit:
            visits[subject][day] = dataclasses.replace(visit, wrong=True)
            if not before.wrong and not visit.wrong:
                result.add_fault(
                    subject,
                    f"{path}: two visits of {subject} on day {day} disagree (CDRTOT {before.cdr} and {visit.cdr}, dx1 "
                    f"{before.dx} and {visit.dx}), expected one; correct the table.",
                )
    result.visits = {subject: [days[day] for day in sorted(days)] for subject, days in visits.items()}


def _day(text: str | None) -> int | None:
    number = None if text is None else as_number(text.lower().removeprefix("d"))
    return int(number) if number is not None and number.is_integer() else None


def _compare_ages(result: Oasis3Tables, columns: Columns) -> None:
    """Age at a visit and at entry must be of one person."""
    for row, subject in _subject_rows(columns):
        day = _day(_text(columns, "days_to_visit", row))
        stated, entry = as_number(_text(columns, "age at visit", row)), result.ages.get(subject)
        if day is None or stated is None or entry is None or subject in result.contradicted:
            continue
        if abs(entry + day / DAYS_PER_YEAR - stated) > MAX_AGE_DIFFERENCE:
            result.contradicted.add(subject)
            result.add_fault(
                subject,
                f"{subject}: {result.paths['clinical']} says {stated:g} years on day {day} and "
                f"{result.paths['demographics']} {entry:g} at entry, expected the days between; correct one.",
            )


def _read_scanners(result: Oasis3Tables, columns: Columns) -> None:
    """Scanner of each session: model and serial number; the sessions have one row for each scan."""
    path = result.paths["scanners"]
    wrong: set[str] = set()
    for row in range(len(next(iter(columns.values()), []))):
        label, model = _text(columns, "label", row), _text(columns, "ManufacturersModelName", row)
        if label is None or model is None:
            continue
        match = _LABEL.fullmatch(label)
        serial = _text(columns, "DeviceSerialNumber", row)
        name = model if serial is None else f"{model} {canonical(serial)}"
        subject = label.upper().partition("_")[0]
        key = (subject, int(match[1])) if match else None
        if key is not None and result.scanners.setdefault(key, name) == name:
            continue
        if label not in wrong:
            found = "two scanners" if key is not None else "no day"
            result.add_fault(
                subject,
                f"{path}: the session {label} has {found}, expected a label such as OAS30001_MR_d0129 and one scanner; "
                "correct the table.",
            )
        wrong.add(label)
