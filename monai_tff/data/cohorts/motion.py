"""Head motion of a scan, read from the files that preprocessing left beside it, and scans excluded by it.

Motion that is not known is None, never 0: a scan without a confounds table did not lie still.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from monai_tff.data.bids_names import parse_name
from monai_tff.data.cohorts.cohort import Cohort
from monai_tff.data.records import Record
from monai_tff.data.targets import MAX_NUMERIC_CLASSES, as_number, canonical, is_missing
from monai_tff.errors import DatalistError

FD_COLUMNS = ("framewise_displacement", "FramewiseDisplacement")
"""Framewise displacement in mm (Power et al. 2012) as new and as old fMRIPrep (before 1.2) name it."""

RELATIVE_RMS_FILE = "Movement_RelativeRMS_mean.txt"
"""One number in mm: the mean over frames that HCP's pipelines write into the folder of a run."""

_OF_ONE_OUTPUT = ("space", "cohort", "res", "den", "desc", "echo", "part")
"""Entities of a preprocessed scan that its confounds, estimated once for the run, do not carry."""

_CONFOUNDS = (("timeseries", "confounds"), ("regressors", "confounds"), ("confounds", None))
"""Suffix and `desc` of a confounds table: fMRIPrep since 20.2, since 1.2, before."""


def find_confounds(image: str | os.PathLike[str]) -> Path | None:
    """Finds the table of confounds that fMRIPrep wrote for a scan.

    Args:
        image: the preprocessed scan, `sub-1_task-rest_space-MNI_desc-preproc_bold.nii.gz` or, of old fMRIPrep,
            `sub-1_task-rest_bold_space-MNI_preproc.nii.gz`; it need not exist.

    Returns:
        The sibling `*_desc-confounds_timeseries.tsv`, `*_desc-confounds_regressors.tsv` or `*_confounds.tsv` of this
        run (same entities but for space, resolution, description, echo), the newest naming first; None without one, or
        where it is a link whose file is not there.

    Example:
        >>> find_confounds("sub-1/func/sub-1_task-rest_desc-preproc_bold.nii.gz")  # doctest: +SKIP
        PosixPath('sub-1/func/sub-1_task-rest_desc-confounds_timeseries.tsv')
    """
    image = Path(image)
    wanted = _run_entities(parse_name(image).entities)
    found: dict[int, Path] = {}
    for candidate in sorted(image.parent.glob("*.tsv")):
        name = parse_name(candidate)
        naming = (name.suffix, name.entities.get("desc"))
        if naming in _CONFOUNDS and _run_entities(name.entities) == wanted and candidate.is_file():
            found.setdefault(_CONFOUNDS.index(naming), candidate)
    return found[min(found)] if found else None


def mean_framewise_displacement(confounds: str | os.PathLike[str]) -> float | None:
    """Mean framewise displacement of a scan in mm.

    Args:
        confounds: table of fMRIPrep, tab-separated, with one row for each frame. The first frame has no displacement
            (`n/a`); frames without a value do not count.

    Returns:
        The mean, None where the table has no such column or no value in it.

    Raises:
        DatalistError: for a table that cannot be read, or a value that is not a number of mm.
    """
    path = Path(confounds)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            header = [name.strip() for name in next(rows, [])]
            column = next((header.index(name) for name in FD_COLUMNS if name in header), None)
            cells = [] if column is None else [(n, row[column]) for n, row in enumerate(rows, 1) if len(row) > column]
    except (OSError, ValueError, csv.Error) as error:
        raise DatalistError(
            f"{path}: cannot be read ({error}), expected the confounds table of fMRIPrep; restore or remove it."
        ) from error
    values = [_millimetres(path, f"row {n} of {header[column or 0]}", cell) for n, cell in cells]
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def relative_rms(run_folder: str | os.PathLike[str]) -> float | None:
    """Mean relative RMS displacement of a run of HCP in mm.

    Args:
        run_folder: folder of the run, which holds `Movement_RelativeRMS_mean.txt`.

    Returns:
        The number in that file, None without the file or a number in it.

    Raises:
        DatalistError: for a file that cannot be read, or that holds something else.
    """
    path = Path(run_folder) / RELATIVE_RMS_FILE
    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise DatalistError(
            f"{path}: cannot be read ({error}), expected one number in mm; restore or remove it."
        ) from error
    return _millimetres(path, "the file", text)


