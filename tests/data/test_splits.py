from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from monai_tff.data.splits import SECTIONS, check_no_overlap, split_hash, split_records
from monai_tff.errors import DatalistError


def record(subject: str, label: Any, *, group: str | None = None, session: str | None = None) -> dict[str, Any]:
    name = "_".join(["sub-" + subject, *(["ses-" + session] if session else [])])
    return {
        "image": f"sub-{subject}/{name}_bold.nii.gz",
        "subject": subject,
        "session": session,
        "run": None,
        "group": group or f"sub-{subject}",
        "label": label,
    }


def cohort(**counts: int) -> list[dict[str, Any]]:
    return [record(f"{label}{number:03d}", label) for label, count in counts.items() for number in range(count)]


def images(sections: dict[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    return {section: [item["image"] for item in records] for section, records in sections.items()}


@st.composite
def cohorts(draw: st.DrawFn, numbers: bool = False) -> list[dict[str, Any]]:
    """Families of one to four subjects with one to three sessions each; labels may differ between sessions."""
    records = []
    for family in range(draw(st.integers(9, 30))):
        for member in range(draw(st.integers(1, 4))):
            for session in range(draw(st.integers(1, 3))):
                label = draw(st.floats(-100, 100)) if numbers else draw(st.sampled_from("AAAAABBC"))
                records.append(record(f"{family}x{member}", label, group=f"family-{family}", session=str(session)))
    return records


@pytest.mark.parametrize("numbers", [False, True])
@settings(max_examples=25, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_random_cohorts_never_overlap(numbers: bool, data: st.DataObject, seed: int) -> None:
    records = data.draw(cohorts(numbers))
    groups_with = Counter(label for _, label in {(item["group"], item["label"]) for item in records})
    assume(numbers or min(groups_with.values()) >= 6)
    kind = "regression" if numbers else "multiclass"
    sections = split_records(records, kind=kind, seed=seed)
    check_no_overlap(sections)
    for key in ("group", "subject", "image"):
        found = [value for section in SECTIONS for value in {item[key] for item in sections[section]}]
        assert len(found) == len(set(found))
    assert sorted(image for section in images(sections).values() for image in section) == sorted(
        item["image"] for item in records
    )
    for section in SECTIONS:
        assert sections[section]
        assert numbers or {item["label"] for item in sections[section]} == set(groups_with)
    # the same again, whatever the order of the records
    shuffled = random.Random(seed).sample(records, len(records))
    again = split_records(shuffled, kind=kind, seed=seed)
    assert images(again) == images(sections)
    assert split_hash(again) == split_hash(sections)


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_spread_in_proportion(seed: int) -> None:
    sections = split_records(cohort(F=60, M=40), kind="binary", seed=seed)
    counts = {section: Counter(item["label"] for item in records) for section, records in sections.items()}
    assert counts == {
        "training": {"F": 42, "M": 28},
        "validation": {"F": 9, "M": 6},
        "test": {"F": 9, "M": 6},
    }


@pytest.mark.parametrize(("count", "sizes"), [(3, (1, 1, 1)), (4, (2, 1, 1)), (20, (14, 3, 3)), (33, (23, 5, 5))])
@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_sizes_follow_the_ratios(count: int, sizes: tuple[int, int, int], kind: str) -> None:
    records = [record(f"{number:02d}", float(number) if kind == "regression" else "A") for number in range(count)]
    sections = split_records(records, kind=kind)
    assert tuple(len(sections[section]) for section in SECTIONS) == sizes


def test_a_rare_class_reaches_every_section() -> None:
    for seed in range(20):
        sections = split_records(cohort(A=40, B=3), kind="binary", seed=seed)
        assert [sum(item["label"] == "B" for item in sections[section]) for section in SECTIONS] == [1, 1, 1]


def test_a_class_that_lives_only_in_mixed_families_reaches_every_section() -> None:
    families = [record(f"{i}{label}", label, group=f"family-{i}") for i in range(12) for label in "AB"]
    sections = split_records(families, kind="binary", seed=3)
    assert all({item["label"] for item in sections[section]} == {"A", "B"} for section in SECTIONS)
    assert [len(sections[section]) for section in SECTIONS] == [16, 4, 4]


def test_a_regression_is_stratified_by_quantiles() -> None:
    records = [record(f"{number:03d}", float(number)) for number in range(100)]
    sections = split_records(records, kind="regression", ratios=(0.6, 0.2, 0.2), seed=1)
    for section, per_bin in zip(SECTIONS, (12, 4, 4), strict=True):
        assert Counter(int(item["label"] // 20) for item in sections[section]) == dict.fromkeys(range(5), per_bin)


def test_the_seed_changes_the_split() -> None:
    hashes = {split_hash(split_records(cohort(F=20, M=20), kind="binary", seed=seed)) for seed in range(4)}
    assert len(hashes) == 4


def test_the_split_of_a_seed_stays_what_it_was() -> None:
    sections = split_records(cohort(F=5, M=4), kind="binary", seed=7)
    assert [item["subject"] for item in sections["validation"]] == ["F004", "M003"]
    assert [item["subject"] for item in sections["test"]] == ["F002", "M001"]


def test_sections_are_sorted() -> None:
    records = [record(name, "FM"[i % 2], session=session) for i, name in enumerate("badc") for session in "21"]
    sections = split_records(records, kind="binary", ratios=(1, 0, 0))
    assert [(item["subject"], item["session"]) for item in sections["training"]] == [
        (subject, session) for subject in "abcd" for session in "12"
    ]


@pytest.mark.parametrize(
    ("ratios", "sizes"), [((1, 0, 0), (10, 0, 0)), ((0, 0, 1), (0, 0, 10)), ((0.8, 0, 0.2), (8, 0, 2))]
)
def test_a_section_can_be_left_out(ratios: tuple[float, ...], sizes: tuple[int, ...]) -> None:
    sections = split_records(cohort(A=5, B=5), kind="binary", ratios=ratios)
    assert tuple(len(sections[section]) for section in SECTIONS) == sizes


@pytest.mark.parametrize(
    "ratios", [(0.5, 0.5), (0.5, 0.5, 0.5), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5), (70, 15, 15), ()]
)
def test_ratios_that_are_no_shares_are_refused(ratios: tuple[float, ...]) -> None:
    with pytest.raises(DatalistError, match=r"split: the ratios are .* expected three shares .* add up to 1"):
        split_records(cohort(A=5, B=5), kind="binary", ratios=ratios)


@pytest.mark.parametrize(
    ("records", "kind", "message"),
    [
        (cohort(A=1, B=1), "binary", "split: there are 2 groups, expected at least 3, one for each of training"),
        (cohort(A=9, B=2), "binary", r"class 'B' is in 2 of 11 groups, expected at least 3.* ratio of 0\."),
        (
            [record(str(i), str(i % 4)) for i in range(8)],
            "multiclass",
            r"class '0' is in 2 of 8 groups.* or choose the kind regression",
        ),
        ([record("1", 3.0), record("2", 4.0)], "regression", "there are 2 groups, expected at least 3"),
        ([record(f"{i}", "AB"[i % 2], group="family-1") for i in range(9)], "binary", "there are 1 groups"),
        ([], "binary", "there are 0 groups"),
    ],
)
def test_too_few_groups_are_refused(records: list[dict[str, Any]], kind: str, message: str) -> None:
    with pytest.raises(DatalistError, match=message):
        split_records(records, kind=kind)


def test_classes_that_block_each_other_are_refused() -> None:
    # three families hold everything but C, which is spread over the first two and one more
    members = {"f1": "AC", "f2": "BC", "f3": "AB", "f4": "C", "f5": "AB"}
    records = [record(f + label, label, group=f) for f, labels in members.items() for label in labels]
    with pytest.raises(DatalistError, match="5 groups could not be divided so that each of training, validation, test"):
        split_records(records, kind="multiclass")


def at_sites(**counts: dict[str, int]) -> list[dict[str, Any]]:
    """Records by class and site."""
    return [
        {**record(f"{label}{site}{number:03d}", label), "site": site}
        for label, sites in counts.items()
        for site, count in sites.items()
        for number in range(count)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_sites_are_spread_within_each_class(seed: int) -> None:
    records = at_sites(F={"x": 40, "y": 20}, M={"x": 20, "y": 40})
    sections = split_records(records, kind="binary", seed=seed, by_site=True)
    counts = {
        section: Counter((item["label"], item["site"]) for item in records) for section, records in sections.items()
    }
    assert counts["training"] == {("F", "x"): 28, ("F", "y"): 14, ("M", "x"): 14, ("M", "y"): 28}
    assert counts["validation"] == counts["test"] == {("F", "x"): 6, ("F", "y"): 3, ("M", "x"): 3, ("M", "y"): 6}
    check_no_overlap(sections)


@pytest.mark.parametrize("seed", range(5))
def test_small_sites_are_drawn_together_and_change_no_size(seed: int) -> None:
    small = {f"small-{number:02d}": 1 for number in range(20)}
    records = at_sites(A={"big": 40, **small}, B={"big": 38, "pair": 2})
    sections = split_records(records, kind="binary", seed=seed, by_site=True)
    sizes = {section: Counter(item["label"] for item in found) for section, found in sections.items()}
    assert sizes == {
        "training": {"A": 42, "B": 28},
        "validation": {"A": 9, "B": 6},
        "test": {"A": 9, "B": 6},
    }
    for section in ("validation", "test"):
        assert sum(item["site"].startswith("small") for item in sections[section]) == 3


def test_a_regression_is_spread_over_sites_too() -> None:
    records = [{**record(f"{n:03d}", float(n)), "site": "xy"[n % 2]} for n in range(100)]
    sections = split_records(records, kind="regression", ratios=(0.6, 0.2, 0.2), seed=4, by_site=True)
    for section, per_bin in zip(SECTIONS, (6, 2, 2), strict=True):
        found = Counter((int(item["label"] // 20), item["site"]) for item in sections[section])
        assert found == {(index, site): per_bin for index in range(5) for site in "xy"}


def test_sites_that_nobody_knows_cannot_be_spread() -> None:
    with pytest.raises(DatalistError, match="split: no scan has a site, expected sites to stratify by"):
        split_records(cohort(A=9, B=9), kind="binary", by_site=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subject": "A001"}, "split: subject 'A001' is in both group 'sub-A001' and group 'sub-B003', expected each"),
        ({"image": "sub-A001/./sub-A001_bold.nii.gz"}, "image 'sub-A001/.*' is in both group 'sub-A001' and group"),
        (
            {"content": "0123456789abcdef"},
            r"the same content, 'sub-A000/.*' of subject 'A000' and 'sub-B003/.*' of subject 'B003' "
            r"\(SHA-256 0123456789ab\.\.\.\), is in both group 'sub-A000' and group 'sub-B003', .*; remove the scan",
        ),
    ],
)
def test_what_belongs_together_must_be_in_one_group_whatever_the_draw(change: dict[str, str], message: str) -> None:
    records = cohort(A=5, B=5)
    records[0]["content"] = "0123456789abcdef"
    records[8].update(change)
    for seed in range(4):
        with pytest.raises(DatalistError, match=message):
            split_records(records, kind="binary", seed=seed)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(DatalistError, match=f"split: the seed is {seed}, expected a number from 0 to 4294967295"):
        split_records(cohort(A=5, B=5), kind="binary", seed=seed)
