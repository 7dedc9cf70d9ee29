"""Public cohorts that nilearn downloads: development_fmri, 40 subjects of ADHD-200, and ABIDE."""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from monai_tff.data.bids_names import without_prefix, without_zeros
from monai_tff.data.cohorts.cells import Columns, cell, first_column, need_column
from monai_tff.data.cohorts.cohort import Cohort
from monai_tff.data.cohorts.motion import mean_framewise_displacement
from monai_tff.data.cohorts.public_download import fetch
from monai_tff.data.cohorts.public_studies import (
    ABIDE,
    ADHD,
    DEVELOPMENT_FMRI,
    Study,
    abide_variant,
    target_column,
)
from monai_tff.data.header import read_header
from monai_tff.data.records import MEAN_FD, Record, make_record
from monai_tff.data.targets import as_number, canonical, is_missing
from monai_tff.errors import DatalistError, UserError

_THREADS = 8
_NO_VALUE = -9999.0
"""ABIDE's number for what is not known."""

_COUNTERS = ("", "i", "X", "Unnamed: 0", "Unnamed: 0.1")
"""Columns that number the rows."""

_ABIDE_SCAN = "_func_preproc.nii.gz"


def read_development_fmri(folder: str | os.PathLike[str], target: str) -> Cohort:
    """Children and adults who watch a film, see `DEVELOPMENT_FMRI`: a task, not rest.

    Args:
        folder: nilearn's data folder, which paths start from; what is missing is downloaded into it.
        target: `age`, `sex`, `age_group`, `child_adult`, or a column of the table.

    Returns:
        The cohort.

    Raises:
        DatalistError: without network for what is missing; for a target that the table does not have.

    Example:
        >>> cohort = read_development_fmri("nilearn_data", "child_adult")  # doctest: +SKIP
    """
    # the reduced confounds would be written into the folder, and lack nothing that is read here
    found = fetch(DEVELOPMENT_FMRI, folder, reduce_confounds=False)
    named = [Path(image).name.partition("_")[0] for image in found.func]
    scans = dict(zip(named, zip(found.func, found.confounds, strict=True), strict=True))
    return _cohort(DEVELOPMENT_FMRI, Path(folder), target, scans, _columns(found.phenotypic))


def read_adhd(folder: str | os.PathLike[str], target: str) -> Cohort:
    """The 40 subjects of ADHD-200 that nilearn offers, at rest.

    Siblings that the table names are one group.

    Args:
        folder: nilearn's data folder, which paths start from; what is missing is downloaded into it.
        target: `age`, `sex`, `diagnosis` (`ADHD` and `control`), or a column of the table.

    Returns:
        The cohort.

    Raises:
        DatalistError: see `read_development_fmri`.
    """
    found = fetch(ADHD, folder, n_subjects=None)
    # the rows of the table are in another order than the scans
    named = [Path(image).parent.name for image in found.func]
    scans = dict(zip(named, zip(found.func, found.confounds, strict=True), strict=True))
    return _cohort(ADHD, Path(folder), target, scans, _columns(found.phenotypic))


def read_abide(folder: str | os.PathLike[str], target: str, *, variant: str | None = None) -> Cohort:
    """ABIDE of the Preprocessed Connectomes Project, at rest: the scans that all raters passed.

    Args:
        folder: nilearn's data folder, which paths start from; what is missing is downloaded into it.
        target: `age`, `sex`, `diagnosis` (`autism` and `control`), `site`, or a column of the table.
        variant: pipeline and strategy, `cpac/nofilt_noglobal` if None, see `abide_variant`.

    Returns:
        The cohort; scans whose header has no repetition time are faults, as it differs between the sites. Scans of the
        same subjects by other pipelines are among its others.

    Raises:
        DatalistError: see `read_development_fmri`; for a variant that does not exist.
    """
    pipeline, filtered, without_global = abide_variant(variant)
    found = fetch(
        ABIDE, folder, pipeline=pipeline, band_pass_filtering=filtered, global_signal_regression=without_global
    )
    named = [Path(image).name.removesuffix(_ABIDE_SCAN) for image in found.func_preproc]
    scans = {name: (image, None) for name, image in zip(named, found.func_preproc, strict=True)}
    cohort = _cohort(ABIDE, Path(folder), target, scans, _columns(found.phenotypic))
    return dataclasses.replace(cohort, others=_other_pipelines(Path(folder), cohort))


def _columns(table: Any) -> Columns:
    """The table of a Bunch as text; a cell without value is empty."""
    return {str(name): [_text(value) for value in values] for name, values in table.items()}


def _text(value: Any) -> str:
    if is_missing(value) or as_number(value) == _NO_VALUE:
        return ""
    # integers of a column with gaps come as floats; an ID such as 0010042 is text and stays
    return canonical(value) if isinstance(value, float) else str(value).strip()


