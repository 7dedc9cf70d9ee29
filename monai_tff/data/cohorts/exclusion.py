"""Scans that are left out by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fnmatch import fnmatch

from monai_tff.data.bids_names import without_prefix
from monai_tff.data.cohorts.cohort import Cohort
from monai_tff.data.cohorts.motion import exclude_by_motion
from monai_tff.data.records import Record
from monai_tff.errors import DatalistError

REASON = "scans: excluded by hand"


def narrowed(cohort: Cohort, exclude: Sequence[str], max_mean_fd: float | None) -> Cohort:
    """The cohort without what is excluded by hand, and without what moved too much.

    Args:
        cohort: of a reader.
        exclude: see `exclude_by_hand`.
        max_mean_fd: see `exclude_by_motion`; None keeps all.
    """
    if exclude:
        cohort = exclude_by_hand(cohort, exclude)
    return cohort if max_mean_fd is None else exclude_by_motion(cohort, max_mean_fd)


def exclude_by_hand(cohort: Cohort, patterns: Sequence[str]) -> Cohort:
    """Leaves out subjects and scans that are named, a scan that `check` found damaged for example.

    Args:
        cohort: of a reader.
        patterns: each the ID of a subject, with or without `sub-`, or a pattern that the path of a scan fits
            (`*run-2*`, as in a shell).

    Returns:
        The cohort without these scans: `left_out` lists them, `others` keeps them, since weights may have seen them.

    Raises:
        DatalistError: for a pattern that fits no scan, or when no scan with a label is left.

    Example:
        >>> exclude_by_hand(cohort, ["sub-0002", "*ses-2*"])  # doctest: +SKIP
    """
    every = [*cohort.records, *cohort.unlabelled]
    for pattern in patterns:
        if not any(_fits(record, pattern) for record in every):
            raise DatalistError(
                f"exclude '{pattern}': fits no subject and no path of {len(every)} scans, expected one such as "
                f"'{every[0]['subject'] if every else 'none'}'; correct it."
            )
    dropped = [record for record in every if any(_fits(record, pattern) for pattern in patterns)]
    names = {record["image"] for record in dropped}
    records = [record for record in cohort.records if record["image"] not in names]
    if not records:
        raise DatalistError(f"exclude: none of {len(cohort.records)} scans with a label is left; exclude fewer.")
    return dataclasses.replace(
        cohort,
        records=records,
        unlabelled=[record for record in cohort.unlabelled if record["image"] not in names],
        left_out={**cohort.left_out, REASON: sorted(names)},
        others=[*cohort.others, *({key: record[key] for key in ("image", "subject")} for record in dropped)],
    )


def _fits(record: Record, pattern: str) -> bool:
    return record["subject"] == without_prefix(pattern, "sub") or fnmatch(record["image"], pattern)
