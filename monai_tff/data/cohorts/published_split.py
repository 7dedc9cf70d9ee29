"""The split files of the published code: names of subjects under a header for each section."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from monai_tff.data.bids_names import without_prefix, without_zeros
from monai_tff.data.records import Record
from monai_tff.errors import DatalistError

SECTION_OF = {"train": "training", "val": "validation", "test": "test"}
"""Our name of each section of a published split file."""

_HEADER = re.compile(r"(train|val|test)\w*[ _]subjects?:?", re.IGNORECASE)


def read_published_split(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Reads a split file of the published code.

    Each section starts with its header (`train subjects:`) and holds one subject a line. The published files have the
    order train, test, val, where the published code expects train, val, test and so takes test subjects for training
    ones; here each name belongs to the header above it, whatever the order.

    Args:
        path: of the text file.

    Returns:
        The subjects, without `sub-`, of `training`, `validation` and `test`.

    Raises:
        DatalistError: for a file that cannot be read, a line before the first header, a section that is missing, empty
            or there twice, or a subject in two places.

    Example:
        >>> sections = read_published_split("ucla_final_split_train_test.txt")  # doctest: +SKIP
        >>> {section: len(subjects) for section, subjects in sections.items()}  # doctest: +SKIP
        {'training': 189, 'validation': 28, 'test': 55}
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DatalistError(
            f"{path}: cannot be read ({error}), expected a text file with the headers 'train subjects:', "
            "'test subjects:' and 'val subjects:'; check the path."
        ) from error
    sections: dict[str, list[str]] = {}
    place: dict[str, str] = {}
    section = ""
    for number, line in enumerate((line.strip() for line in lines), start=1):
        header = _HEADER.fullmatch(line)
        if header is not None:
            section = SECTION_OF[header[1].lower()]
            if section in sections:
                raise DatalistError(f"{path}: line {number} starts the section '{line}' again, expected each once.")
            sections[section] = []
        elif line:
            _add(path, sections, place, section, number, line)
    for word, section in SECTION_OF.items():
        if not sections.get(section):
            raise DatalistError(
                f"{path}: has no subjects under '{word} subjects:', expected the sections train, val and test, each "
                "with one subject a line; complete the file."
            )
    return {section: sections[section] for section in SECTION_OF.values()}


def published_sections(split: str | os.PathLike[str], records: Iterable[Record]) -> dict[str, str]:
    """The section of each subject of a cohort, as a published split file says.

    Args:
        split: path of the file.
        records: of the cohort.

    Returns:
        Subject, as the records have it, to `training`, `validation` or `test`. A subject that the file does not name is
        not in the mapping; IDs match with or without leading zeros.

    Raises:
        DatalistError: when the file names none of the subjects, or see `read_published_split`.
    """
    named = read_published_split(split)
    section_of = {without_zeros(subject): section for section, subjects in named.items() for subject in subjects}
    found = {record["subject"]: section_of.get(without_zeros(record["subject"])) for record in records}
    sections = {subject: section for subject, section in found.items() if section is not None}
    if not sections:
        names, wanted = ", ".join(named["training"][:3]), ", ".join(sorted(found)[:3]) or "none"
        raise DatalistError(
            f"{split}: names none of the {len(found)} subjects of the cohort, found {names}, expected IDs such as "
            f"{wanted}; give the split file of this cohort (what "
            "the published code saves of its own runs are positions, not names)."
        )
    return sections


def _add(
    path: str | os.PathLike[str],
    sections: dict[str, list[str]],
    place: dict[str, str],
    section: str,
    number: int,
    line: str,
) -> None:
    if not section:
        raise DatalistError(
            f"{path}: line {number} is '{line[:40]}', expected a header such as 'train subjects:' above the first "
            "subject; give a split file of the published code."
        )
    subject = without_prefix(line, "sub")
    before = place.setdefault(without_zeros(subject), section)
    if before != section or subject in sections[section]:
        raise DatalistError(
            f"{path}: line {number} names {line} in {section}, which is in {before} already, expected each subject "
            "once; correct the file."
        )
    sections[section].append(subject)
