"""The Consortium for Neuropsychiatric Phenomics of UCLA, OpenNeuro ds000030: controls and three diagnoses."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from monai_tff.data.bids_names import BidsName, without_prefix
from monai_tff.data.cohorts.bids_scans import (
    UNREGISTERED,
    Scans,
    is_registered,
    misplaced,
    motion_facts,
    other_scans,
    sorted_reasons,
)
from monai_tff.data.cohorts.bids_tables import PARTICIPANTS, dataset_roots
from monai_tff.data.cohorts.cohort import Cohort
from monai_tff.data.cohorts.joined import Joined, SubjectTables
from monai_tff.data.cohorts.ucla_scans import choose_ucla_scans, find_ucla_scans
from monai_tff.data.records import Record, make_record
from monai_tff.data.targets import as_number, canonical
from monai_tff.errors import DatalistError

DIAGNOSIS = "diagnosis"
DIAGNOSES = ("CONTROL", "SCHZ", "BIPOLAR", "ADHD")
"""Every diagnosis of the table; two of them are chosen with `--classes CONTROL,SCHZ`."""

COLUMN_OF = {"sex": "gender"}
"""Targets by their common name."""

SITE = "ScannerSerialNumber"


class Facts(NamedTuple):
    """What the tables say of a subject: target as written, age in years, sex, scanner; None where unknown."""

    label: str | None
    age: float | None
    sex: str | None
    site: str | None


def read_ucla(
    folder: str | os.PathLike[str],
    target: str,
    *,
    task: str | None = None,
    space: str | None = None,
    tables: Sequence[str | os.PathLike[str]] = (),
    raw: str | os.PathLike[str] | None = None,
    allow_unregistered: bool = False,
) -> Cohort:
    """Finds the scans of ds000030 and the target of their subjects.

    Nothing is derived from IDs, which may encode the diagnosis. A ghost in the T1w image (`ghost_NoGhost`) leaves
    nobody out.

    Args:
        folder: the dataset (with `derivatives/fmriprep` in it) or the derivative; image paths are relative to it.
        target: column of the tables, `diagnosis` for example; `sex` stands for `gender`.
        task: `rest` if None.
        space: of the preprocessed scans, `MNI152NLin2009cAsym` if None.
        tables: with a column `participant_id`, joined with participants.tsv; one with a `diagnosis` replaces it.
        raw: the raw dataset, which holds participants.tsv; found for a folder in its `derivatives`.
        allow_unregistered: whether raw scans, and those in the space of the subject, may be used.

    Returns:
        The cohort. Subjects whose column of the task (`rest`) is not 1 have no usable scan and are left out. Faults are
        an unknown diagnosis, sex or age, tables that disagree, confounds that cannot be read, and runs there twice.

    Raises:
        DatalistError: for a tree without such scans, a missing table or column, or IDs that match nothing.
    """
    root = Path(folder)
    task = "rest" if task is None else without_prefix(task, "task")
    left_out: dict[str, list[str]] = {}
    found = find_ucla_scans(root, left_out)
    scans, faults = choose_ucla_scans(
        root, found, left_out, task=task, space=space, allow_unregistered=allow_unregistered
    )
    subjects = _read_tables(root, raw, tables)
    column = target if subjects.has(target) else COLUMN_OF.get(target, target)
    subjects.need(column)
    joined = subjects.join([column, "age", COLUMN_OF["sex"], SITE, task])
    in_folder = sorted({name.entities["sub"] for name in scans.values()})
    _match(subjects, joined, in_folder, left_out)
    unusable = _without_usable_scan(joined, in_folder, task) if subjects.has(task) else []
    left_out[f"subjects: {task} is not 1 in the table"] = [f"sub-{subject}" for subject in unusable]
    facts = _facts(joined, sorted(set(in_folder).difference(unusable)), column, faults)
    return _cohort(root, found, scans, facts, left_out, faults)


def _read_tables(
    root: Path, raw: str | os.PathLike[str] | None, tables: Sequence[str | os.PathLike[str]]
) -> SubjectTables:
    """participants.tsv and the tables given; the former is not needed where one of the latter has a diagnosis."""
    given = SubjectTables(tables, "participant_id", _subject)
    places = [place / PARTICIPANTS for place in dataset_roots(root, raw)]
    participants = next((path for path in places if path.is_file()), None)
    if given.has(DIAGNOSIS) or (tables and participants is None and raw is None):
        return given
    if participants is None:
        raise DatalistError(
            f"{root}: found no {PARTICIPANTS}, looked for {', '.join(map(str, places))}; name the raw dataset with "
            "--raw, or give a table with --table."
        )
    return SubjectTables([participants, *tables], "participant_id", _subject)


def _subject(identifier: str) -> str:
    return without_prefix(identifier, "sub")


def _match(subjects: SubjectTables, joined: Joined, in_folder: Sequence[str], left_out: dict[str, list[str]]) -> None:
    """Notes who is only in the folder or only in the tables."""
    listed = set(joined.values)
    if not listed.intersection(in_folder):
        raise DatalistError(
            f"{subjects.paths}: none of the {len(in_folder)} subjects with scans (sub-{in_folder[0]}, ...) has a row, "
            f"found the IDs {', '.join(sorted(listed)[:3]) or 'none'}; give the tables of these subjects."
        )
    left_out["subjects: not in the table"] = [f"sub-{subject}" for subject in in_folder if subject not in listed]
    left_out["subjects: no scan"] = [f"sub-{subject}" for subject in listed.difference(in_folder)]


def _without_usable_scan(joined: Joined, in_folder: Sequence[str], task: str) -> list[str]:
    """Subjects of the table whose scan of the task its authors do not count as usable."""
    return [s for s in in_folder if s in joined.values and canonical(joined.values[s].get(task)) != "1"]


def _facts(joined: Joined, in_folder: Sequence[str], column: str, faults: list[str]) -> dict[str, Facts]:
    """What is known of each subject of the folder without a fault; nothing of one that is in no table."""
    facts = {}
    for subject in in_folder:
        if subject in joined.faults:
            faults.append(joined.faults[subject])
            continue
        values = joined.values.get(subject, {})
        wrong = _wrong_value(values, column)
        if wrong is not None:
            faults.append(f"sub-{subject}: {wrong}; correct the table.")
            continue
        age, site = values.get("age"), values.get(SITE)
        facts[subject] = Facts(
            values.get(column),
            None if age is None else as_number(age),
            values.get(COLUMN_OF["sex"]),
            None if site is None else canonical(site),
        )
    return facts


def _wrong_value(values: Mapping[str, str], column: str) -> str | None:
    """What is wrong with a subject's values, None where they are right or missing."""
    diagnosis, sex, age = values.get(DIAGNOSIS), values.get(COLUMN_OF["sex"]), values.get("age")
    if column == DIAGNOSIS and diagnosis not in (None, *DIAGNOSES):
        return f"diagnosis is '{diagnosis}', expected one of {', '.join(DIAGNOSES)}"
    if sex not in (None, "F", "M"):
        return f"gender is '{sex}', expected F or M"
    if age is not None and (as_number(age) or 0) <= 0:
        return f"age is '{age}', expected years"
    return None


