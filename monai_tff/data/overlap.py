"""Overlap between the sections of a split: what makes two scans belong together, and how a split is kept unedited."""

from __future__ import annotations

import hashlib
import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from monai_tff.errors import DatalistError

SECTIONS = ("training", "validation", "test")

UNLABELLED = "unlabelled"
"""Section of scans without a label, which join phases 1 and 2: they are on the side of training."""

Record = dict[str, Any]

_HASHED = ("group", "subject", "session", "image", "label", "content")
_SIDES = {UNLABELLED: "training"}


def split_hash(sections: Mapping[str, Sequence[Record]]) -> str:
    """SHA-256 over which scan is in which section; the order of records is free.

    It covers the group, subject, session, image, label and content of each record: a label that is edited later is
    noticed like a scan that is moved.
    """
    lines = sorted(
        "\t".join([section, *(str(_given(record, key)) for key in _HASHED)])
        for section in (*SECTIONS, UNLABELLED)
        for record in sections.get(section, ())
    )
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def check_no_overlap(sections: Mapping[str, Sequence[Record]], source: str = "split") -> None:
    """Refuses a group, subject, session, image or content that is on two sides of a split.

    The sides are training with `unlabelled`, validation, and test. What two scans share most closely is named: the
    image before the content, the session, the subject and the group.

    Args:
        sections: records by section.
        source: the datalist's file, for the message.

    Raises:
        DatalistError: naming what is shared, the two scans and the two sections.
    """
    first_seen: dict[tuple[str, Any], tuple[str, Record]] = {}
    for section in (*SECTIONS, UNLABELLED):
        for record in sections.get(section, ()):
            for tie in _ties(record):
                before, other = first_seen.setdefault(tie, (section, record))
                if before != section and _side(before) != _side(section):
                    key = tie[0]
                    raise DatalistError(
                        f"{source}: {_in_words(key, other, record)} is in both {before} and {section}, expected each "
                        f"{key} in one section only; {_way_out(key)}."
                    )


def check_groups(records: Sequence[Record], source: str = "split") -> None:
    """Refuses scans that belong together but are in two groups, which a split might part.

    Args:
        records: with `group`, `subject`, `image` and, where it is known, `content`.
        source: for the message.

    Raises:
        DatalistError: naming the image, content or subject and the two groups.
    """
    first_seen: dict[tuple[str, Any], Record] = {}
    for record in records:
        for key, value in _ties(record):
            other = first_seen.setdefault((key, value), record)
            # a session in two groups is its subject in two groups
            if key != "session" and other["group"] != record["group"]:
                raise DatalistError(
                    f"{source}: {_in_words(key, other, record)} is in both group '{other['group']}' and group "
                    f"'{record['group']}', expected each {key} in one group only; "
                    f"{_way_out(key, 'correct the groups of the table')}."
                )


def duplicate_contents(records: Sequence[Record]) -> list[list[Record]]:
    """Finds scans with the same voxels.

    Args:
        records: with `content`, None where it is not known.

    Returns:
        Lists of two records or more with the same content, in the order of the records: the same subject twice, or two
        subjects, one of whom cannot be who the table says.
    """
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.get("content") is not None:
            found[record["content"]].append(record)
    return [same for same in found.values() if len(same) > 1]


def join_unlabelled(
    sections: Mapping[str, Sequence[Record]], unlabelled: Sequence[Record], held_out_site: str | None = None
) -> tuple[list[Record], list[Record]]:
    """Decides which scans without a label may join phases 1 and 2.

    Args:
        sections: records by section.
        unlabelled: records of further scans.
        held_out_site: site that is left out of training; its scans may not be used either.

    Returns:
        The records to use, and those that may not be: they share a group, subject, image or content with validation or
        test, or with another scan of which this holds, or are from the site that is left out.
    """
    held_out = {tie for section in SECTIONS[1:] for record in sections.get(section, ()) for tie in _ties(record)}
    if held_out_site is not None:
        held_out.add(("site", held_out_site))
    kept = list(unlabelled)
    dropped: list[Record] = []
    while True:
        tied = [any(tie in held_out for tie in (*_ties(record), ("site", record.get("site")))) for record in kept]
        if not any(tied):
            return kept, dropped
        new = [record for record, drop in zip(kept, tied, strict=True) if drop]
        kept = [record for record, drop in zip(kept, tied, strict=True) if not drop]
        dropped.extend(new)
        held_out.update(tie for record in new for tie in _ties(record))


def _ties(record: Record) -> Iterator[tuple[str, Any]]:
    """What a record may share with another, the closest first."""
    yield "image", posixpath.normpath(record["image"])
    if record.get("content") is not None:
        yield "content", record["content"]
    if record.get("session") is not None:
        yield "session", (record["subject"], record["session"])
    yield "subject", record["subject"]
    yield "group", record["group"]


def _side(section: str) -> str:
    return _SIDES.get(section, section)


def _in_words(key: str, first: Record, second: Record) -> str:
    if key == "content":
        return (
            f"the same content, '{first['image']}' of subject '{first['subject']}' and '{second['image']}' of subject "
            f"'{second['subject']}' (SHA-256 {second['content'][:12]}...),"
        )
    if key == "session":
        return f"session '{second['session']}' of subject '{second['subject']}'"
    return f"{key} '{second[key]}'"


def _way_out(key: str, otherwise: str = "build the datalist again") -> str:
    return "remove the scan that has the wrong name, and build the datalist again" if key == "content" else otherwise


def _given(record: Record, key: str) -> Any:
    """The value of a key, empty where it is not known; a label of 0 is known."""
    value = record.get(key)
    return "" if value is None else value
