"""Cohorts in BIDS, raw or derivatives of fMRIPrep, with their tables; and cohorts whose table names the scans."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai_tff.data.bids_names import BidsName, parse_name
from monai_tff.data.cohorts.bids_labels import Labels
from monai_tff.data.cohorts.bids_paths import listed_scans
from monai_tff.data.cohorts.bids_scans import (
    LeftOut,
    bold_scans,
    check_folder,
    choose_scans,
    entity_filters,
    misplaced,
    motion_facts,
    other_scans,
    refuse_only_faults,
    sorted_reasons,
)
from monai_tff.data.cohorts.bids_tables import (
    PARTICIPANTS,
    Paths,
    background_tables,
    dataset_roots,
    find_labels,
    given_table,
)
from monai_tff.data.cohorts.cohort import Cohort
from monai_tff.data.cohorts.table import ID_COLUMN, Row, SubjectTable
from monai_tff.data.records import Record, make_record
from monai_tff.errors import DatalistError


def read_bids(
    folder: str | os.PathLike[str],
    target: str,
    *,
    task: str | None = None,
    space: str | None = None,
    session: str | None = None,
    run: str | None = None,
    res: str | None = None,
    desc: str | None = None,
    echo: str | None = None,
    tables: Paths = (),
    raw: str | os.PathLike[str] | None = None,
    id_column: str | None = None,
    path_column: str | None = None,
) -> Cohort:
    """Finds the `*_bold` scans of a BIDS tree and the target of their subjects or sessions.

    Args:
        folder: of the dataset or the derivative; also the `dataset_dir` that image paths start from.
        target: column of a table.
        task: only scans of this task; values are accepted with or without the key (`task-`) and leading zeros.
        space: only scans in this space.
        session: only scans of this session.
        run: only this run.
        res: only scans of this resolution.
        desc: only this description, instead of preferring `preproc`.
        echo: only this echo.
        tables: where the target is looked for, see `find_labels`; participants.tsv and its kin if empty.
        raw: raw dataset of a derivative, see `dataset_roots`.
        id_column: column of the IDs, `participant_id` if None.
        path_column: column of paths in one of the tables, which then says itself which scan belongs to which row.

    Returns:
        The cohort, with motion from the confounds beside the scans.

    Raises:
        DatalistError: when there is no scan, no table or no match between them, or several variants of the scans.
    """
    root = check_folder(folder)
    filters = entity_filters(task=task, space=space, session=session, run=run, res=res, desc=desc, echo=echo)
    roots = dataset_roots(root, raw)
    if path_column is not None:
        given = [Path(table) for table in tables] or [root / PARTICIPANTS]
        return _from_paths(roots, given, target, filters, id_column or ID_COLUMN, path_column)
    left_out: LeftOut = {}
    found = bold_scans(root)
    scans = choose_scans(root, found, filters, left_out)
    return _joined(root, found, scans, find_labels(roots, target, tables=tables, id_column=id_column), left_out)


def _joined(
    root: Path, found: Mapping[str, BidsName], scans: Mapping[str, BidsName], labels: Labels, left_out: LeftOut
) -> Cohort:
    """Gives each scan the target, group, site, age and sex of its subject or session."""
    in_folder = sorted({name.entities["sub"] for name in scans.values()})
    matched = labels.match(in_folder)
    reasons: dict[str, set[str]] = {reason: set(names) for reason, names in left_out.items()}
    reasons["subjects: not in the table"] = {f"sub-{subject}" for subject in in_folder if subject not in matched}
    reasons["subjects: no scan"] = {f"sub-{subject}" for subject in labels.without_scan()}
    records: list[Record] = []
    unlabelled: list[Record] = []
    faults: dict[str, None] = {}
    for path, name in scans.items():
        subject, session = name.entities["sub"], name.entities.get("ses")
        row = labels.row(subject, session)
        wrong = misplaced(path, name) or labels.disagreement(subject, session)
        if wrong is not None:
            faults[wrong] = None
            continue
        if subject in matched and (row is None or row.value is None):
            unit = f"sub-{subject}" + (f" ses-{session}" if row is None or row.session is not None else "")
            reason = "sessions: not in the table" if row is None else "rows: no target value"
            reasons.setdefault(reason, set()).add(unit)
        known = row if row is not None else labels.covariates(subject, session)
        record = _record(root, path, subject, labels.group(subject), known, faults)
        if record is not None:
            (unlabelled if record["label"] is None else records).append(record)
    refuse_only_faults(root, records, list(faults))
    return Cohort(
        records,
        unlabelled=unlabelled,
        left_out=sorted_reasons(reasons),
        faults=list(faults),
        others=other_scans(found, [*records, *unlabelled]),
    )


def _from_paths(
    roots: Sequence[Path],
    given: Sequence[Path],
    target: str,
    filters: Mapping[str, str],
    id_column: str,
    path_column: str,
) -> Cohort:
    """The cohort of a table that names its scans; names of files say task and run where they are BIDS."""
    root, table = roots[0], given_table(given, target)
    listed = listed_scans(root, table, target, id_column=id_column, path_column=path_column, filters=filters)
    background = background_tables(roots, given, table, id_column)
    labels = Labels(SubjectTable(table, list(listed.rows.values())), (), background)
    labels.match(sorted({row.subject for row in listed.rows.values()}))
    faults = dict.fromkeys(listed.faults)
    records: list[Record] = []
    unlabelled: list[Record] = []
    for path, row in sorted(listed.rows.items()):
        known = labels.completed(row, row.subject, row.session)
        record = _record(root, path, row.subject, labels.group(row.subject), known, faults)
        if record is None:
            continue
        if row.value is None:
            listed.left_out.setdefault("rows: no target value", []).append(f"sub-{row.subject}")
        (unlabelled if row.value is None else records).append(record)
    subjects = {record["subject"] for record in (*records, *unlabelled)}
    refuse_only_faults(root, records, list(faults))
    return Cohort(
        records,
        unlabelled=unlabelled,
        left_out=sorted_reasons(listed.left_out),
        faults=list(faults),
        others=[
            {"image": path, "subject": row.subject}
            for path, row in sorted(listed.not_chosen.items())
            if row.subject in subjects
        ],
    )


def _record(root: Path, path: str, subject: str, group: str, row: Row, faults: dict[str, None]) -> Record | None:
    """The record of a scan, None where its confounds are wrong."""
    entities = parse_name(path).entities
    try:
        motion = motion_facts(root, path) if "sub" in entities else {}
    except DatalistError as error:
        faults[str(error)] = None
        return None
    return make_record(
        path,
        subject,
        group,
        row.value,
        session=entities.get("ses", row.session if row.path is not None else None),
        run=entities.get("run"),
        task=entities.get("task"),
        site=row.site,
        age=row.age,
        sex=row.sex,
        **motion,
    )
