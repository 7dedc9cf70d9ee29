"""Which subjects a set of weights has seen, and that a test set never holds one of them."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from monai_tff.bundle import Workflow, pretraining_overlap
from monai_tff.bundle.experiment import run_workflow
from monai_tff.bundle.lineage import lineage_entry, read_lineage, refuse_overlap, write_lineage
from monai_tff.errors import DatalistError, user_error_in


def record(subject: str, group: str) -> dict[str, str]:
    return {"image": f"sub-{subject}_bold.nii.gz", "subject": subject, "group": group, "label": "F"}


def datalist(test: list[dict[str, str]], name: str = "cohort") -> dict[str, Any]:
    training, validation = [record("01", "a"), record("02", "a")], [record("03", "b")]
    return {"name": name, "split": {"hash": "x"}, "training": training, "validation": validation, "test": test}


def test_written_and_read_by_the_owner_alone(tmp_path: Path) -> None:
    phases = [lineage_entry("autoencoder", datalist([record("04", "c")]))]
    write_lineage(tmp_path, phases)
    assert os.stat(tmp_path / "lineage.json").st_mode & 0o777 == 0o600
    (phase,) = read_lineage(tmp_path / "models" / "model.pt") or []
    assert phase == phases[0]
    assert [scan["subject"] for scan in phase["scans"]] == ["01", "02", "03"]
    assert set(phase["scans"][0]) == {"group", "subject", "image"}


def test_unknown_phases_are_not_written(tmp_path: Path) -> None:
    write_lineage(tmp_path, None)
    assert list(tmp_path.iterdir()) == []
    assert read_lineage(tmp_path / "models" / "model.pt") is None


@pytest.mark.parametrize(
    ("tested", "named"),
    [(record("03", "z"), r"subject 03 \(group z\)"), (record("09", "a"), r"subject 09 \(group a\)")],
)
def test_subjects_and_groups_that_were_seen_are_named(tested: dict[str, str], named: str) -> None:
    lineage = [lineage_entry("transformer", datalist([]))]
    with pytest.raises(DatalistError, match=rf"w.pt: {named} of the test set was seen in the phase 'transformer'"):
        refuse_overlap(lineage, datalist([record("05", "d"), tested]), "w.pt")


def test_new_subjects_and_other_cohorts_pass() -> None:
    lineage = [lineage_entry("transformer", datalist([]))]
    refuse_overlap(lineage, datalist([record("05", "d")]), "w.pt")
    refuse_overlap(lineage, datalist([record("01", "a")], name="another"), "w.pt")


def test_the_lineage_grows_with_the_phases(runs: Any, cohort: Any) -> None:
    phases = read_lineage(runs.finetune / "models" / "model.pt") or []
    assert [phase["phase"] for phase in phases] == ["autoencoder", "transformer", "finetune"]
    content = json.loads(cohort.datalists["sex"].read_text())
    expected = [entry["subject"] for section in ("training", "validation") for entry in content[section]]
    assert all([scan["subject"] for scan in phase["scans"]] == expected for phase in phases)
    assert os.stat(runs.finetune / "lineage.json").st_mode & 0o777 == 0o600


def test_what_is_known_of_the_overlap(runs: Any, cohort: Any, tmp_path: Path) -> None:
    weights = runs.finetune / "models" / "model.pt"
    assert pretraining_overlap(weights, cohort.datalists["sex"]) == "none"
    assert pretraining_overlap(weights, cohort.datalists["sex"], "validation") == "yes"
    assert pretraining_overlap(tmp_path / "models" / "model.pt", cohort.datalists["sex"]) == "unknown"
    with pytest.raises(DatalistError, match=r"of the test set was seen in the phase"):
        pretraining_overlap(weights, cohort.datalists["age"])


def test_a_phase_refuses_weights_that_saw_its_test_subjects(
    runs: Any, cohort: Any, phases: dict[str, Any], small: dict[str, Any], tmp_path: Path
) -> None:
    """The split of the target age puts subjects into the test set that the split of sex trained on."""
    places = {"dataset_dir": str(cohort.folder), "datalist": str(cohort.datalists["age"])}
    overrides = {**phases["finetune"].overrides, **small, **places, "run_dir": str(tmp_path / "run")}
    weights = str(runs.transformer / "models" / "model.pt")
    files = list(phases["finetune"].config_files)
    workflow = Workflow(files, logging_file=False, initial_weights=weights, **overrides)
    with pytest.raises(RuntimeError) as caught:
        workflow.initialize()
    message = str(user_error_in(caught.value))
    content = json.loads(cohort.datalists["age"].read_text())
    assert any(f"subject {entry['subject']} " in message for entry in content["test"])
    assert "was seen in the phase 'autoencoder' of these weights" in message
    assert not (tmp_path / "run").exists()


def test_weights_without_lineage_are_said_to_be_unknown(
    runs: Any,
    cohort: Any,
    phases: dict[str, Any],
    small: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    foreign = tmp_path / "foreign.pt"
    shutil.copy(runs.transformer / "models" / "model.pt", foreign)
    places = {"dataset_dir": str(cohort.folder), "datalist": str(cohort.datalists["sex"])}
    overrides = {**phases["finetune"].overrides, **small, **places, "run_dir": str(tmp_path / "run")}
    with caplog.at_level(logging.WARNING):
        run_workflow(list(phases["finetune"].config_files), "train", {**overrides, "initial_weights": str(foreign)})
    assert "comes without a lineage: pretraining overlap: unknown" in caplog.text
    assert not (tmp_path / "run" / "lineage.json").exists()
    run_workflow([str(tmp_path / "run" / "configs" / "evaluate.yaml")], "eval", {"bootstrap_samples": 20})
    assert "\npretraining overlap: unknown\n" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "run" / "evaluation" / "metrics.json").read_text())
    assert metrics["pretraining_overlap"] == "unknown"
