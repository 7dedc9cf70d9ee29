"""Splits of a cohort that do not leak: groups (families or subjects) stay whole, classes are spread evenly."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from monai_tff.data.targets import as_number
from monai_tff.errors import DatalistError

SECTIONS = ("training", "validation", "test")
DEFAULT_RATIOS = (0.7, 0.15, 0.15)

MAX_BINS = 5
GROUPS_PER_BIN = 10
_ATTEMPTS = 50

Record = dict[str, Any]


def split_records(
    records: Sequence[Record], *, kind: str, ratios: Sequence[float] = DEFAULT_RATIOS, seed: int = 0
) -> dict[str, list[Record]]:
    """Splits records by group into training, validation and test, stratified by their labels.

    A group goes to one section whole. Classes are spread over the sections in proportion, and each section gets each
    class; a regression target is stratified by quantile bins of the groups' means. The result depends on the seed
    and on the records, not on their order.

    Args:
        records: each with `group`, `subject`, `session`, `image` and `label`.
        kind: of the target: `binary`, `multiclass` or `regression`.
        ratios: shares of the groups for training, validation and test; 0 leaves a section empty.
        seed: of the draw.

    Returns:
        Records of each section, sorted by subject, session, run and image.

    Raises:
        DatalistError: when there are too few groups, or too few with a class.
    """
    used = _check_ratios(ratios)
    members: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=_order):
        members[record["group"]].append(record)
    labels = {group: [record["label"] for record in members[group]] for group in sorted(members)}
    strata = _quantile_bins(labels) if kind == "regression" else _rarest_classes(labels)
    _check_group_numbers(labels, strata, used, kind)
    for attempt in range(_ATTEMPTS):
        assigned = _draw(strata, ratios, np.random.RandomState([seed, attempt]), spread=kind != "regression")
        sections = {section: [r for group in groups for r in members[group]] for section, groups in assigned.items()}
        if all(_is_complete(sections[section], labels, kind) for section in used):
            return {section: sorted(sections[section], key=_order) for section in SECTIONS}
    raise DatalistError(
        f"split: {len(labels)} groups could not be divided so that each of {', '.join(used)} has every class, "
        "because classes share their groups; add groups, or leave a section out with a ratio of 0."
    )


def stratification(name: str, kind: str, num_groups: int) -> str:
    """What a split was stratified by, in words for the datalist: the target, or its quantile bins."""
    return f"{name} in {_num_bins(num_groups)} quantile bins" if kind == "regression" else name


def split_hash(sections: Mapping[str, Sequence[Record]]) -> str:
    """SHA-256 over which group, subject, session and image is in which section; the order of records is free."""
    lines = sorted(
        "\t".join([section, *(str(record.get(key) or "") for key in ("group", "subject", "session", "image"))])
        for section in SECTIONS
        for record in sections.get(section, ())
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def check_no_overlap(sections: Mapping[str, Sequence[Record]], source: str = "split") -> None:
    """Refuses a group, subject or image that is in two sections.

    Args:
        sections: records by section.
        source: the datalist's file, for the message.

    Raises:
        DatalistError: naming one such group, subject or image and the two sections.
    """
    for key in ("group", "subject", "image"):
        first_seen: dict[str, str] = {}
        for section in SECTIONS:
            for record in sections.get(section, ()):
                before = first_seen.setdefault(record[key], section)
                if before != section:
                    raise DatalistError(
                        f"{source}: {key} '{record[key]}' is in both {before} and {section}, expected each {key} "
                        "in one section only; build the datalist again."
                    )


def _order(record: Record) -> tuple[str, ...]:
    return tuple(str(record.get(key) or "") for key in ("subject", "session", "run", "image"))


def _check_ratios(ratios: Sequence[float]) -> list[str]:
    """The sections that get records."""
    valid = len(ratios) == 3 and all(math.isfinite(ratio) and ratio >= 0 for ratio in ratios)
    if not valid or abs(sum(ratios) - 1) > 1e-6:
        raise DatalistError(
            f"split: the ratios are {list(ratios)}, expected three shares for {', '.join(SECTIONS)} that add up to 1."
        )
    return [section for section, ratio in zip(SECTIONS, ratios, strict=True) if ratio > 0]


def _rarest_classes(labels: Mapping[str, list[Any]]) -> dict[str, list[str]]:
    """Groups by the rarest class in them, so that a rare class in a mixed family is spread too."""
    frequency = Counter(label for group in labels for label in set(labels[group]))
    strata: dict[str, list[str]] = defaultdict(list)
    for group, values in labels.items():
        strata[min(values, key=lambda label: (frequency[label], label))].append(group)
    return {label: strata[label] for label in sorted(strata)}


def _quantile_bins(labels: Mapping[str, list[float]]) -> dict[str, list[str]]:
    """Groups by quantile of their mean label, in bins of equal numbers of groups."""
    ranked = sorted(labels, key=lambda group: (fmean(labels[group]), group))
    bins = np.array_split(np.asarray(ranked, dtype=object), _num_bins(len(ranked)))
    return {str(index): list(groups) for index, groups in enumerate(bins)}


def _num_bins(num_groups: int) -> int:
    return max(1, min(MAX_BINS, num_groups // GROUPS_PER_BIN))


def _check_group_numbers(
    labels: Mapping[str, list[Any]], strata: Mapping[str, list[str]], used: Sequence[str], kind: str
) -> None:
    wanted = len(used)
    if len(labels) < wanted:
        raise DatalistError(
            f"split: there are {len(labels)} groups, expected at least {wanted}, one for each of {', '.join(used)}; "
            "add subjects, or leave a section out with a ratio of 0."
        )
    if kind == "regression":
        return
    groups_with = Counter(label for values in labels.values() for label in set(values))
    for label, count in sorted(groups_with.items()):
        if count < wanted:
            numbers = all(as_number(name) is not None for name in groups_with)
            raise DatalistError(
                f"split: class '{label}' is in {count} of {len(labels)} groups, expected at least {wanted}, one for "
                f"each of {', '.join(used)}; add subjects, leave the class out, or a section with a ratio of 0"
                f"{', or choose the kind regression' if numbers else ''}."
            )


def _draw(
    strata: Mapping[str, list[str]], ratios: Sequence[float], random: np.random.RandomState, *, spread: bool
) -> dict[str, list[str]]:
    """Draws the groups of each section from each stratum; rounding errors are carried from stratum to stratum."""
    assigned: dict[str, list[str]] = {section: [] for section in SECTIONS}
    seen = 0
    for groups in strata.values():
        seen += len(groups)
        sizes = [round(seen * ratio) - len(assigned[s]) for s, ratio in zip(SECTIONS, ratios, strict=True)]
        # the first stratum alone fills every section of a regression, which needs no more than that
        sizes = _fit(sizes, len(groups), ratios, spread=spread or seen == len(groups))
        rest = groups
        for section, size in zip(SECTIONS[1:], sizes[1:], strict=True):
            rest, drawn = _take(rest, size, random)
            assigned[section].extend(drawn)
        assigned["training"].extend(rest)
    return assigned


def _fit(sizes: Sequence[int], total: int, ratios: Sequence[float], *, spread: bool) -> list[int]:
    """Corrects the sizes of a stratum: at least 1 for each section where that is possible, and the right sum."""
    used = [ratio > 0 for ratio in ratios]
    least = [int(use and spread and total >= sum(used)) for use in used]
    fitted = [max(size, low) for size, low in zip(sizes, least, strict=True)]
    while sum(fitted) != total:
        step = 1 if sum(fitted) < total else -1
        free = [i for i in range(3) if used[i] and (step > 0 or fitted[i] > least[i])]
        # the section that is furthest from its share gives or takes
        chosen = max(free, key=lambda i: step * (ratios[i] * total - fitted[i]))
        fitted[chosen] += step
    return fitted


def _take(groups: list[str], size: int, random: np.random.RandomState) -> tuple[list[str], list[str]]:
    """Draws `size` groups: those that stay and those drawn."""
    if size == 0:
        return groups, []
    if size == len(groups):
        return [], groups
    rest, drawn = train_test_split(groups, test_size=size, random_state=random)
    return rest, drawn


def _is_complete(records: Sequence[Record], labels: Mapping[str, list[Any]], kind: str) -> bool:
    """Whether a section has records, and of every class."""
    if kind == "regression":
        return bool(records)
    return {record["label"] for record in records} == {label for values in labels.values() for label in values}
