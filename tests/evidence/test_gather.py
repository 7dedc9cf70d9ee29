"""The whole of the evidence: written, repeatable, and made of the numbers in the files."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from monai_tff.evidence import gather_evidence


@pytest.fixture
def complete(run):
    """A run with two baselines, whose scores are those of the model with noise, and a control."""
    for folder in ("baselines/covariates", "baselines/only_age", "controls/shuffled_frames"):
        shutil.copytree(run / "evaluation", run / folder)
    table = run / "baselines" / "only_age" / "predictions.csv"
    units = pd.read_csv(table, dtype={"subject": str})
    units.assign(score=1 - units["score"]).to_csv(table, index=False)
    return run


def test_evidence_is_written_and_repeatable(complete):
    found = gather_evidence(complete, samples=60)
    written = (complete / "evidence.json").read_text()
    assert json.loads(written) == found
    assert "NaN" not in written
    # neither the order of rows nor an earlier evidence.json matters
    for name in ("evaluation", "baselines/only_age"):
        for file in ("predictions.csv", "windows.csv"):
            path = complete / name / file
            head, *rows = path.read_text().splitlines()
            path.write_text("\n".join([head, *reversed(rows)]) + "\n")
    gather_evidence(complete, samples=60)
    assert (complete / "evidence.json").read_text() == written


def test_its_numbers_are_those_of_the_files(complete, runs):
    found = gather_evidence(complete, against=[runs.finetune], samples=40)
    metrics = json.loads((complete / "evaluation" / "metrics.json").read_text())
    value = metrics["values"]["auroc"]
    assert found["permutation"]["model"]["observed"] == pytest.approx(value)
    assert f"AUROC {value:.2f}" in found["verdict"]["headline"]
    rows = {row["name"]: row["difference"] for row in found["comparisons"]["rows"]}
    assert set(rows) == {"covariates", "shuffled_frames", str(runs.finetune)}
    assert all(row["first"] == pytest.approx(value) for row in rows.values())
    assert found["confounds"]["alone"]["age"]["value"] == pytest.approx(1 - value)
    assert found["study"]["subjects"] == metrics["counts"]["subjects"]
    assert found["seed"] == metrics["bootstrap"]["seed"]


def test_folds_are_gathered(folds_folder):
    found = gather_evidence(folds_folder, samples=40)
    assert found["study"]["splits"] == ["fold-1", "fold-2"]
    assert found["permutation"]["strata"] == ["site", "fold"]
    assert set(found["confounds"]["scores_by"]) == {"age", "site", "motion"}
    assert sum(level["units"] for level in found["confounds"]["scores_by"]["site"]) == 24


@pytest.mark.parametrize("target", ["age", "site"])
def test_other_kinds_of_target(finetuned, tmp_path, target):
    folder = shutil.copytree(finetuned[target], tmp_path / target)
    if not (folder / "evaluation").is_dir():
        from monai_tff.bundle.experiment import run_workflow

        run_workflow([str(folder / "configs" / "evaluate.yaml")], "eval", {"run_dir": str(folder)})
    found = gather_evidence(folder, samples=30)
    assert found["study"]["statistic"] == ("pearson_r" if target == "age" else "auroc")
    assert found["verdict"]["above_chance"] in (True, False, None)
    assert target not in found["confounds"]["scores_by"]
    assert (folder / "evidence.json").is_file()
