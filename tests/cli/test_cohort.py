"""The cohort that an experiment describes is made once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monai_tff.bundle.folds_splits import find_splits
from monai_tff.cli.cohort import make_cohort
from monai_tff.errors import ConfigError

PLAN: dict[str, Any] = {
    "simulate": {"subjects": 9, "voxel_size": 20.0, "frames": 4, "seed": 2},
    "datalist": {"target": "sex", "ratios": "0.4,0.3,0.3", "seed": 1},
}


def test_it_is_simulated_and_listed(tmp_path: Path) -> None:
    paths = make_cohort(PLAN, tmp_path / "cohort")
    assert paths == {"dataset_dir": str(tmp_path / "cohort"), "datalist": str(tmp_path / "cohort" / "datalist.json")}
    content = json.loads(Path(paths["datalist"]).read_text())
    assert (content["target"]["name"], content["split"]["seed"]) == ("sex", 1)
    assert sum(len(content[section]) for section in ("training", "validation", "test")) == 9


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    make_cohort(PLAN, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    make_cohort(PLAN, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_simulation_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    make_cohort(PLAN, tmp_path / "cohort")
    (tmp_path / "cohort" / "datalist.json").unlink()
    (tmp_path / "cohort" / "participants.tsv").unlink()
    make_cohort(PLAN, tmp_path / "cohort")
    assert (tmp_path / "cohort" / "datalist.json").is_file()


def test_folds_are_listed_beside_each_other_and_kept(tmp_path: Path) -> None:
    """One that is missing, as after a kill, makes all of them anew."""
    listed = {"target": "sex", "ratios": "0.5,0.5,0", "seed": 1, "folds": 2}
    plan = {"simulate": {**PLAN["simulate"], "subjects": 12}, "datalist": listed}
    paths = make_cohort(plan, tmp_path / "cohort")
    assert paths["datalist"] == str(tmp_path / "cohort" / "datalist.json")
    splits = find_splits(paths["datalist"])
    assert [split.name for split in splits] == ["fold-1", "fold-2"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    make_cohort(plan, tmp_path / "cohort")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    content = splits[0].datalist.read_bytes()
    splits[0].datalist.unlink()
    make_cohort(plan, tmp_path / "cohort")
    assert splits[0].datalist.read_bytes() == content


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"simulate": {}}, r"cohort: has the keys \['simulate'\], expected simulate and datalist"),
        ({**PLAN, "simulate": {"subject": 3}}, r"cohort: simulate has no option 'subject', expected one of .*subjects"),
        ({**PLAN, "datalist": {"aim": "sex"}}, r"cohort: datalist has no option 'aim', expected one of .*target"),
    ],
)
def test_what_is_wrong_is_named(plan: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        make_cohort(plan, tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()
