"""A thousand random cohorts: no scheme of splitting them leaks, and a planted leak of each kind is refused by name.

Families, repeated sessions, several runs, sites, scans without a label, and the same voxels under two IDs. What leaks
is decided here anew, with sets, and not by the function that the package checks itself with.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sklearn

from monai_tff.bundle.lineage import lineage_entry, refuse_overlap
from monai_tff.data.folds import Fold, split_folds, split_given, split_sites
from monai_tff.data.overlap import (
    SECTIONS,
    UNLABELLED,
    check_no_overlap,
    duplicate_contents,
    join_unlabelled,
    split_hash,
)
from monai_tff.data.splits import split_records
from monai_tff.errors import DatalistError

NUM_COHORTS = 1000
KINDS = ("binary", "multiclass", "regression")

Record = dict[str, Any]
Sections = dict[str, list[Record]]


def scans_of(draw: random.Random, subject: str, group: str, site: str, kind: str) -> Iterator[Record]:
    """One to three sessions of one to three runs; the target and the site may change between sessions."""
    label = draw.uniform(20, 80) if kind == "regression" else draw.choice("AAB" if kind == "binary" else "AABBC")
    for session in range(draw.choice((1, 1, 1, 1, 2, 3))):
        if draw.random() < 0.1:
            label = draw.uniform(20, 80) if kind == "regression" else draw.choice("AB")
        if draw.random() < 0.1:
            site = draw.choice("xyz")
        for run in range(draw.choice((1, 1, 1, 2, 3))):
            image = f"sub-{subject}/ses-{session}/sub-{subject}_ses-{session}_run-{run}_bold.nii.gz"
            known = {"session": str(session), "run": str(run), "site": site, "content": f"voxels of {image}"}
            yield {"image": image, "subject": subject, "group": group, "label": label, **known}


def cohort(number: int) -> tuple[str, list[Record], list[Record]]:
    """Kind of the target, records with and without label; every other cohort has the same voxels under two IDs."""
    draw = random.Random(number)
    kind = KINDS[number % 3]
    records = []
    for family in range(draw.randint(9, 16)):
        site = draw.choice("xxyyz")
        for member in range(draw.choice((1, 1, 2, 3))):
            records += scans_of(draw, f"{family}x{member}", f"family-{family}", site, kind)
    for _ in range(draw.randint(1, 4) if number % 2 else 0):
        first, second = draw.sample(records, 2)
        second["content"] = first["content"]
    draw.shuffle(records)
    unlabelled = [records.pop() for _ in range(len(records) // 8)]
    # a scan may be without a label because its subject is a stranger
    strangers = scans_of(draw, "stranger", "strangers", "y", kind)
    return kind, records, [{**record, "label": None} for record in (*unlabelled, *strangers)]


def shared(one: list[Record], other: list[Record]) -> list[str]:
    """What two lists of records share, of that which must not be shared."""
    facts: dict[str, Callable[[Record], Any]] = {
        "group": lambda record: record["group"],
        "subject": lambda record: record["subject"],
        "session": lambda record: (record["subject"], record["session"]),
        "image": lambda record: record["image"],
        "content": lambda record: record["content"],
    }
    return [name for name, fact in facts.items() if {fact(record) for record in one} & {fact(r) for r in other}]


def assert_no_leak(sections: Sections, unlabelled: list[Record], site: str | None = None) -> None:
    joined, dropped = join_unlabelled(sections, unlabelled, site)
    assert len(joined) + len(dropped) == len(unlabelled)
    seen = [*sections["training"], *joined]
    assert shared(seen, sections["validation"]) == []
    assert shared(seen, sections["test"]) == []
    assert shared(sections["validation"], sections["test"]) == []
    assert site is None or site not in {record["site"] for record in (*seen, *sections["validation"])}
    check_no_overlap({**sections, UNLABELLED: joined})


def refuses_duplicates(records: list[Record], kind: str) -> bool:
    """Whether the same voxels under two IDs keep a cohort from being split; that must not depend on the draw."""
    parted = [same for same in duplicate_contents(records) if len({record["group"] for record in same}) > 1]
    if not parted:
        return False
    for split in (split_records, split_sites, lambda *args, **options: split_folds(*args, folds=3, **options)):
        with pytest.raises(DatalistError, match=r"the same content, .* of subject '.*' and .* of subject '.*' \(SHA"):
            split(records, kind=kind)
    return True


def merged_groups(records: list[Record]) -> list[Record]:
    """What a user does who puts scans with the same voxels into one group, with all that their groups hold."""
    leader = {record["group"]: record["group"] for record in records}
    for same in duplicate_contents(records):
        groups = {leader[record["group"]] for record in same}
        leader = {group: min(groups) if first in groups else first for group, first in leader.items()}
    return [{**record, "group": leader[record["group"]]} for record in records]


def attempt(split: Callable[[], list[Fold]]) -> list[Fold]:
    """What a scheme gives; nothing where a cohort has too few groups, or too few with a class, for it."""
    try:
        return split()
    except DatalistError as error:
        if "group" not in str(error):
            raise
        return []


def splits(records: list[Record], kind: str, seed: int) -> dict[str, list[Fold]]:
    """Every split of a cohort by scheme."""
    by_site = bool(seed % 2)
    return {
        "single": attempt(lambda: [Fold(split_records(records, kind=kind, seed=seed), {})]),
        "by site": attempt(lambda: [Fold(split_records(records, kind=kind, seed=seed, by_site=True), {})]),
        "folds": attempt(lambda: split_folds(records, kind=kind, folds=3, repeats=2, seed=seed, by_site=by_site)),
        "sites": attempt(lambda: split_sites(records, kind=kind, seed=seed)),
    }


def assert_tested_once(folds: list[Fold], records: list[Record]) -> None:
    for repeat in (folds[:3], folds[3:]):
        tested = [group for fold in repeat for group in {record["group"] for record in fold.sections["test"]}]
        assert sorted(tested) == sorted({record["group"] for record in records})


@pytest.mark.parametrize("quarter", range(4))
def test_a_thousand_random_cohorts_never_leak(quarter: int) -> None:
    done: Counter[str] = Counter()
    with sklearn.config_context(skip_parameter_validation=True):
        for number in range(quarter * NUM_COHORTS // 4, (quarter + 1) * NUM_COHORTS // 4):
            kind, records, unlabelled = cohort(number)
            if refuses_duplicates(records, kind):
                done["refused"] += 1
                merged = merged_groups([*records, *unlabelled])
                records, unlabelled = merged[: len(records)], merged[len(records) :]
            for scheme, found in splits(records, kind, seed=number).items():
                done[scheme] += bool(found)
                for fold in found:
                    assert_no_leak(fold.sections, unlabelled, fold.description.get("held_out_site"))
                    split = [*fold.left_out, *(record for name in SECTIONS for record in fold.sections[name])]
                    assert sorted(record["image"] for record in split) == sorted(record["image"] for record in records)
                if scheme == "folds" and found:
                    assert_tested_once(found, records)
    # most cohorts are large enough for each scheme, and many of those with duplicates have them in two families
    assert min(done["single"], done["by site"], done["folds"]) > 0.8 * NUM_COHORTS / 4
    assert done["sites"] > 0.5 * NUM_COHORTS / 4
    assert done["refused"] > 0.35 * NUM_COHORTS / 4


def planted(sections: Sections, kind: str, section: str) -> tuple[Sections, str]:
    """A split with one leak from training into another section, and how it is called in the message."""
    source = next(r for r in sections["training"] if kind != "content" or r["content"] is not None)
    changes: dict[str, tuple[Record, str]] = {
        "group": ({"group": source["group"]}, f"group '{source['group']}' is in both training and {section}"),
        "subject": ({"subject": source["subject"]}, f"subject '{source['subject']}' is in both training and {section}"),
        "session": (
            {"subject": source["subject"], "session": source["session"]},
            f"session '{source['session']}' of subject '{source['subject']}' is in both training and {section}",
        ),
        "image": ({"image": source["image"]}, f"image '{source['image']}' is in both training and {section}"),
        "content": ({"content": source["content"]}, f"the same content, '{source['image']}' of subject"),
    }
    change, message = changes[kind]
    stranger = {"image": "new.nii", "subject": "new", "session": "9", "group": "new", "content": None, "label": "A"}
    return {**sections, section: [*sections[section], {**stranger, **change}]}, message


@pytest.mark.parametrize("kind", ["group", "subject", "session", "image", "content"])
@pytest.mark.parametrize("section", ["validation", "test"])
def test_a_planted_leak_is_refused_by_name(kind: str, section: str) -> None:
    for number in range(0, 60, 6):
        _, records, _ = cohort(number)
        sections = split_records(records, kind="binary", seed=number)
        leaking, message = planted(sections, kind, section)
        with pytest.raises(DatalistError) as caught:
            check_no_overlap(leaking, "my.json")
        assert str(caught.value).startswith(f"my.json: {message}")
        assert f"in both training and {section}" in str(caught.value)
        assert split_hash(leaking) != split_hash(sections)
        # whoever gives that split from outside is told the same; image and content are what they are of any ID
        assignment = {r["subject"]: name for name in SECTIONS for r in leaking[name] if kind in ("group", "content")}
        if assignment:
            with pytest.raises(DatalistError, match="in both training and"):
                split_given([record for name in SECTIONS for record in leaking[name]], assignment)


def datalist(sections: Sections, name: str = "study", **more: list[Record]) -> dict[str, Any]:
    return {"name": name, "split": {"hash": split_hash(sections)}, **sections, **more}


@pytest.mark.parametrize("leak", ["subject", "group", "content", "content of a scan that was not used"])
def test_a_leak_through_the_weights_is_refused_by_name(leak: str) -> None:
    for number in range(0, 60, 6):
        _, records, _ = cohort(number)
        sections = split_records(records, kind="binary", seed=number)
        source = sections["training"][-1]
        unused = {"image": "unused.nii", "subject": source["subject"], "content": "voxels of an unused run"}
        lineage = [lineage_entry("autoencoder", datalist(sections, others=[unused]))]
        refuse_overlap(lineage, datalist(sections), "w.pt")
        new = {"image": "new.nii", "subject": "new", "session": "1", "group": "new", "content": "new", "label": "A"}
        change, name, message = {
            "subject": ({"subject": source["subject"]}, "study", f"subject {source['subject']} (group new)"),
            "group": ({"group": source["group"]}, "study", f"group {source['group']} of subject new"),
            "content": (
                {"content": source["content"]},
                "another study",
                f"new.nii of subject new of the test set has the same content as {source['image']}",
            ),
            "content of a scan that was not used": (
                {"content": unused["content"]},
                "another study",
                "new.nii of subject new of the test set has the same content as unused.nii, not used itself",
            ),
        }[leak]
        tested: Sections = {"training": [], "validation": [], "test": [{**new, **change}]}
        with pytest.raises(DatalistError) as caught:
            refuse_overlap(lineage, datalist(tested, name), "w.pt")
        assert str(caught.value).startswith(f"w.pt: {message}")
        assert "was seen in the phase 'autoencoder' of these weights" in str(caught.value)
