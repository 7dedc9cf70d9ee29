"""The record of one scan: the keys that every datalist has, in their order."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]

RECORD_KEYS = (
    *("image", "subject", "session", "run", "task", "group", "site"),
    *("tr", "mask", "confounds", "motion", "motion_kind", "age", "sex", "content", "label"),
)
"""Keys of a record.

image: path of the scan, relative to dataset_dir. subject, session, run, task: as in BIDS, without the key.
group: what is never split (family, else subject). site: scanner or site. tr: repetition time in s.
mask, confounds: paths relative to dataset_dir. motion: mean framewise displacement or relative RMS in mm.
motion_kind: `mean FD` or `mean relative RMS`. age: in years at the scan. sex: `F` or `M`.
content: SHA-256 of the decompressed voxel bytes. label: of the target, as written in the table.
What is not known is None: a missing motion is not 0.
"""

MEAN_FD = "mean FD"
"""Mean framewise displacement in mm (Power et al. 2012), as fMRIPrep writes it."""

RELATIVE_RMS = "mean relative RMS"
"""Mean relative root mean square displacement in mm (Jenkinson et al. 2002), as HCP and FSL write it."""


def make_record(image: str, subject: str, group: str, label: Any, **known: Any) -> Record:
    """A record with every key; those that are not given are None.

    Args:
        image: path of the scan relative to dataset_dir, with `/`.
        subject: ID without `sub-`.
        group: what is never split.
        label: of the target as written in the table, None where it is missing.
        **known: further keys of `RECORD_KEYS`.

    Returns:
        The record, its keys in the order of `RECORD_KEYS`.

    Raises:
        TypeError: for a key that no record has.

    Example:
        >>> make_record("sub-1_bold.nii", "1", "sub-1", "F", site="A")["site"]
        'A'
    """
    given = {"image": image, "subject": subject, "group": group, "label": label, **known}
    unknown = sorted(set(given) - set(RECORD_KEYS))
    if unknown:
        raise TypeError(f"a record has no key '{unknown[0]}'")
    return {key: given.get(key) for key in RECORD_KEYS}
