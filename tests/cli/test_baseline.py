"""The command `baseline` on real runs: a table beside the model, on one split and on folds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import Result

from monai_tff.bundle.study_folder import Member, StudyFolder, write_study_folder

WITHOUT = shutil.ignore_patterns("baselines")
QUICK = ["--name", "covariates", "--name", "only_age", "--name", "mean_image"]


def row_of(output: str, name: str) -> list[str]:
    (line,) = [line for line in output.splitlines() if line.strip("│ ").startswith(f"{name} ")]
    return [cell.strip() for cell in line.strip("│ ").split("│")]


def test_baselines_beside_the_model(runs: Any, tmp_path: Path, command: Callable[..., Result], monkeypatch: Any):
    monkeypatch.setenv("COLUMNS", "160")
    folder = tmp_path / "run"
    shutil.copytree(runs.finetune, folder, ignore=WITHOUT)
    result = command("baseline", folder, *QUICK)
    assert result.exit_code == 0, result.output
    for name, path in {"model": "evaluation", "mean_image": "baselines/mean_image"}.items():
        report = json.loads((folder / path / "metrics.json").read_text("utf-8"))
        low, high = report["intervals"]["auroc"]
        value = report["values"]["auroc"]
        assert row_of(result.output, name)[:3] == [name, "6", f"{value:.2f} [{low:.2f}, {high:.2f}]"]
    assert result.output.endswith("Covariates used: age, site, motion.\n")
    assert sorted(path.name for path in (folder / "baselines").iterdir()) == ["covariates", "mean_image", "only_age"]
    again = command("baseline", folder, *QUICK)
    assert again.output.startswith("finished before: covariates, only_age, mean_image\n")
    assert row_of(again.output, "only_age") == row_of(result.output, "only_age")


def test_each_split_of_a_set_of_folds_once(runs: Any, cohort: Any, tmp_path: Path, command: Callable[..., Result]):
    members = [("fold-1", 1), ("fold-1", 2), ("fold-2", 1), ("fold-2", 2)]
    for split, seed in members:
        shutil.copytree(runs.finetune, tmp_path / split / f"seed-{seed}" / "finetune", ignore=WITHOUT)
    found = [Member(s, n, tmp_path / s / f"seed-{n}" / "finetune", cohort.datalists["sex"]) for s, n in members]
    write_study_folder(tmp_path, StudyFolder("tiny", ("finetune",), {}, 2, tuple(found)))
    result = command("baseline", tmp_path, *QUICK)
    assert result.exit_code == 0, result.output
    made = [member.name for member in found if (member.folder / "baselines").exists()]
    assert made == ["fold-1, seed 1", "fold-2, seed 1"]
    units = pd.read_csv(tmp_path / "baselines" / "mean_image" / "predictions.csv")
    alone = pd.read_csv(found[0].folder / "baselines" / "mean_image" / "predictions.csv")
    assert set(units["fold"]) == {"fold-1;fold-2"}
    assert units["score"].to_numpy() == pytest.approx(alone["score"].to_numpy())
    assert result.output.endswith("Covariates used: age, site, motion.\n")


def test_a_mistake_is_one_sentence(tmp_path: Path, command: Callable[..., Result]):
    result = command("baseline", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "is no finished run of phase 3, expected configs/evaluate.yaml" in result.stderr
    unknown = command("baseline", tmp_path, "--name", "forest")
    assert unknown.exit_code == 1
    assert "baseline 'forest' does not exist" in unknown.stderr
