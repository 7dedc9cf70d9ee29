"""Folds, repeated folds, sites left out one at a time and given splits: what is tested, how often, and with whom."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest

from monai_tff.data.folds import Fold, split_folds, split_given, split_sites
from monai_tff.data.overlap import SECTIONS, check_no_overlap
from monai_tff.errors import DatalistError


def record(
    subject: str, label: Any, *, group: str | None = None, site: str | None = None, run: int = 1
) -> dict[str, Any]:
    image = f"sub-{subject}/sub-{subject}_run-{run}_bold.nii.gz"
    known = {"session": None, "run": str(run), "site": site, "content": None}
    return {"image": image, "subject": subject, "group": group or f"sub-{subject}", "label": label, **known}


def cohort(**counts: int) -> list[dict[str, Any]]:
    """Two runs of each subject."""
    return [
        record(f"{label}{number:03d}", label, run=run)
        for label, count in counts.items()
        for number in range(count)
        for run in (1, 2)
    ]


def groups(fold: Fold, section: str) -> set[str]:
    return {item["group"] for item in fold.sections[section]}


def images(folds: list[Fold]) -> list[list[str]]:
    return [[item["image"] for section in SECTIONS for item in fold.sections[section]] for fold in folds]


@pytest.mark.parametrize(("folds", "repeats"), [(2, 1), (5, 1), (5, 3)])
def test_every_group_is_tested_once_per_repeat(folds: int, repeats: int) -> None:
    records = cohort(F=20, M=30)
    found = split_folds(records, kind="binary", folds=folds, repeats=repeats, seed=2)
    assert len(found) == folds * repeats
    everyone = {item["group"] for item in records}
    for repeat in range(repeats):
        tested = [group for fold in found[repeat * folds : (repeat + 1) * folds] for group in groups(fold, "test")]
        assert len(tested) == len(everyone)
        assert set(tested) == everyone
    for fold in found:
        check_no_overlap(fold.sections)
        assert sum(len(fold.sections[section]) for section in SECTIONS) == len(records)
        assert fold.left_out == []
    assert len({tuple(sorted(groups(fold, "test"))) for fold in found}) == folds * repeats


@pytest.mark.parametrize("seed", range(3))
def test_classes_are_spread_over_folds_and_validation(seed: int) -> None:
    for fold in split_folds(cohort(F=20, M=30), kind="binary", folds=5, seed=seed, validation=0.25):
        counts = {section: Counter(item["label"] for item in fold.sections[section]) for section in SECTIONS}
        assert counts == {"training": {"F": 24, "M": 36}, "validation": {"F": 8, "M": 12}, "test": {"F": 8, "M": 12}}


def test_a_regression_is_spread_over_folds_by_quantile_bins() -> None:
    records = [record(f"{number:03d}", float(number)) for number in range(100)]
    for fold in split_folds(records, kind="regression", folds=10, seed=1):
        assert Counter(int(item["label"] // 20) for item in fold.sections["test"]) == dict.fromkeys(range(5), 2)
        assert fold.description["stratified_by"] == "target in 5 quantile bins"
    # bins of 25 groups: the 5 bins of 20 would have fewer groups than folds
    for fold in split_folds(records, kind="regression", folds=25, seed=1):
        assert Counter(int(item["label"] // 25) for item in fold.sections["test"]) == dict.fromkeys(range(4), 1)
        assert fold.description["stratified_by"] == "target in 4 quantile bins"


def test_sites_are_spread_over_folds() -> None:
    sizes = {"x": 20, "y": 10, "z": 3, "w": 3}
    records = [
        record(f"{label}{site}{number}", label, site=site)
        for label in "FM"
        for site, size in sizes.items()
        for number in range(size)
    ]
    for fold in split_folds(records, kind="binary", folds=5, seed=4, by_site=True):
        found = Counter((item["label"], item["site"]) for item in fold.sections["test"])
        assert all(found[label, "x"] == 4 and found[label, "y"] == 2 for label in "FM")
        # the small sites have 3 + 3 groups of a class for 5 folds
        assert all(1 <= found[label, "z"] + found[label, "w"] <= 2 for label in "FM")
        assert fold.description["stratified_by"] == "class and site"


def test_a_class_that_lives_only_in_mixed_families_reaches_every_fold() -> None:
    families = [record(f"{i}{label}", label, group=f"family-{i}") for i in range(12) for label in "AB"]
    families += [record(f"{i}B", "B", group=f"family-{i}") for i in range(12, 15)]
    for fold in split_folds(families, kind="binary", folds=4, seed=3):
        assert all({item["label"] for item in fold.sections[section]} == {"A", "B"} for section in SECTIONS)


def test_the_seed_alone_decides() -> None:
    records = cohort(F=8, M=9)
    first = split_folds(records, kind="binary", folds=3, repeats=2, seed=5)
    shuffled = random.Random(1).sample(records, len(records))
    assert images(split_folds(shuffled, kind="binary", folds=3, repeats=2, seed=5)) == images(first)
    assert images(split_folds(records, kind="binary", folds=3, repeats=2, seed=6)) != images(first)


def test_the_description_says_which_fold_it_is() -> None:
    found = split_folds(cohort(F=6, M=6), kind="binary", folds=3, repeats=2, seed=5, validation=0.5)
    assert [(fold.description["repeat"], fold.description["fold"]) for fold in found] == [
        (repeat, fold) for repeat in (1, 2) for fold in (1, 2, 3)
    ]
    assert json.loads(json.dumps(found[4].description)) == {
        **{"scheme": "folds", "folds": 3, "fold": 2, "repeats": 2, "repeat": 2},
        **{"seed": 5, "validation": 0.5, "stratified_by": "class"},
    }


def test_validation_can_be_left_out() -> None:
    for fold in split_folds(cohort(F=2, M=2), kind="binary", folds=2, validation=0):
        assert [len(fold.sections[section]) for section in SECTIONS] == [4, 0, 4]


@pytest.mark.parametrize(
    ("records", "options", "message"),
    [
        (cohort(F=9, M=9), {"folds": 1}, "split: 1 folds and 1 repeats, expected at least 2 folds and 1 repeat"),
        (cohort(F=9, M=9), {"folds": 3, "repeats": 0}, "split: 3 folds and 0 repeats, expected"),
        (cohort(F=9, M=9), {"folds": 3, "validation": 1}, "share of the rest is 1, expected 0 or more, below 1"),
        (cohort(F=9, M=9), {"folds": 3, "validation": float("nan")}, "share of the rest is nan, expected 0 or more"),
        (cohort(F=1, M=1), {"folds": 3}, "split: there are 2 groups, expected at least 3, one for each fold"),
        (cohort(F=9, M=4), {"folds": 5}, "class 'M' is in 4 of 13 groups, expected at least 5, one for each fold"),
        (cohort(F=9, M=2), {"folds": 2}, "split, fold 1 of 2: class 'M' is in 1 of .* one for each of training, valid"),
        ([record("1", "A"), record("2", "A", group="sub-1"), record("1", "A", run=2, group="g")], {"folds": 2}, "'g'"),
    ],
)
def test_what_makes_no_folds_is_refused(records: list[dict[str, Any]], options: dict[str, Any], message: str) -> None:
    with pytest.raises(DatalistError, match=message):
        split_folds(records, kind="binary", **options)


def test_classes_that_block_each_other_are_refused() -> None:
    members = {"f1": "AC", "f2": "BC", "f3": "AB", "f4": "C", "f5": "AB"}
    records = [record(f + label, label, group=f) for f, labels in members.items() for label in labels]
    with pytest.raises(DatalistError, match="5 groups could not be divided into 3 folds with every class in each"):
        split_folds(records, kind="multiclass", folds=3)


def multi_site() -> list[dict[str, Any]]:
    """Ten subjects at each of three sites; B-0 was scanned at C too, and the siblings A-1 and B-1 at their own."""
    records = [
        record(f"{site}-{number}", "FM"[number % 2], site=site, group=f"{site}-{number}")
        for site in "CBA"
        for number in range(10)
    ]
    records += [record("B-0", "F", site="C", run=2, group="B-0")]
    return [{**item, "group": "family" if item["subject"] in ("A-1", "B-1") else item["group"]} for item in records]


def test_one_site_is_left_out_at_a_time() -> None:
    records = multi_site()
    found = split_sites(records, kind="binary", validation=0.2, seed=3)
    assert [fold.description["held_out_site"] for fold in found] == ["A", "B", "C"]
    for fold in found:
        site = fold.description["held_out_site"]
        check_no_overlap(fold.sections)
        tested = fold.sections["test"]
        assert sorted(item["image"] for item in tested) == sorted(r["image"] for r in records if r["site"] == site)
        rest = [*fold.sections["training"], *fold.sections["validation"]]
        assert {item["site"] for item in rest} == {"A", "B", "C"} - {site}
        everything = [*tested, *rest, *fold.left_out]
        assert sorted(item["image"] for item in everything) == sorted(item["image"] for item in records)
        # 18 or 19 groups remain: both classes and both sites are in validation
        assert {(item["label"], item["site"]) for item in fold.sections["validation"]} == {
            (label, other) for label in "FM" for other in {"A", "B", "C"} - {site}
        }


def test_a_group_at_two_sites_is_tested_at_the_one_that_is_left_out_and_trained_on_nowhere() -> None:
    left_out = {
        fold.description["held_out_site"]: [(item["subject"], item["site"]) for item in fold.left_out]
        for fold in split_sites(multi_site(), kind="binary")
    }
    assert left_out == {
        "A": [("B-1", "B")],  # the sibling of A-1
        "B": [("A-1", "A"), ("B-0", "C")],
        "C": [("B-0", "B")],
    }


def test_the_description_names_the_site() -> None:
    fold = split_sites(multi_site(), kind="binary", validation=0.25, seed=3)[1]
    assert json.loads(json.dumps(fold.description)) == {
        **{"scheme": "leave one site out", "held_out_site": "B", "sites": 3},
        **{"seed": 3, "validation": 0.25, "stratified_by": "class and site", "left_out": 2},
    }
    numbers = [{**item, "label": float(index)} for index, item in enumerate(multi_site())]
    described = {fold.description["stratified_by"] for fold in split_sites(numbers, kind="regression")}
    assert described == {"target in 1 quantile bins and site"}


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([record("1", "A", site="x"), record("2", "B")], r"sub-2/sub-2_run-1_bold\.nii\.gz: has no site, expected one"),
        ([record("1", "A", site="x"), record("2", "B", site="x")], "all 2 scans are from 1 site, expected at least 2"),
        (
            [record(f"{site}{n}", "AB"[n % (1 + (site == "x"))], site=site) for site in "xyz" for n in range(6)],
            "split, site 'x' held out: class 'B' has no group at the other sites alone, expected every class there",
        ),
        (
            [record(f"{site}{n}", "AB"[n % 2], site=site) for site in "xy" for n in range(2)],
            "split, site 'x' held out: class 'A' is in 1 of 2 groups, expected at least 2, one for each of training, v",
        ),
        (
            [record(f"{n}", "AB"[n % 2], site=site, run=run) for n in range(2) for run, site in enumerate("xy")],
            "split, site 'x' held out: class 'A' has no group at the other sites alone",
        ),
    ],
)
def test_sites_that_cannot_be_left_out_are_refused(records: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DatalistError, match=message):
        split_sites(records, kind="binary")


def test_travelling_subjects_alone_leave_nobody_to_train_on() -> None:
    records = [record(f"{n}", float(n), site=site, run=run) for n in range(9) for run, site in enumerate("xy")]
    with pytest.raises(
        DatalistError, match="split, site 'x' held out: there are 0 groups, expected at least 2, one for"
    ):
        split_sites(records, kind="regression")


def test_a_given_split_is_followed() -> None:
    records = cohort(F=3, M=2)
    assignment = {"F000": "training", "F001": "test", "M000": "training", "M001": "validation", "elsewhere": "test"}
    sections, left_out = split_given(records[::-1], assignment)
    assert {section: [(item["subject"], item["run"]) for item in found] for section, found in sections.items()} == {
        "training": [("F000", "1"), ("F000", "2"), ("M000", "1"), ("M000", "2")],
        "validation": [("M001", "1"), ("M001", "2")],
        "test": [("F001", "1"), ("F001", "2")],
    }
    assert [item["subject"] for item in left_out] == ["F002", "F002"]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ({"F000": "train"}, "subject 'F000' is given the section 'train', expected one of training, validation, test"),
        ({"sub-F000": "training"}, "none of the 1 subjects of the given split has a scan, .* such as 'F000'"),
        ({}, "none of the 0 subjects of the given split has a scan"),
        ({"F000": "training", "F001": "test"}, "the given split: group 'family' is in both training and test"),
    ],
)
def test_a_given_split_that_leaks_or_matches_nothing_is_refused(assignment: dict[str, str], message: str) -> None:
    records = [{**item, "group": "family"} for item in cohort(F=2)] + cohort(M=2)
    with pytest.raises(DatalistError, match=message):
        split_given(records, assignment)


def test_siblings_without_a_section_are_left_out() -> None:
    records = [{**item, "group": "family"} for item in cohort(F=2)] + cohort(M=2)
    sections, left_out = split_given(records, {"F000": "training", "M000": "test"})
    assert [len(sections[section]) for section in SECTIONS] == [2, 0, 2]
    assert {item["subject"] for item in left_out} == {"F001", "M001"}
