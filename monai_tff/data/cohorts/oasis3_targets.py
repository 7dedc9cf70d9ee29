"""Targets of OASIS-3: what is predicted from a scan, and from which clinical visit it is taken."""

from __future__ import annotations

from collections.abc import Sequence

from monai_tff.data.cohorts.oasis3_tables import DAYS_PER_YEAR, FILES, KINDS, Oasis3Tables, Visit
from monai_tff.errors import DatalistError

MAX_DAYS = 365
"""Days between a scan and the clinical visit that its label may be taken from."""

TABLE_OF = {"cdr": "clinical", "ad": "clinical", "age": "demographics", "sex": "demographics"}
"""The kind of table that each target comes from."""

CDR_CLASSES = ("CDR 0", "CDR > 0")
NORMAL, ALZHEIMER = "Cognitively normal", "AD Dementia"


def check_target(target: str, tables: Oasis3Tables) -> None:
    """Refuses a target that there is none of, or whose table was not given.

    Raises:
        DatalistError: naming the targets, or the columns that were looked for.
    """
    if target not in TABLE_OF:
        raise DatalistError(f"target '{target}': OASIS-3 has no such target here, expected {', '.join(TABLE_OF)}.")
    kind = TABLE_OF[target]
    if kind not in tables.paths:
        given = ", ".join(str(path) for path in tables.paths.values()) or "no table"
        raise DatalistError(
            f"target '{target}': found {given}, expected a table with the columns {', '.join(KINDS[kind])}, such as "
            f"{FILES[kind]}; give it with --table."
        )
    if target == "ad" and not tables.has_diagnoses:
        raise DatalistError(
            f"{tables.paths[kind]}: has no column 'dx1', expected the diagnoses that the target 'ad' is made of; "
            f"give {FILES[kind]}."
        )


def label_of(target: str, tables: Oasis3Tables, subject: str, day: int) -> tuple[str | None, str]:
    """The label of a session.

    Args:
        target: `cdr`, `ad`, `age` or `sex`.
        tables: of the cohort.
        subject: OASISID.
        day: of the session, since entry.

    Returns:
        The label and an empty text; or None and the reason why there is none.
    """
    if subject not in tables.subjects[TABLE_OF[target]]:
        return None, "subjects: not in the table"
    if target == "sex":
        return tables.sexes.get(subject), "subjects: no sex in the table"
    if target == "age":
        age = age_at(tables, subject, day)
        return None if age is None else f"{age:g}", "subjects: no age in the table"
    usable = [v for v in tables.visits.get(subject, ()) if v.wrong or (v.cdr is not None and (v.dx or target == "cdr"))]
    visit = nearest_visit(usable, day)
    if visit is None:
        return None, f"sessions: no clinical visit within {MAX_DAYS} days"
    if visit.wrong or visit.cdr is None:
        return None, "sessions: the nearest clinical visit is wrong"
    if target == "cdr":
        return CDR_CLASSES[visit.cdr > 0], ""
    return _alzheimer(visit.dx or "", visit.cdr)


def nearest_visit(visits: Sequence[Visit], day: int) -> Visit | None:
    """The visit nearest to a scan, the earlier of two that are as near; None where all are more than 365 days off."""
    near = [visit for visit in visits if abs(visit.day - day) <= MAX_DAYS]
    return min(near, key=lambda visit: (abs(visit.day - day), visit.day), default=None)


def age_at(tables: Oasis3Tables, subject: str, day: int) -> float | None:
    """Age at a day in years: at entry, and the days since."""
    entry = tables.ages.get(subject)
    return None if entry is None else round(entry + day / DAYS_PER_YEAR, 3)


def _alzheimer(dx: str, cdr: float) -> tuple[str | None, str]:
    """Normal with CDR 0 against Alzheimer's dementia with CDR > 0; every other diagnosis is a reason of its own."""
    word = dx.strip().lower()
    if word == NORMAL.lower() and cdr == 0:
        return NORMAL, ""
    if word == ALZHEIMER.lower() and cdr > 0:
        return ALZHEIMER, ""
    contradicts = word in (NORMAL.lower(), ALZHEIMER.lower())
    return None, f"sessions: {dx}" + (f" with {CDR_CLASSES[cdr > 0]}" if contradicts else "")
