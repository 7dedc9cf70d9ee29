"""Datalists of one plan are found beside each other, and nothing else is taken for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_tff.bundle.folds_splits import chosen_splits, find_splits, single_split
from monai_tff.contract import Target
from monai_tff.data.datalist import write_datalist
from monai_tff.data.overlap import split_hash
from monai_tff.data.records import make_record
from monai_tff.data.split_plan import SplitPlan, split_suffixes
from monai_tff.data.splits import SECTIONS
from monai_tff.errors import DatalistError

SEX = Target("sex", "binary", ("F", "M"))


def write_plan(folder: Path, plan: SplitPlan, **changes: Any) -> Path:
    """Datalists of 25 scans that are not there, named as `datalist --output my_study.json` names them."""
    records = [
        make_record(f"{n}_bold.nii", f"{n}", f"{n}", "FM"[n % 2], site=f"site {n % 3}", content=f"c{n}")
        for n in range(25)
    ]
    found = plan.splits(records, SEX)
    base = folder / "my_study.json"
    for suffix, split in zip(split_suffixes([split.facts for split in found]), found, strict=True):
        sections = {name: split.sections[name] for name in SECTIONS}
        own = {"groups": {name: len(records) for name, records in sections.items()}, "hash": split_hash(sections)}
        content = {
            **{"name": "cohort", "target": {"name": "sex", "kind": "binary", "class_names": ["F", "M"]}, "grid": {}},
            **{"denoising": None, "allowed": [], "split": {**split.facts, **own}},
            **{"excluded": {}, "faults": [], **sections, "unlabelled": [], "others": [], **changes},
        }
        write_datalist(content, base.with_stem(base.stem + suffix))
    return base


def test_folds_are_found_in_their_order(tmp_path: Path) -> None:
    base = write_plan(tmp_path, SplitPlan(folds=3, seed=4))
    (tmp_path / "my_study_notes.json").write_text("{}")
    (tmp_path / "my_study_2_fold-1.json").write_text("{}")  # of a study of another name
    splits = find_splits(base)
    assert [split.name for split in splits] == ["fold-1", "fold-2", "fold-3"]
    assert [split.datalist for split in splits] == [tmp_path / f"my_study_fold-{n}.json" for n in (1, 2, 3)]
    assert [split.facts["fold"] for split in splits] == [1, 2, 3]
    assert splits[0].plan == splits[2].plan
    assert (splits[0].plan["folds"], splits[0].plan["seed"]) == (3, 4)


def test_more_than_nine_folds_and_repeats_are_in_order(tmp_path: Path) -> None:
    splits = find_splits(write_plan(tmp_path, SplitPlan(folds=10, repeats=2)))
    assert [split.name for split in splits] == [f"repeat-{r}_fold-{f}" for r in (1, 2) for f in range(1, 11)]
    assert [split.name for split in chosen_splits(splits, "10, repeat-2_fold-1")] == [
        "repeat-1_fold-10",
        "repeat-2_fold-1",
        "repeat-2_fold-10",
    ]


def test_sites(tmp_path: Path) -> None:
    splits = find_splits(write_plan(tmp_path, SplitPlan(leave_one_site_out=True)))
    assert [split.name for split in splits] == ["site-site-0", "site-site-1", "site-site-2"]
    assert [split.facts["held_out_site"] for split in chosen_splits(splits, "site-site-2,site-site-0")] == [
        "site 0",
        "site 2",
    ]
    (tmp_path / "my_study_site-site-1.json").unlink()
    with pytest.raises(DatalistError, match=r"missing 1 of 3 sites \(there are site 0, site 2\).*--leave-one-site-out"):
        find_splits(tmp_path / "my_study.json")


def test_a_single_split(tmp_path: Path) -> None:
    split = single_split(write_plan(tmp_path, SplitPlan(seed=9)))
    assert (split.name, split.datalist, split.facts["seed"]) == ("single", tmp_path / "my_study.json", 9)


@pytest.mark.parametrize("folds", ["4", "0", "fold-4", "1,x", "", "-1"])
def test_a_fold_that_there_is_not(folds: str, tmp_path: Path) -> None:
    splits = find_splits(write_plan(tmp_path, SplitPlan(folds=3)))
    with pytest.raises(DatalistError, match=r"there is no split '.*', expected all, or some of fold-1, fold-2, fold-3"):
        chosen_splits(splits, folds)
    assert chosen_splits(splits, "all") == splits


def test_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=r"expected my_study_fold-1.json and so on; make them with `python -m"):
        find_splits(tmp_path / "my_study.json")
    with pytest.raises(DatalistError, match="no datalists of folds"):
        find_splits(tmp_path / "no_folder" / "my_study.json")


def test_what_is_missing_is_named_with_the_command(tmp_path: Path) -> None:
    base = write_plan(tmp_path, SplitPlan(folds=3, repeats=2, seed=8))
    (tmp_path / "my_study_repeat-2_fold-1.json").unlink()
    (tmp_path / "my_study_repeat-1_fold-3.json").unlink()
    with pytest.raises(DatalistError) as caught:
        find_splits(base)
    assert "missing my_study_repeat-1_fold-3.json, my_study_repeat-2_fold-1.json, expected all" in str(caught.value)
    assert "--folds 3 --repeats 2 --seed 8 --output my_study.json" in str(caught.value)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    content["split"]["hash"] = split_hash({name: content[name] for name in SECTIONS})
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["split"].update(seed=1), "fold-2.json: seed is 1, but 0 in my_study_fold-1.json"),
        (lambda c: c["split"].update(folds=5), "fold-2.json: folds is 5, but 3 in my_study_fold-1.json"),
        (lambda c: c.update(name="other"), "fold-2.json: cohort is other, but cohort in my_study_fold-1.json"),
        (lambda c: c["target"].update(name="diagnosis"), r"fold-2.json: target is \{'name': 'diagnosis'"),
        (lambda c: c["training"].pop(), "fold-2.json: has other scans than my_study_fold-1.json"),
    ],
)
def test_splits_of_another_plan(change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path) -> None:
    base = write_plan(tmp_path, SplitPlan(folds=3))
    edit(tmp_path / "my_study_fold-2.json", change)
    with pytest.raises(DatalistError, match=message):
        find_splits(base)


def test_a_scan_that_is_tested_twice(tmp_path: Path) -> None:
    """Sections are exchanged, so that two folds test the same subjects."""
    base = write_plan(tmp_path, SplitPlan(folds=3))
    first = json.loads((tmp_path / "my_study_fold-1.json").read_text())
    edit(tmp_path / "my_study_fold-2.json", lambda c: c.update({name: first[name] for name in SECTIONS}))
    with pytest.raises(DatalistError, match=r"'\d+_bold.nii' is in the test section of this and of another fold"):
        find_splits(base)
