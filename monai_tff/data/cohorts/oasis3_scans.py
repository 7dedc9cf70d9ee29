"""Names of OASIS-3's scans: subject, session and days since entry, in every layout that its downloads have."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from monai_tff.data.bids_names import BidsName, parse_name, without_prefix
from monai_tff.data.cohorts.bids_scans import UNREGISTERED, Scans, is_registered
from monai_tff.errors import DatalistError

_SESSION_FOLDER = re.compile(r"(OAS3\d+)_MR_(d\d+)", re.IGNORECASE)
_BIDS_FOLDER = re.compile(r"(?:sub-(OAS3\d+)|ses-(d\d+))", re.IGNORECASE)
_DAY = re.compile(r"d(\d+)", re.IGNORECASE)


def parse_oasis3_name(path: str) -> BidsName:
    """The parts of a scan's name.

    Some files write `sess-d0129` for `ses-d0129`; what a name lacks, its folders say (`OAS30001_MR_d0129`, `sub-` and
    `ses-`). Every BOLD scan of OASIS-3 is at rest (https://github.com/NrgXnat/oasis-scripts), named so or not.

    Args:
        path: relative to the folder of the cohort.

    Example:
        >>> parse_oasis3_name("OAS30001_MR_d0129/func1/sub-OAS30001_sess-d0129_run-01_bold.nii.gz").entities
        {'sub': 'OAS30001', 'ses': 'd0129', 'run': '01', 'task': 'rest'}
    """
    name = parse_name(path)
    entities = {"ses" if key == "sess" else key: value for key, value in name.entities.items()}
    subjects, sessions = _named_by_folders(path)
    for key, values in (("sub", subjects), ("ses", sessions)):
        if values:
            entities.setdefault(key, values[0])
    entities.setdefault("task", "rest")
    return dataclasses.replace(name, entities=entities)


def days_since_entry(session: str | None) -> int | None:
    """Days between a subject's entry and a session, None for what is no day.

    Example:
        >>> days_since_entry("d0129")
        129
    """
    match = _DAY.fullmatch(session or "")
    return int(match[1]) if match else None


def session_of(text: str | None) -> str | None:
    """A session as names write it, from what a user may write (`d129`, `ses-d0129`, `129`)."""
    if text is None:
        return None
    value = without_prefix(text, "ses")
    day = int(value) if value.isdigit() else days_since_entry(value)
    return value if day is None else f"d{day:04d}"


def readable_scans(found: Mapping[str, BidsName]) -> tuple[Scans, list[str]]:
    """Scans whose session is known.

    Args:
        found: names from `parse_oasis3_name`, by path, with a subject each.

    Returns:
        These scans, and a sentence for each of the others: a session that is no day, or a folder of another session or
        subject.
    """
    scans: Scans = {}
    faults = []
    for path, name in found.items():
        subject, session = name.entities["sub"], name.entities.get("ses")
        subjects, sessions = _named_by_folders(path)
        others = [folder for folder in subjects if folder != subject.upper()]
        if days_since_entry(session) is None:
            faults.append(
                f"{path}: the session is {'unknown' if session is None else f'ses-{session}'}, expected the days since "
                "entry such as ses-d0129; correct the name, or the folder (OAS30001_MR_d0129)."
            )
        elif any(days_since_entry(folder) != days_since_entry(session) for folder in sessions):
            faults.append(
                f"{path}: is named ses-{session} and lies in the folder of {sessions[0]}, expected one session; "
                "move or rename it."
            )
        elif others:
            faults.append(
                f"{path}: is named sub-{subject} and lies in the folder of {others[0]}, expected one subject; "
                "move or rename it."
            )
        else:
            scans[path] = name
    return scans, faults


def check_registration(root: Path, scans: Mapping[str, BidsName], *, allow: bool) -> tuple[str, ...]:
    """Refuses scans that are not in the space of a template.

    Args:
        root: of the cohort, for the message.
        scans: that are used.
        allow: whether they are accepted all the same.

    Returns:
        What was allowed, for `Cohort.allowed`.

    Raises:
        DatalistError: for scans without `space-<template>`, unless they are allowed.
    """
    raw = [path for path, name in scans.items() if not is_registered(name)]
    if raw and not allow:
        raise DatalistError(
            f"{root}: {len(raw)} of {len(scans)} scans are not registered to a template ({raw[0]}, ...), expected "
            "space-MNI152NLin2009cAsym or another template in their names: a voxel must be the same "
            "place in every subject, and resampling does not do that; run fMRIPrep first, or accept it with "
            "--allow-unregistered."
        )
    return (UNREGISTERED,) if raw else ()


def _named_by_folders(path: str) -> tuple[list[str], list[str]]:
    """Subjects and sessions that the folders of a path name."""
    subjects: list[str] = []
    sessions: list[str] = []
    for folder in PurePosixPath(path).parts[:-1]:
        if match := _SESSION_FOLDER.fullmatch(folder) or _BIDS_FOLDER.fullmatch(folder):
            subjects += [match[1].upper()] if match[1] else []
            sessions += [match[2]] if match[2] else []
    return subjects, sessions
