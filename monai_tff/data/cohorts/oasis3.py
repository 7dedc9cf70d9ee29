"""OASIS-3 (LaMontagne et al. 2019): resting-state scans over years, labelled by the clinical visit nearest to each."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_tff.data.bids_names import BidsName
from monai_tff.data.cohorts.bids_scans import (
    LeftOut,
    bold_scans,
    check_folder,
    choose_scans,
    entity_filters,
    motion_facts,
    other_scans,
    refuse_only_faults,
    sorted_reasons,
)
from monai_tff.data.cohorts.cohort import Cohort
from monai_tff.data.cohorts.oasis3_scans import (
    check_registration,
    days_since_entry,
    parse_oasis3_name,
    readable_scans,
    session_of,
)
from monai_tff.data.cohorts.oasis3_tables import Oasis3Tables, read_oasis3_tables
from monai_tff.data.cohorts.oasis3_targets import TABLE_OF, age_at, check_target, label_of
from monai_tff.data.records import Record, make_record
from monai_tff.errors import DatalistError


def read_oasis3(
    folder: str | os.PathLike[str],
    target: str,
    *,
    tables: Sequence[str | os.PathLike[str]] = (),
    task: str | None = "rest",
    session: str | None = None,
    run: str | None = None,
    space: str | None = None,
    res: str | None = None,
    desc: str | None = None,
    allow_unregistered: bool = False,
) -> Cohort:
    """Finds the BOLD scans of OASIS-3, their targets, ages, sexes and scanners.

    A session's label comes from the clinical visit nearest to it, at most 365 days off, the earlier of two that are as
    near. The group is the subject; labels may differ between its sessions.

    Args:
        folder: of fMRIPrep's derivatives; or of the scans as downloaded, in BIDS or in folders `OAS30001_MR_d0129`.
        target: `cdr` (0 against more), `ad` (cognitively normal with CDR 0 against Alzheimer's dementia with CDR > 0),
            `age` (at the scan) or `sex`.
        tables: OASIS3_demographics.csv, OASIS3_UDSb4_cdr.csv, OASIS3_MR_json.csv as far as needed, told by columns.
        task: only scans of this task; scans that name none are at rest.
        session: only this session, `d0129`.
        run: only this run.
        space: only scans in this space.
        res: only scans of this resolution.
        desc: only this description, instead of preferring `preproc`.
        allow_unregistered: whether scans that are in no template's space are accepted; recorded in the datalist.

    Returns:
        The cohort.

    Raises:
        DatalistError: when there is no scan, a table is missing or of no known kind, no subject is in it, or the scans
            are of several variants, double or not registered.
    """
    root = check_folder(folder)
    content = read_oasis3_tables(tables)
    check_target(target, content)
    found = bold_scans(root, parse_oasis3_name)
    filters = entity_filters(task=task, session=session_of(session), run=run, space=space, res=res, desc=desc)
    return _cohort(root, target, content, found, filters, allow_unregistered=allow_unregistered)


def _cohort(
    root: Path,
    target: str,
    tables: Oasis3Tables,
    found: Mapping[str, BidsName],
    filters: Mapping[str, str],
    *,
    allow_unregistered: bool,
) -> Cohort:
    left_out: LeftOut = {}
    readable, faults = readable_scans({path: name for path, name in found.items() if "sub" in name.entities})
    left_out["scans: no subject in the name"] = [path for path, name in found.items() if "sub" not in name.entities]
    if faults and not readable:
        raise DatalistError(f"{root}: no scan can be used; {faults[0]}")
    scans = choose_scans(root, readable, filters, left_out)
    allowed = check_registration(root, scans, allow=allow_unregistered)
    reasons = defaultdict(set, {reason: set(names) for reason, names in left_out.items()})
    _check_match(root, target, tables, scans, reasons)
    records, unlabelled = _records(root, target, tables, scans, reasons, faults)
    faults += tables.faults_of(name.entities["sub"].upper() for name in readable.values())
    refuse_only_faults(root, records, faults)
    return Cohort(
        records,
        unlabelled=unlabelled,
        left_out=sorted_reasons(reasons),
        faults=faults,
        others=other_scans(found, [*records, *unlabelled]),
        allowed=allowed,
    )


def _check_match(
    root: Path, target: str, tables: Oasis3Tables, scans: Mapping[str, BidsName], reasons: dict[str, set[str]]
) -> None:
    in_folder = {name.entities["sub"].upper() for name in scans.values()}
    known = tables.subjects[TABLE_OF[target]]
    if not in_folder & known:
        raise DatalistError(
            f"{tables.paths[TABLE_OF[target]]}: none of the {len(in_folder)} subjects with scans in {root} "
            f"(sub-{min(in_folder)}, ...) has a row, found the IDs {', '.join(sorted(known)[:3]) or 'none'}; give the "
            "tables of this cohort."
        )
    reasons["subjects: no scan"] |= {f"sub-{subject}" for subject in known - in_folder}


def _records(
    root: Path,
    target: str,
    tables: Oasis3Tables,
    scans: Mapping[str, BidsName],
    reasons: dict[str, set[str]],
    faults: list[str],
) -> tuple[list[Record], list[Record]]:
    """Records with and without label; `reasons` and `faults` are added to."""
    records: list[Record] = []
    unlabelled: list[Record] = []
    for path, name in scans.items():
        subject, session = name.entities["sub"], name.entities["ses"]
        identifier, day = subject.upper(), days_since_entry(session)
        if day is None or identifier in tables.contradicted:
            continue  # both have their sentence among the faults
        label, reason = label_of(target, tables, identifier, day)
        if label is None:
            reasons[reason].add(f"sub-{subject}" if reason.startswith("subjects") else f"sub-{subject} ses-{session}")
        try:
            motion = motion_facts(root, path)
        except DatalistError as error:
            faults.append(str(error))
            continue
        record = make_record(
            path,
            subject,
            f"sub-{subject}",
            label,
            session=session,
            run=name.entities.get("run"),
            task=name.entities.get("task"),
            site=tables.scanners.get((identifier, day)),
            age=age_at(tables, identifier, day),
            sex=tables.sexes.get(identifier),
            **motion,
        )
        (unlabelled if label is None else records).append(record)
    return records, unlabelled
