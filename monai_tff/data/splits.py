"""Splits of a cohort that do not leak: groups (families or subjects) stay whole, classes are spread evenly."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from monai_tff.data.overlap import SECTIONS, Record, check_groups, check_no_overlap, split_hash
from monai_tff.data.strata import pool_small, site_of_group, stratification, target_strata
from monai_tff.data.targets import as_number
from monai_tff.errors import DatalistError

__all__ = ["DEFAULT_RATIOS", "SECTIONS", "check_no_overlap", "split_hash", "split_records", "stratification"]

DEFAULT_RATIOS = (0.7, 0.15, 0.15)

MAX_SEED = 2**32 - 1

ATTEMPTS = 50


def split_records(
    records: Sequence[Record],
    *,
    kind: str,
    ratios: Sequence[float] = DEFAULT_RATIOS,
    seed: int = 0,
    by_site: bool = False,
) -> dict[str, list[Record]]:
    """Splits records by group into training, validation and test, stratified by their labels.

    A group goes to one section whole. Classes are spread over the sections in proportion, and each section gets each
    class; a regression target is stratified by quantile bins of the groups' means. The result depends on the seed
    and on the records, not on their order.

    Args:
        records: each with `group`, `subject`, `session`, `image` and `label`, and where they are known `content` and
            `site`.
        kind: of the target: `binary`, `multiclass` or `regression`.
        ratios: shares of the groups for training, validation and test; 0 leaves a section empty.
        seed: of the draw.
        by_site: spread the sites over the sections too, within each class or bin; sites that have too few groups of
            one are drawn together, see `pool_small`.

    Returns:
        Records of each section, sorted by subject, session, run and image.

    Raises:
        DatalistError: when there are too few groups, or too few with a class, or a subject, image or content is in two
            groups.
    """
    check_groups(records)
    return draw_sections(records, kind, ratios, [seed], by_site=by_site)


def draw_sections(
    records: Sequence[Record],
    kind: str,
    ratios: Sequence[float],
    seeds: Sequence[int],
    *,
    by_site: bool = False,
    source: str = "split",
) -> dict[str, list[Record]]:
    """Draws the sections of one split; see `split_records`.

    Args:
        records: whose groups were checked.
        kind: of the target.
        ratios: shares of the sections.
        seeds: what the draw depends on.
        by_site: whether sites are spread too.
        source: which split it is, for messages.

    Returns:
        Sorted records of each section.

    Raises:
        DatalistError: when there are too few groups, or too few with a class.
    """
    used = _check_ratios(ratios)
    members = records_by_group(records)
    labels = {group: [record["label"] for record in members[group]] for group in members}
    strata = target_strata(labels, kind)
    _check_group_numbers(labels, used, kind, source)
    sites = site_of_group(members) if by_site else None
    for attempt in range(ATTEMPTS):
        random = random_state(*seeds, attempt)
        assigned = _draw(strata, ratios, random, spread=kind != "regression", sites=sites)
        sections = {section: [r for group in groups for r in members[group]] for section, groups in assigned.items()}
        if all(is_complete(sections[section], labels, kind) for section in used):
            return {section: sorted(sections[section], key=record_order) for section in SECTIONS}
    raise DatalistError(
        f"{source}: {len(labels)} groups could not be divided so that each of {', '.join(used)} has every class, "
        "because classes share their groups; add groups, or leave a section out with a ratio of 0."
    )


def records_by_group(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Records of each group; neither the order of the groups nor that of the records depends on the given one."""
    members: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=record_order):
        members[record["group"]].append(record)
    return {group: members[group] for group in sorted(members)}


def record_order(record: Record) -> tuple[str, ...]:
    """Key that sorts records by subject, session, run and image."""
    return tuple(str(record.get(key) or "") for key in ("subject", "session", "run", "image"))


def random_state(*seeds: int) -> np.random.RandomState:
    """The generator of one draw.

    Raises:
        DatalistError: for a seed that numpy does not take.
    """
    for seed in seeds:
        if not 0 <= seed <= MAX_SEED:
            raise DatalistError(f"split: the seed is {seed}, expected a number from 0 to {MAX_SEED}.")
    return np.random.RandomState(list(seeds))


def is_complete(records: Sequence[Record], labels: Mapping[str, list[Any]], kind: str) -> bool:
    """Whether a section has records, and of every class that the groups have."""
    if kind == "regression":
        return bool(records)
    return {record["label"] for record in records} == {label for values in labels.values() for label in values}


def _check_ratios(ratios: Sequence[float]) -> list[str]:
    """The sections that get records."""
    valid = len(ratios) == 3 and all(math.isfinite(ratio) and ratio >= 0 for ratio in ratios)
    if not valid or abs(sum(ratios) - 1) > 1e-6:
        raise DatalistError(
            f"split: the ratios are {list(ratios)}, expected three shares for {', '.join(SECTIONS)} that add up to 1."
        )
    return [section for section, ratio in zip(SECTIONS, ratios, strict=True) if ratio > 0]


def _check_group_numbers(labels: Mapping[str, list[Any]], used: Sequence[str], kind: str, source: str) -> None:
    wanted = len(used)
    if len(labels) < wanted:
        raise DatalistError(
            f"{source}: there are {len(labels)} groups, expected at least {wanted}, one for each of {', '.join(used)}; "
            "add subjects, or leave a section out with a ratio of 0."
        )
    if kind == "regression":
        return
    groups_with = Counter(label for values in labels.values() for label in set(values))
    for label, count in sorted(groups_with.items()):
        if count < wanted:
            numbers = all(as_number(name) is not None for name in groups_with)
            raise DatalistError(
                f"{source}: class '{label}' is in {count} of {len(labels)} groups, expected at least {wanted}, one for "
                f"each of {', '.join(used)}; add subjects, leave the class out, or a section with a ratio of 0"
                f"{', or choose the kind regression' if numbers else ''}."
            )


def _draw(
    strata: Mapping[str, list[str]],
    ratios: Sequence[float],
    random: np.random.RandomState,
    *,
    spread: bool,
    sites: Mapping[str, str] | None,
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
            rest, drawn = _take(rest, size, random, sites)
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


def _take(
    groups: list[str], size: int, random: np.random.RandomState, sites: Mapping[str, str] | None
) -> tuple[list[str], list[str]]:
    """Draws `size` groups: those that stay and those drawn, of each site its share of both."""
    if size == 0:
        return groups, []
    if size == len(groups):
        return [], groups
    names = None
    if sites is not None:
        # each site must be able to give one group to both
        names = pool_small([sites[group] for group in groups], least=2, most=min(size, len(groups) - size))
    rest, drawn = train_test_split(groups, test_size=size, random_state=random, stratify=names)
    return rest, drawn