def _cohort(
    root: Path,
    found: Mapping[str, BidsName],
    scans: Scans,
    facts: Mapping[str, Facts],
    left_out: dict[str, list[str]],
    faults: list[str],
) -> Cohort:
    """Makes the records, and names what else their subjects have in the folder."""
    records: list[Record] = []
    for path, name in scans.items():
        subject = name.entities["sub"]
        if subject not in facts:
            continue
        wrong = misplaced(path, name)
        if wrong is not None:
            faults.append(wrong)
            continue
        try:
            records.append(_record(root, path, name, facts[subject]))
        except DatalistError as error:
            faults.append(str(error))
    unlabelled = [record for record in records if record["label"] is None]
    absent = set(left_out["subjects: not in the table"])
    no_value = {f"sub-{record['subject']}" for record in unlabelled} - absent
    return Cohort(
        [record for record in records if record["label"] is not None],
        unlabelled=unlabelled,
        left_out=sorted_reasons({**left_out, "rows: no target value": no_value}),
        faults=faults,
        others=other_scans(found, records),
        allowed=[UNREGISTERED] if not all(map(is_registered, scans.values())) else [],
    )


def _record(root: Path, path: str, name: BidsName, known: Facts) -> Record:
    subject = name.entities["sub"]
    return make_record(
        path,
        subject,
        f"sub-{subject}",
        known.label,
        run=name.entities.get("run"),
        task=name.entities["task"],
        site=known.site,
        age=known.age,
        sex=known.sex,
        **motion_facts(root, path),
    )
