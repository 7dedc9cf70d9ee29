"""The plain `python -m monai.bundle run`, from a working folder that has nothing to do with the bundles."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

pytestmark = pytest.mark.end_to_end
Stock = Callable[..., CompletedProcess]


@pytest.fixture
def train(stock: Stock, cohort: Any, phases: dict[str, Any], small: dict[str, Any]) -> Callable[..., CompletedProcess]:
    """Trains a phase with the settings of the shared runs: train(phase, run_dir, key=value, ...)."""

    def call(name: str, run_dir: Path, **overrides: Any) -> CompletedProcess:
        places = {"dataset_dir": cohort.folder, "datalist": cohort.datalists["sex"], "run_dir": run_dir}
        if name == "autoencoder":
            overrides["window_length"] = 1
        return stock(
            "training", phases[name].config_files, **{**phases[name].overrides, **small, **places, **overrides}
        )

    return call


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    return torch.load(run_dir / "models" / "model.pt", weights_only=True)["model"]


def assert_same_weights(first: Path, second: Path) -> None:
    one, other = weights(first), weights(second)
    assert list(one) == list(other)
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_three_phases_give_what_monai_tff_run_gives(
    train: Callable[..., CompletedProcess], runs: Any, tmp_path: Path
) -> None:
    previous = None
    for name in ("autoencoder", "transformer", "finetune"):
        # the working folder is tmp_path: relative paths start there
        starting = {} if previous is None else {"initial_weights": Path(previous) / "models" / "model.pt"}
        done = train(name, Path(name), **starting)
        assert done.returncode == 0, done.stderr
        previous = name
        assert_same_weights(tmp_path / name, runs.folder / name)
        calibration = [folder / name / "calibration.json" for folder in (tmp_path, runs.folder)]
        if name == "finetune":
            assert calibration[0].read_text() == calibration[1].read_text()
            assert "calibration on 6 validation units: temperature 1, threshold " in done.stdout
        else:
            assert not calibration[0].exists()
        table = (tmp_path / name / "metrics.csv").read_text()
        assert table == (runs.folder / name / "metrics.csv").read_text()
    assert "loaded: 127 tensors" in done.stdout


def test_evaluating_from_the_run_folder_alone(
    stock_arguments: Callable[..., list[str]], runs: Any, tmp_path: Path
) -> None:
    """By a Python of its own, so that nothing was imported before."""
    arguments = stock_arguments(
        "evaluating", [runs.finetune / "configs" / "evaluate.yaml"], {"output_dir": tmp_path / "again"}
    )
    done = run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    metrics = [
        json.loads((folder / "metrics.json").read_text())
        for folder in (tmp_path / "again", runs.finetune / "evaluation")
    ]
    uses = [one.pop("ledger") for one in metrics]
    assert metrics[0] == metrics[1]
    assert uses[0]["test_set"] == uses[1]["test_set"]
    assert uses[0]["evaluations"] > uses[1]["evaluations"]
    assert set(runs.result.stdout.strip().splitlines()[-2:]) <= set(done.stdout.splitlines())


def test_inferring_from_the_run_folder_alone(stock: Stock, runs: Any, cohort: Any, tmp_path: Path) -> None:
    """Weights and configs are found beside each other, and the predictions are those of the evaluation."""
    datalist = json.loads(cohort.datalists["sex"].read_text())
    scans = [str(cohort.folder / record["image"]) for record in datalist["test"]]
    done = stock("inferring", [runs.finetune / "configs" / "inference.yaml"], dataset_dir=scans)
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(tmp_path / "predictions" / "predictions.csv", dtype={"subject": str}).set_index("subject")
    evaluated = pd.read_csv(runs.finetune / "evaluation" / "predictions.csv", dtype={"subject": str}).set_index(
        "subject"
    )
    assert set(found.index) == {record["subject"] for record in datalist["test"]}
    np.testing.assert_array_equal(found["score"], evaluated.loc[found.index, "score"])


def test_what_is_misspelt_is_the_last_line(train: Callable[..., CompletedProcess], tmp_path: Path) -> None:
    done = train("finetune", tmp_path / "run", max_epochz=5)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1] == (
        "error: config key 'max_epochz': nothing in the configuration uses it, expected a known key; did you mean "
        "'max_epochs'?"
    )
    assert not (tmp_path / "run").exists()


def test_a_fault_of_a_header_is_the_last_line(
    train: Callable[..., CompletedProcess], small: dict[str, Any], tmp_path: Path
) -> None:
    done = train("finetune", tmp_path / "run", window_length=13)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "12 frames are left after dropping 0, expected at least 13" in last
    assert not (tmp_path / "run").exists()
