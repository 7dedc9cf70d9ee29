"""Strata: groups that are alike in target and site, so that each section of a split gets its share of every kind."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from monai_tff.data.overlap import Record
from monai_tff.errors import DatalistError

MAX_BINS = 5
GROUPS_PER_BIN = 10

POOLED = "other sites"
"""Name of the stratum that sites with too few groups are put into."""

UNKNOWN_SITE = "unknown site"


def stratification(name: str, kind: str, num_groups: int, *, least: int = 1, by_site: bool = False) -> str:
    """What a split was stratified by, in words for the datalist.

    Args:
        name: of the target.
        kind: of the target.
        num_groups: that were split.
        least: groups that each bin must have, the number of folds for example.
        by_site: whether by site too.

    Example:
        >>> stratification("age", "regression", 100, by_site=True)
        'age in 5 quantile bins and site'
    """
    words = f"{name} in {num_bins(num_groups, least)} quantile bins" if kind == "regression" else name
    return f"{words} and site" if by_site else words


def target_strata(labels: Mapping[str, list[Any]], kind: str, least: int = 1) -> dict[str, list[str]]:
    """Groups by target: by the rarest class in them, or by quantile bin of their mean.

    Args:
        labels: of the scans of each group.
        kind: of the target.
        least: groups that each bin must have; bins with fewer are merged.

    Returns:
        Names of groups by class or bin.
    """
    return _quantile_bins(labels, least) if kind == "regression" else _rarest_classes(labels)


def num_bins(num_groups: int, least: int = 1) -> int:
    """Quantile bins of a regression target: 5, or fewer so that each has 10 groups and `least` groups."""
    return max(1, min(MAX_BINS, num_groups // max(GROUPS_PER_BIN, least)))


def site_of_group(records: Mapping[str, Sequence[Record]]) -> dict[str, str]:
    """The site of most scans of each group, the first by name where two have as many.

    Args:
        records: of each group, with `site`; scans without one count as a site of their own.

    Raises:
        DatalistError: when no scan has a site.
    """
    if all(record.get("site") is None for members in records.values() for record in members):
        raise DatalistError(
            "split: no scan has a site, expected sites to stratify by; name the column of the sites, or split without."
        )
    sites = {}
    for group, members in records.items():
        counted = Counter(UNKNOWN_SITE if record.get("site") is None else str(record["site"]) for record in members)
        sites[group] = min(counted, key=lambda site: (-counted[site], site))
    return sites


def pool_small(names: Sequence[str], least: int, most: int | None = None) -> list[str]:
    """Merges sites until each has enough groups to be spread over the sections.

    The smallest site goes into the pool of other sites, then the next, until every site that is left, and the pool, has
    `least` groups and there are `most` of them at most. A pool that stays too small takes the next site in.

    Args:
        names: site of each group.
        least: groups that each must have.
        most: number of different sites.

    Returns:
        For each group its site, or `other sites`.

    Example:
        >>> pool_small(["a", "a", "a", "b", "c"], least=2)
        ['a', 'a', 'a', 'other sites', 'other sites']
    """
    counts = Counter(names)
    pooled: set[str] = set()
    size = 0
    for name in sorted(counts, key=lambda name: (counts[name], name)):
        left = len(counts) - len(pooled) + bool(pooled)
        enough = counts[name] >= least and (most is None or left <= most)
        if enough and (not pooled or size >= least):
            break
        pooled.add(name)
        size += counts[name]
    return [POOLED if name in pooled else name for name in names]


def _rarest_classes(labels: Mapping[str, list[Any]]) -> dict[str, list[str]]:
    """Groups by the rarest class in them, so that a rare class in a mixed family is spread too."""
    frequency = Counter(label for group in labels for label in set(labels[group]))
    strata: dict[str, list[str]] = defaultdict(list)
    for group, values in labels.items():
        strata[min(values, key=lambda label: (frequency[label], label))].append(group)
    return {label: strata[label] for label in sorted(strata)}


def _quantile_bins(labels: Mapping[str, list[float]], least: int) -> dict[str, list[str]]:
    """Groups by quantile of their mean label, in bins of equal numbers of groups."""
    ranked = sorted(labels, key=lambda group: (fmean(labels[group]), group))
    bins = np.array_split(np.asarray(ranked, dtype=object), num_bins(len(ranked), least))
    return {str(index): list(groups) for index, groups in enumerate(bins)}
