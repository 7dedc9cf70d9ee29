"""File names of BIDS: `sub-01_ses-2_task-rest_space-MNI_desc-preproc_bold.nii.gz` and its entities."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

NIFTI_EXTENSIONS = (".nii.gz", ".nii")


@dataclasses.dataclass(frozen=True)
class BidsName:
    """The parts of a BIDS file name.

    Attributes:
        entities: key and value of each entity, in the order of the name.
        words: words without a dash before the suffix, for names that are not strictly BIDS.
        suffix: the last word (`bold`, `mask`, `T1w`).
        extension: from the first dot that belongs to the file type, `.nii.gz` or `.json`.

    Example:
        >>> name = parse_name("sub-01_task-rest_bold.nii.gz")
        >>> name.entities, name.suffix, name.extension
        ({'sub': '01', 'task': 'rest'}, 'bold', '.nii.gz')
    """

    entities: dict[str, str]
    words: tuple[str, ...]
    suffix: str
    extension: str


def parse_name(path: str | os.PathLike[str]) -> BidsName:
    """Splits a file name into entities, suffix and extension; the folders of the path do not matter."""
    stem, extension = split_extension(path)
    parts = stem.split("_")
    entities = dict(part.split("-", 1) for part in parts if "-" in part)
    suffix = "" if "-" in parts[-1] else parts[-1]
    words = tuple(part for part in parts[:-1] if "-" not in part)
    return BidsName(entities, words, suffix, extension)


def split_extension(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Stem and extension of a file name, `.nii.gz` counted as one extension."""
    name = Path(path).name
    for extension in NIFTI_EXTENSIONS:
        if name.endswith(extension):
            return name[: -len(extension)], extension
    return os.path.splitext(name)


def same_value(first: str, second: str) -> bool:
    """Whether two entity values or IDs mean the same: equal, or equal without leading zeros (`1` and `01`)."""
    return without_zeros(first) == without_zeros(second)


def without_zeros(value: str) -> str:
    """An ID without leading zeros; `000` becomes `0`, letters stay."""
    return value.lstrip("0") or value[-1:]


def without_prefix(value: str, key: str) -> str:
    """An entity value without its key: `01` for `sub-01` as well as for `01`."""
    return value.strip().removeprefix(f"{key}-")
