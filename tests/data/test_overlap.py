"""What two sides of a split may not share, and the hash that keeps a split as it was built."""

from __future__ import annotations

from typing import Any

import pytest

from monai_tff.data.overlap import (
    UNLABELLED,
    check_groups,
    check_no_overlap,
    duplicate_contents,
    join_unlabelled,
    split_hash,
)
from monai_tff.errors import DatalistError


def record(subject: str, run: int = 1, **known: Any) -> dict[str, Any]:
    image = f"sub-{subject}/sub-{subject}_run-{run}_bold.nii.gz"
    group = f"sub-{subject}"
    return {"image": image, "subject": subject, "session": None, "group": group, "label": "F", "site": None, **known}


def sections() -> dict[str, list[dict[str, Any]]]:
    return {
        "training": [record(f"A{number}", session="1", content=f"a{number}") for number in range(3)],
        "validation": [record("B", content="b")],
        "test": [record("C")],
    }


def test_the_hash_covers_place_identity_label_and_content_but_not_order() -> None:
    whole = sections()
    assert len(split_hash(whole)) == 64
    reversed_order = {section: records[::-1] for section, records in reversed(whole.items())}
    assert split_hash(reversed_order) == split_hash(whole) == split_hash({**whole, UNLABELLED: []})
    for key in ("group", "subject", "session", "image", "label", "content"):
        edited = {**whole, "training": [{**whole["training"][0], key: "edited"}, *whole["training"][1:]]}
        assert split_hash(edited) != split_hash(whole), key
    moved = {**whole, "training": whole["training"][:2], "validation": [*whole["validation"], whole["training"][2]]}
    assert split_hash(moved) != split_hash(whole)
    assert split_hash({**whole, UNLABELLED: [record("D", label=None)]}) != split_hash(whole)


@pytest.mark.parametrize(("one", "other"), [(0.0, None), (1.0, 2.0), ("F", "M")])
def test_the_hash_tells_labels_apart(one: Any, other: Any) -> None:
    first, second = ({"training": [record("A", label=label)]} for label in (one, other))
    assert split_hash(first) != split_hash(second)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (record("z", group="sub-A1"), "my.json: group 'sub-A1' is in both training and {}, expected each group in one"),
        (record("A1", run=2, group="f"), "my.json: subject 'A1' is in both training and {}, expected each subject in"),
        (record("A1", run=2, session="1"), "my.json: session '1' of subject 'A1' is in both training and {}"),
        (record("z", image=record("A1")["image"]), "my.json: image 'sub-A1/sub-A1_run-1_bold.nii.gz' is in both trai"),
        (record("z", image="x/../" + record("A1")["image"]), "my.json: image 'x/../sub-A1/sub-A1_run-1_bold.nii.gz'"),
        (
            record("z", content="a1"),
            r"my.json: the same content, 'sub-A1/.*' of subject 'A1' and 'sub-z/.*' of subject 'z' \(SHA-256 a1...\), "
            "is in both training and {}, expected each content in one section only; remove the scan that has the wrong",
        ),
    ],
    ids=["group", "subject", "session", "image", "image, written otherwise", "content"],
)
@pytest.mark.parametrize("section", ["validation", "test"])
def test_overlap_is_refused_by_name(section: str, other: dict[str, Any], message: str) -> None:
    leaking = sections()
    leaking[section].append(other)
    with pytest.raises(DatalistError, match=message.format(section)):
        check_no_overlap(leaking, "my.json")


def test_unlabelled_scans_are_on_the_side_of_training() -> None:
    shared = record("A1", run=2, session="1", content="a1")
    check_no_overlap({**sections(), UNLABELLED: [shared]})
    with pytest.raises(DatalistError, match="split: subject 'B' is in both validation and unlabelled"):
        check_no_overlap({**sections(), UNLABELLED: [record("B", run=2)]})
    with pytest.raises(DatalistError, match=r"split: the same content, .* is in both test and unlabelled"):
        check_no_overlap({"test": [record("C", content="c")], UNLABELLED: [record("D", content="c")]})


def test_what_is_not_known_is_not_shared() -> None:
    check_no_overlap(sections())
    check_no_overlap({"training": [record("A", content=None)], "test": [record("B", content=None)]})


def test_a_subject_with_two_sessions_is_whole_in_one_group() -> None:
    check_groups([record("A", session="1"), record("A", run=2, session="2"), record("B")])
    with pytest.raises(DatalistError, match="split: subject 'A' is in both group 'sub-A' and group 'family-1'"):
        check_groups([record("A", session="1"), record("A", run=2, session="1", group="family-1")])


def test_scans_with_the_same_voxels_are_found() -> None:
    records = [
        record("A", content="x"),
        record("B", content="y"),
        record("C"),
        record("D"),
        record("B", 2, content="y"),
    ]
    records += [record("E", content="x"), record("F", content="z"), record("G", content="x")]
    assert duplicate_contents(records) == [[records[0], records[5], records[7]], [records[1], records[4]]]
    assert duplicate_contents(records[:4]) == []


def test_unlabelled_scans_of_tested_subjects_may_not_join() -> None:
    whole = {**sections(), "test": [record("C", group="family-1", content="c")]}
    joining = [record("A1", run=2), record("D"), record("E", content="a1"), record("F", site="x")]
    refused = [
        record("B", run=2, content="b2"),
        record("G", group="family-1"),
        record("H", content="c"),
        record("I", image=record("C")["image"]),
        # the voxels of a scan that may not join, and the subject of that scan in turn
        record("J", content="b2"),
        record("J", run=2, group="family-2"),
        record("K", group="family-2"),
    ]
    mixed = [scan for pair in zip(refused, [*joining, *[None] * 3], strict=True) for scan in pair if scan is not None]
    kept, dropped = join_unlabelled(whole, mixed)
    assert kept == joining
    assert sorted(item["image"] for item in dropped) == sorted(item["image"] for item in refused)
    check_no_overlap({**whole, UNLABELLED: kept})
    assert join_unlabelled(whole, []) == ([], [])


def test_unlabelled_scans_of_a_site_that_is_left_out_may_not_join() -> None:
    unlabelled = [record("D", site="x"), record("E", site="y"), record("F"), record("D", run=2, site="y")]
    kept, dropped = join_unlabelled(sections(), unlabelled, held_out_site="x")
    assert [item["subject"] for item in kept] == ["E", "F"]
    assert [item["subject"] for item in dropped] == ["D", "D"]
