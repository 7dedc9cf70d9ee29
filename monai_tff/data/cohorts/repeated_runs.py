"""Runs that a cohort's folder holds more than once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from monai_tff.errors import DatalistError


def runs_once(root: Path, files: Iterable[Sequence[str]]) -> tuple[list[str], list[str]]:
    """Takes out runs that are there twice: which of the files is right is not ours to say.

    Args:
        root: folder of the cohort, for the message.
        files: the files of each run.

    Returns:
        The files of runs that are there once, and a sentence for each of the others.

    Raises:
        DatalistError: when every run is there twice.
    """
    runs = list(files)
    faults = [
        f"{' and '.join(same)}: are the same run, expected one file; remove the copy." for same in runs if len(same) > 1
    ]
    once = [same[0] for same in runs if len(same) == 1]
    if not once:
        raise DatalistError(f"{root}: every run is there twice; {faults[0]}")
    return once, faults
