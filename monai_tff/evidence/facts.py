"""What the datalist knows of each scoring unit: site, sex, age and motion, the usual confounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from monai_tff.bundle.finished_run import read_finished_run
from monai_tff.bundle.study_folder import Member
from monai_tff.data.datalist import load_datalist
from monai_tff.data.records import Record
from monai_tff.errors import UserError, user_error_in

FACTS = ("site", "sex", "age", "motion", "motion_kind")
"""Columns that are joined to the scoring units; keys of `monai_tff.data.records.RECORD_KEYS`."""

NUMBERS = ("age", "motion")


def test_records(members: Sequence[Member], section: str) -> tuple[list[Record], list[str]]:
    """The records that were scored, from the datalist of each split.

    Args:
        members: runs; those of one split share a datalist, which is read once.
        section: of the datalist that was evaluated.

    Returns:
        The records, and a sentence for each datalist that cannot be read.
    """
    first = {member.split: member for member in reversed(members)}
    records: list[Record] = []
    missing = []
    for split in sorted(first):
        try:
            member = first[split]
            records += load_datalist(member.datalist or read_finished_run(member.folder).datalist)[section]
        except (UserError, RuntimeError) as error:
            found = user_error_in(error)  # MONAI wraps what an expression of the configuration raises
            if found is None:
                raise
            missing.append(f"site, sex, age and motion of '{split}' are unknown: {found}")
    return records, missing


def join_facts(units: pd.DataFrame, records: Iterable[Record]) -> pd.DataFrame:
    """Adds what the records know of each unit.

    Numbers are means over the scans of the unit; a text is known where the scans agree. Motion of two kinds (framewise
    displacement and relative RMS, which are not the same number) is not averaged: it is unknown then.

    Args:
        units: with `subject` and `session` as text; an empty session stands for all sessions of the subject.
        records: of the datalist.

    Returns:
        The units with the columns of `FACTS`; what is not known is None in text and NaN in numbers.
    """
    by_unit: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        subject, session = str(record["subject"]), str(record["session"] or "")
        for key in {(subject, session), (subject, "")}:
            by_unit.setdefault(key, []).append(record)
    keys = zip(units["subject"], units["session"], strict=True)
    rows = [_facts(by_unit.get(key, [])) for key in keys]
    facts = pd.DataFrame(rows, columns=list(FACTS), index=units.index, dtype=object)
    facts[list(NUMBERS)] = facts[list(NUMBERS)].astype(float)
    return units.join(facts)


def _facts(records: Sequence[Record]) -> dict[str, Any]:
    known = {name: [record[name] for record in records if record[name] is not None] for name in FACTS}
    facts: dict[str, Any] = {
        name: values[0] if len(set(values)) == 1 else None for name, values in known.items() if name not in NUMBERS
    }
    for name in NUMBERS:
        # sorted: the mean must not depend on the order of the records in its last digit
        facts[name] = sum(sorted(map(float, known[name]))) / len(known[name]) if known[name] else None
    if len(set(known["motion_kind"])) > 1:
        facts["motion"] = None
    return facts