def exclude_by_motion(cohort: Cohort, max_mean_fd: float) -> Cohort:
    """Leaves out the scans that moved too much, named by class.

    Scans whose motion is not known stay in, with `motion` None in their record: the caller counts them there.

    Args:
        cohort: of a reader that fills in `motion`.
        max_mean_fd: largest motion in mm that stays in, for mean framewise displacement as for mean relative RMS.

    Returns:
        The cohort without these scans: `left_out` lists them (`scans: mean FD above 0.5 mm, class CONTROL`; the numbers
        of a regression are not named), `others` keeps them, since weights may have seen them.

    Raises:
        DatalistError: for a limit that is no number of mm, a cohort without any known motion, or one that nothing is
            left of.
    """
    if not (math.isfinite(max_mean_fd) and max_mean_fd > 0):
        raise DatalistError(f"--max-mean-fd: found {max_mean_fd:g}, expected a number of mm above 0, such as 0.5.")
    scans = [*cohort.records, *cohort.unlabelled]
    if scans and all(record["motion"] is None for record in scans):
        raise DatalistError(
            f"--max-mean-fd: the motion of none of {len(scans)} scans is known, expected confounds tables of fMRIPrep, "
            f"or {RELATIVE_RMS_FILE} of HCP, beside the scans; add them, or leave the option out."
        )
    classes = _are_classes([record["label"] for record in cohort.records])
    left_out = defaultdict(list, {reason: list(names) for reason, names in cohort.left_out.items()})
    dropped = [record for record in scans if record["motion"] is not None and record["motion"] > max_mean_fd]
    for record in dropped:
        left_out[_reason(record, max_mean_fd, classes=classes)].append(record["image"])
    gone = {record["image"] for record in dropped}
    records = [record for record in cohort.records if record["image"] not in gone]
    if cohort.records and not records:
        smallest = min(record["motion"] for record in cohort.records)
        raise DatalistError(
            f"--max-mean-fd: all {len(cohort.records)} scans with a label moved more than {max_mean_fd:g} mm, the "
            f"smallest motion is {smallest:.3g} mm; choose a larger limit."
        )
    return dataclasses.replace(
        cohort,
        records=records,
        unlabelled=[record for record in cohort.unlabelled if record["image"] not in gone],
        left_out=dict(left_out),
        others=[*cohort.others, *({"image": record["image"], "subject": record["subject"]} for record in dropped)],
    )


def _run_entities(entities: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in entities.items() if key not in _OF_ONE_OUTPUT}


def _millimetres(path: Path, place: str, cell: str) -> float | None:
    if is_missing(cell):
        return None
    number = as_number(cell)
    if number is None or number < 0:
        raise DatalistError(
            f"{path}: {place} is '{cell.strip()[:40]}', expected a displacement in mm; correct or remove the file."
        )
    return number


def _are_classes(labels: Sequence[object]) -> bool:
    """Whether labels are few enough, or words, so that each is worth a line of its own."""
    found = {canonical(label) for label in labels}
    return len(found) <= MAX_NUMERIC_CLASSES or any(as_number(label) is None for label in found)


def _reason(record: Record, limit: float, *, classes: bool) -> str:
    reason = f"scans: {record['motion_kind']} above {limit:g} mm"
    if record["label"] is None:
        return f"{reason}, without label"
    return f"{reason}, class {canonical(record['label'])}" if classes else reason