def _cohort(
    study: Study, root: Path, target: str, scans: Mapping[str, tuple[str, str | None]], columns: Columns
) -> Cohort:
    """Joins scans, by their name in the table, with the table's rows."""
    for column in (study.scan_column, study.subject_column):
        need_column(root / study.folder, columns, column)
    label_column, words = target_column(study, columns, target)
    rows, faults = _rows(study, columns)
    groups = _groups(study, columns)
    left_out = {"scans: not in the table": sorted(set(scans) - set(columns[study.scan_column]))}
    usable: list[Record] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        known = [(name, *paths) for name, paths in sorted(scans.items()) if name in rows]
        outcomes = pool.map(lambda scan: _record(study, root, columns, rows[scan[0]], *scan[1:]), known)
        for (name, *_), outcome in zip(known, outcomes, strict=True):
            if isinstance(outcome, UserError):
                faults.append(str(outcome))
                continue
            label = cell(columns, label_column, rows[name])
            if label is not None and words and label not in words:
                faults.append(
                    f"{study.name}: {name} has {label_column} '{label}', expected {', '.join(words)}; the scan is "
                    "left out."
                )
                continue
            label = words.get(label, label) if label is not None else None
            usable.append({**outcome, "group": groups[outcome["subject"]], "label": label})
    if not usable:
        reason = faults[0] if faults else f"none of {len(scans)} scans has a row in the table."
        raise DatalistError(f"{root / study.folder}: no scan of {study.name} can be used; {reason}")
    unlabelled = [record for record in usable if record["label"] is None]
    left_out["rows: no target value"] = [f"sub-{record['subject']}" for record in unlabelled]
    return Cohort(
        [record for record in usable if record["label"] is not None],
        unlabelled=unlabelled,
        left_out={reason: names for reason, names in left_out.items() if names},
        faults=faults,
        denoising=study.denoising,
    )


def _rows(study: Study, columns: Columns) -> tuple[dict[str, int], list[str]]:
    """The row of each scan; scans whose rows disagree are faults."""
    found: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(columns[study.scan_column]):
        found[name].append(index)
    rows, faults = {}, []
    for name, indices in found.items():
        cells = [{key: values[i] for key, values in columns.items() if key not in _COUNTERS} for i in indices]
        differing = [key for key in cells[0] if len({row[key] for row in cells}) > 1]
        if differing:
            faults.append(
                f"{study.name}: {len(indices)} rows of {name} disagree ({differing[0]}: "
                f"{' and '.join(row[differing[0]] or 'n/a' for row in cells)}), expected one; the scan is left out."
            )
        else:
            rows[name] = indices[0]
    return rows, faults


def _record(
    study: Study, root: Path, columns: Columns, row: int, image: str, confounds: str | None
) -> Record | UserError:
    """The record of a scan without group and label, or why it cannot be used."""

    def value(column: str | None) -> str | None:
        return cell(columns, first_column(columns, [column]) if column else None, row)

    try:
        tr = read_header(image).repetition_time or study.repetition_time
        if tr is None:
            raise DatalistError(
                f"{image}: its header has no repetition time, which differs between the sites of {study.name}, "
                "expected seconds; correct the header, or write a sidecar with RepetitionTime beside it."
            )
        motion = as_number(value(study.motion_column))
        if motion is None and study.motion_column is None and confounds is not None:
            motion = mean_framewise_displacement(confounds)
    except UserError as error:
        return error
    sex = value(study.columns["sex"])
    return make_record(
        _relative(root, study, image),
        _subject(study, columns, row),
        "",
        None,
        task=study.task,
        site=value(study.site_column),
        tr=tr,
        confounds=None if confounds is None else _relative(root, study, confounds),
        motion=motion,
        motion_kind=None if motion is None else MEAN_FD,
        age=as_number(value(study.columns["age"])),
        sex=None if sex is None else study.codes["sex"].get(sex),
    )


def _subject(study: Study, columns: Columns, row: int) -> str:
    return without_prefix(columns[study.subject_column][row], "sub")


def _relative(root: Path, study: Study, path: str) -> str:
    """A path of nilearn's, which follows a link in place of the study's folder, relative to the root."""
    home = root / study.folder
    base = home if Path(path).is_relative_to(home) else home.resolve()
    return (PurePosixPath(study.folder) / Path(path).relative_to(base).as_posix()).as_posix()


def _groups(study: Study, columns: Columns) -> dict[str, str]:
    """The group of each subject: siblings are one, named by one of them."""
    subjects = [_subject(study, columns, row) for row in range(len(columns[study.subject_column]))]
    siblings = first_column(columns, [study.sibling_column]) if study.sibling_column else None
    first: dict[str, str] = {without_zeros(subject): subject for subject in reversed(subjects)}
    group = {key: key for key in first}

    def find(key: str) -> str:
        while group[key] != key:
            key = group[key]
        return key

    for row, subject in enumerate(subjects):
        sibling = cell(columns, siblings, row)
        # a sibling outside the table links the subjects that name it too
        number = as_number(sibling)
        if sibling is not None and (number is None or number > 0):
            other = without_zeros(sibling)
            group.setdefault(other, other)
            one, two = sorted((find(without_zeros(subject)), find(other)), key=lambda key: (key not in first, key))
            group[two] = one
    return {subject: f"sub-{first[find(without_zeros(subject))]}" for subject in subjects}


def _other_pipelines(root: Path, cohort: Cohort) -> list[dict[str, str]]:
    """Scans of the cohort's subjects that another pipeline or strategy prepared."""
    used = {record["image"]: record["subject"] for record in _all(cohort)}
    subjects = {PurePosixPath(image).name: subject for image, subject in used.items()}
    found = [path.relative_to(root).as_posix() for path in (root / ABIDE.folder).glob(f"*/*/*{_ABIDE_SCAN}")]
    return [
        {"image": image, "subject": subjects[PurePosixPath(image).name]}
        for image in sorted(found)
        if image not in used and PurePosixPath(image).name in subjects
    ]


def _all(cohort: Cohort) -> Iterable[Record]:
    return (*cohort.records, *cohort.unlabelled)
