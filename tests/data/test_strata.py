"""Strata by target and site, and what becomes of those that are too small."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from monai_tff.data.strata import num_bins, pool_small, site_of_group, stratification, target_strata
from monai_tff.errors import DatalistError


@pytest.mark.parametrize(
    ("groups", "least", "bins"),
    [(9, 1, 1), (10, 1, 1), (20, 1, 2), (49, 1, 4), (50, 1, 5), (1000, 1, 5), (50, 20, 2), (50, 26, 1), (8, 12, 1)],
)
def test_bins_with_too_few_groups_are_merged(groups: int, least: int, bins: int) -> None:
    assert num_bins(groups, least) == bins
    strata = target_strata({f"g{number:04d}": [float(number)] for number in range(groups)}, "regression", least)
    assert len(strata) == bins
    assert bins == 1 or min(len(members) for members in strata.values()) >= max(least, 10)
    ranked = [group for index in range(bins) for group in strata[str(index)]]
    assert ranked == sorted(ranked)


def test_groups_are_placed_by_the_rarest_class_in_them() -> None:
    labels = {"a": ["x", "y"], "b": ["x"], "c": ["x", "x"], "d": ["y", "z"]}
    assert target_strata(labels, "multiclass") == {"x": ["b", "c"], "y": ["a"], "z": ["d"]}


def test_the_stratification_is_said_in_words() -> None:
    assert stratification("age", "regression", 100) == "age in 5 quantile bins"
    assert stratification("age", "regression", 12) == "age in 1 quantile bins"
    assert stratification("age", "regression", 100, least=40) == "age in 2 quantile bins"
    assert stratification("sex", "binary", 100) == "sex"
    assert stratification("sex", "binary", 100, by_site=True) == "sex and site"


@pytest.mark.parametrize(
    ("counts", "least", "most", "expected"),
    [
        ({"a": 5, "b": 5}, 5, None, {"a": 5, "b": 5}),
        ({"a": 9, "b": 2, "c": 3}, 4, None, {"a": 9, "other sites": 5}),
        # the pool is too small on its own and takes the next site in
        ({"a": 9, "b": 6, "c": 1}, 5, None, {"a": 9, "other sites": 7}),
        ({"a": 2, "b": 1}, 5, None, {"other sites": 3}),
        ({"a": 5, "b": 4, "c": 3, "d": 2}, 2, 3, {"a": 5, "b": 4, "other sites": 5}),
        ({"a": 5, "b": 4, "c": 3, "d": 2}, 2, 1, {"other sites": 14}),
        ({"a": 5}, 2, 1, {"a": 5}),
        ({}, 2, None, {}),
    ],
)
def test_small_sites_are_pooled(counts: dict[str, int], least: int, most: int | None, expected: dict[str, int]) -> None:
    names = [name for name, count in counts.items() for _ in range(count)]
    pooled = pool_small(names, least, most)
    assert Counter(pooled) == expected
    assert all(new in (old, "other sites") for old, new in zip(names, pooled, strict=True))


def sites(*names: str | None) -> list[dict[str, Any]]:
    return [{"image": f"{number}.nii", "site": name} for number, name in enumerate(names)]


def test_the_site_of_a_group_is_that_of_most_scans() -> None:
    groups = {"a": sites("x", "y", "y"), "b": sites("y", "x"), "c": sites(None, None, "x"), "d": sites("x")}
    assert site_of_group(groups) == {"a": "y", "b": "x", "c": "unknown site", "d": "x"}


def test_a_cohort_without_sites_is_refused() -> None:
    with pytest.raises(
        DatalistError, match="split: no scan has a site, expected sites to stratify by; name the column"
    ):
        site_of_group({"a": sites(None), "b": sites(None, None)})
