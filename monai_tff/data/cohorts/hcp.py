"""The Human Connectome Project, young adults (S1200): four resting-state runs of twins and their siblings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from monai_tff.data.cohorts.cohort import Cohort
from monai_tff.data.cohorts.families import family_groups
from monai_tff.data.cohorts.hcp_scans import (
    HcpScan,
    choose_hcp_scans,
    find_hcp_scans,
    other_hcp_scans,
)
from monai_tff.data.cohorts.joined import Joined, SubjectTables
from monai_tff.data.cohorts.motion import relative_rms
from monai_tff.data.records import RELATIVE_RMS, Record, make_record
from monai_tff.data.targets import as_number, canonical
from monai_tff.errors import DatalistError

FAMILY_COLUMNS = ("Family_ID", "Mother_ID", "Father_ID")
"""Of the restricted table. Old releases lack the first; the columns of twins and zygosity are not needed."""

COLUMN_OF = {"sex": "Gender", "age": "Age_in_Yrs"}
"""Targets by their common name. `Age` itself is a column of bands (22-25, ..., 36+), which are classes."""

DENOISING = {"plain": "none", "hp2000_clean": "fix", "hp2000_clean_rclean_tclean": "fix"}
"""What the contract says of each variant; the newest had temporal ICA besides FIX: nothing is left to do either."""

UNKNOWN_FAMILIES = "unknown families"
"""What `Cohort.allowed` says where families were allowed to be unknown."""


class Facts(NamedTuple):
    """What the tables say of a subject: target as written, age in years, sex; None where unknown."""

    label: str | None
    age: float | None
    sex: str | None


def read_hcp(
    folder: str | os.PathLike[str],
    target: str,
    *,
    tables: Sequence[str | os.PathLike[str]] = (),
    session: str | None = None,
    run: str | None = None,
    variant: str | None = None,
    allow_unknown_families: bool = False,
) -> Cohort:
    """Finds the resting-state runs of HCP S1200 and the target of their subjects.

    Groups are families: whoever shares a family, a mother or a father, directly or through others, stays together. A
    blank is unknown and never shared; a subject with all three blank is a group of its own.

    Args:
        folder: that holds the subjects' folders (`100206/MNINonLinear/...`); image paths are relative to it.
        target: column of the tables; `sex` stands for `Gender`, `age` for `Age_in_Yrs`.
        tables: with a column `Subject`: the unrestricted (`Gender`), the restricted (`Family_ID`) and others, joined.
        session: only this day, `REST1` or `REST2`.
        run: only this phase encoding, `LR` or `RL`.
        variant: of `VARIANTS`; needed where the runs come in several.
        allow_unknown_families: whether to go on without any family; relatives may then be in training and test.

    Returns:
        The cohort. Scans without a target value are `unlabelled`; those of subjects in no table of families are used
        only where unknown families are allowed. Faults are subjects whose tables disagree or whose sex or age cannot be
        read, and runs whose motion cannot be read or that are there twice.

    Raises:
        DatalistError: for a tree without scans, several variants, a table or column that is missing, IDs that match
            nothing, and unknown families.
    """
    root = Path(folder)
    subjects = _read_tables(tables)
    column = _target_column(subjects, target)
    left_out: dict[str, list[str]] = {}
    found = find_hcp_scans(root, left_out)
    scans, faults = choose_hcp_scans(root, found, left_out, session=session, run=run, variant=variant)
    joined = subjects.join([column, *COLUMN_OF.values(), *FAMILY_COLUMNS])
    in_folder = sorted({scan.subject for scan in scans})
    _match(subjects, joined, in_folder, left_out)
    groups, allowed = _families(subjects, joined, in_folder, allow_unknown=allow_unknown_families)
    usable = in_folder if allow_unknown_families else _with_family_row(subjects, joined, in_folder, left_out)
    facts = _facts(joined, usable, column, faults)
    records = _records(root, scans, facts, groups, faults)
    return _cohort(root, records, joined, left_out, faults, allowed, denoising=DENOISING[scans[0].variant])


def _read_tables(tables: Sequence[str | os.PathLike[str]]) -> SubjectTables:
    if not tables:
        raise DatalistError(
            "HCP S1200: no table was given, expected the unrestricted table (Subject, Gender) and the restricted one "
            f"({', '.join(FAMILY_COLUMNS)}, Age_in_Yrs) of its database; add them with --table."
        )
    return SubjectTables(tables, "Subject", canonical)


def _target_column(subjects: SubjectTables, target: str) -> str:
    """The column of a target: as written, else by its common name."""
    column = target if subjects.has(target) else COLUMN_OF.get(target, target)
    if column == COLUMN_OF["age"] and not subjects.has(column):
        bands = "only the bands of 'Age' (22-25 to 36+, which has no middle)" if subjects.has("Age") else "no age"
        raise DatalistError(
            f"{subjects.paths}: found {bands}, expected exact ages in a column '{column}'; add the restricted table "
            "with --table, or choose the bands as classes with --target Age."
        )
    subjects.need(column)
    return column


def _match(subjects: SubjectTables, joined: Joined, in_folder: Sequence[str], left_out: dict[str, list[str]]) -> None:
    """Notes who is only in the folder or only in the tables."""
    listed = set(joined.values)
    if not listed.intersection(in_folder):
        raise DatalistError(
            f"{subjects.paths}: none of the {len(in_folder)} subjects with scans ({in_folder[0]}, ...) has a row, "
            f"found the IDs {', '.join(sorted(listed)[:3]) or 'none'}; give the tables of these subjects."
        )
    reasons = {
        "subjects: not in the tables": sorted(set(in_folder) - listed),
        "subjects: no scan": sorted(listed.difference(in_folder)),
    }
    left_out.update({reason: names for reason, names in reasons.items() if names})


def _families(
    subjects: SubjectTables, joined: Joined, in_folder: Sequence[str], *, allow_unknown: bool
) -> tuple[dict[str, str], list[str]]:
    """The group of each subject, and what had to be allowed for it."""
    everyone = dict.fromkeys([*joined.values, *in_folder])
    members = {s: [joined.values.get(s, {}).get(column) for column in FAMILY_COLUMNS] for s in everyone}
    groups = family_groups(members)
    unknown = [subject for subject in in_folder if not any(members[subject])]
    if len(unknown) == len(in_folder) and not allow_unknown:
        present = [column for column in FAMILY_COLUMNS if subjects.has(column)]
        found = (
            f"only blanks in {', '.join(present)}" if present else f"none of the columns {', '.join(FAMILY_COLUMNS)}"
        )
        raise DatalistError(
            f"{subjects.paths}: found {found} for the subjects with scans; HCP is a study of twins and siblings, who "
            "must not be split between training and test; add the restricted table with --table, or accept that they "
            "may be with --allow-unknown-families."
        )
    return groups, [UNKNOWN_FAMILIES] if unknown and allow_unknown else []


def _with_family_row(
    subjects: SubjectTables, joined: Joined, in_folder: Sequence[str], left_out: dict[str, list[str]]
) -> list[str]:
    """The subjects that a table of families has; any of the others may be a relative of anybody."""
    listed = subjects.with_any(FAMILY_COLUMNS)
    missing = sorted(set(in_folder).intersection(joined.values) - listed)
    if missing:
        left_out["subjects: in no table of families"] = missing
    return [subject for subject in in_folder if subject in listed]


def _facts(joined: Joined, subjects: Sequence[str], column: str, faults: list[str]) -> dict[str, Facts]:
    """Label, age and sex of each subject without a fault; nothing is known of one that is in no table."""
    facts = {}
    for subject in subjects:
        if subject in joined.faults:
            faults.append(joined.faults[subject])
            continue
        values = joined.values.get(subject, {})
        try:
            facts[subject] = Facts(values.get(column), _age(subject, values), _sex(subject, values))
        except DatalistError as error:
            faults.append(str(error))
    return facts


def _age(subject: str, values: Mapping[str, str]) -> float | None:
    text = values.get(COLUMN_OF["age"])
    age = None if text is None else as_number(text)
    if text is not None and (age is None or age <= 0):
        raise DatalistError(f"subject {subject}: Age_in_Yrs is '{text}', expected an age in years; correct the table.")
    return age


def _sex(subject: str, values: Mapping[str, str]) -> str | None:
    sex = values.get(COLUMN_OF["sex"])
    if sex not in (None, "F", "M"):
        raise DatalistError(f"subject {subject}: Gender is '{sex}', expected F or M; correct the table.")
    return sex


def _records(
    root: Path,
    scans: Sequence[HcpScan],
    facts: Mapping[str, Facts],
    groups: Mapping[str, str],
    faults: list[str],
) -> list[Record]:
    records = []
    for scan in scans:
        if scan.subject not in facts:
            continue
        try:
            motion = relative_rms((root / scan.image).parent)
        except DatalistError as error:
            faults.append(str(error))
            continue
        known = facts[scan.subject]
        records.append(
            make_record(
                scan.image,
                scan.subject,
                groups[scan.subject],
                known.label,
                session=scan.session,
                run=scan.run,
                task="rest",
                motion=motion,
                motion_kind=None if motion is None else RELATIVE_RMS,
                age=known.age,
                sex=known.sex,
            )
        )
    return records


def _cohort(
    root: Path,
    records: Sequence[Record],
    joined: Joined,
    left_out: dict[str, list[str]],
    faults: Sequence[str],
    allowed: Sequence[str],
    *,
    denoising: str,
) -> Cohort:
    """Tells scans with a label from those without, and adds what else the subjects have in the folder."""
    unlabelled = [record for record in records if record["label"] is None]
    no_value = sorted({record["subject"] for record in unlabelled}.intersection(joined.values))
    if no_value:
        left_out["rows: no target value"] = no_value
    return Cohort(
        [record for record in records if record["label"] is not None],
        unlabelled=unlabelled,
        left_out=left_out,
        faults=faults,
        others=other_hcp_scans(root, records),
        allowed=allowed,
        denoising=denoising,
    )
