"""Scans without a label in phases 1 and 2: they are trained on, remembered in the lineage, and never tested."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from monai_tff.bundle.experiment import run_workflow
from monai_tff.data import SplitPlan, build_datalist, load_records, read_bids, write_datalist


@pytest.fixture(scope="module")
def partly_labelled(cohort: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The shared cohort with a table that knows the sex of three subjects of four."""
    folder = tmp_path_factory.mktemp("unlabelled")
    with open(cohort.folder / "participants.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows[::4]:
        row["sex"] = "n/a"
    with open(folder / "labels.tsv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    found = read_bids(cohort.folder, "sex", tables=[folder / "labels.tsv"])
    plan = SplitPlan(ratios=(0.5, 0.25, 0.25))
    content = build_datalist(found, "sex", dataset_dir=cohort.folder, plan=plan, pretrain_unlabelled=True)
    write_datalist(content, folder / "datalist.json")
    return SimpleNamespace(folder=cohort.folder, datalist=folder / "datalist.json", content=content)


@pytest.mark.parametrize("phase", ["autoencoder", "finetune"])
def test_they_join_the_reconstruction_alone(
    partly_labelled: SimpleNamespace, phase: str, phases: dict[str, Any], small: dict[str, Any], tmp_path: Path
) -> None:
    unlabelled = {record["subject"] for record in partly_labelled.content["unlabelled"]}
    trained = {record["subject"] for record in partly_labelled.content["training"]}
    assert len(unlabelled) == 6
    assert not unlabelled & trained
    places = {"dataset_dir": str(partly_labelled.folder), "datalist": str(partly_labelled.datalist)}
    values = {**phases[phase].overrides, **small, **places, "run_dir": str(tmp_path / "run"), "max_epochs": 1}
    if phase == "autoencoder":
        values["window_length"] = 1
    run_workflow(list(phases[phase].config_files), "train", values)
    (entry,) = json.loads((tmp_path / "run" / "lineage.json").read_text())["phases"]
    seen = {scan["subject"] for scan in entry["scans"]}
    assert trained <= seen
    assert (unlabelled <= seen) is (phase == "autoencoder")


def test_as_many_windows_as_scans_are_drawn(partly_labelled: SimpleNamespace) -> None:
    paths = (partly_labelled.datalist, partly_labelled.folder)
    labelled, both = load_records(*paths), load_records(*paths, with_unlabelled=True)
    assert len(both) - len(labelled) == 6
    assert [record["label"] for record in both[len(labelled) :]] == [None] * 6
