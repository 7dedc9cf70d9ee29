"""The published recipe, phase by phase, on a small cohort: it runs, and its parts are the published ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from monai_tff.bundle.experiment import read_experiment, run_experiment, run_workflow

pytestmark = pytest.mark.end_to_end
# What belongs to the cohort and its grid, not to the recipe.
COHORT = {"spatial_size": [8, 10, 9], "crop": None, "trim": 0, "voxel_size": None, "repetition_time": 2.0}
TINY = {"hidden_size": 32, "max_epochs": 2, "val_iterations": 1}


def overrides(cohort: Any, target: str) -> dict[str, Any]:
    return {**COHORT, **TINY, "dataset_dir": str(cohort.folder), "datalist": str(cohort.datalists[target])}


def numbers(run_dir: Path, split: str, name: str) -> list[float]:
    table = pd.read_csv(run_dir / "metrics.csv")
    return list(table[(table["split"] == split) & (table["name"] == name)]["value"])


@pytest.fixture(scope="module")
def paper_run(cohort: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All phases for the binary target; without the perceptual loss, whose weights would be downloaded."""
    folder = tmp_path_factory.mktemp("paper")
    values = {
        "": overrides(cohort, "sex"),
        "autoencoder": {"use_perceptual": False, "windows_per_scan": 2, "lr_step": 3},
        "transformer": {"use_perceptual": False, "window_length": 5},
        "finetune": {"window_length": 5},
    }
    experiment = read_experiment("monai_tff:configs/experiments/paper_hcp_sex.yaml")
    run_experiment(experiment, folder, values)
    return folder


def test_the_second_phase_inherits_the_learning_rate(paper_run: Path) -> None:
    best = torch.load(paper_run / "autoencoder" / "models" / "model.pt", weights_only=True)
    assert 0 < best["learning_rate"] < 1e-3  # 24 windows in batches of 4 and steps of 3: it has fallen
    rates = numbers(paper_run / "transformer", "training", "learning_rate")
    assert rates == pytest.approx([best["learning_rate"]] * 2)


def test_the_best_weights_are_of_the_published_choice(paper_run: Path) -> None:
    metrics = {
        name: torch.load(paper_run / name / "models" / "model.pt", weights_only=True)["metric"]
        for name in ("autoencoder", "transformer", "finetune")
    }
    assert [metric["mode"] for metric in metrics.values()] == ["min", "min", "max"]
    for name, split_name, best in (("autoencoder", "val_total", min), ("finetune", "auroc", max)):
        assert metrics[name]["value"] == pytest.approx(best(numbers(paper_run / name, "validation", split_name)))


def test_validation_in_the_middle_of_an_epoch(paper_run: Path) -> None:
    """24 windows in batches of 3, validated after every step and at both ends of an epoch."""
    table = pd.read_csv(paper_run / "finetune" / "metrics.csv")
    validated = table[(table["split"] == "validation") & (table["name"] == "auroc")]
    assert set(validated["iteration"]) == set(range(1, 17))


def test_tensorboard_has_training_and_validation(paper_run: Path) -> None:
    assert len(list((paper_run / "finetune" / "tensorboard").glob("events.out.tfevents.*"))) == 2


def test_scores_are_flat_means_of_probabilities(paper_run: Path) -> None:
    folder = paper_run / "finetune" / "evaluation"
    assert json.loads((folder / "metrics.json").read_text())["flat"] is True
    windows = pd.read_csv(folder / "windows.csv", dtype={"subject": str})
    assert windows["score"].between(0, 1, inclusive="neither").all()
    units = pd.read_csv(folder / "predictions.csv", dtype={"subject": str}).set_index("subject")["score"]
    pd.testing.assert_series_equal(windows.groupby("subject")["score"].mean(), units.sort_index())


def test_regression_in_original_units(cohort: Any, tmp_path: Path) -> None:
    """The published LeakyReLU output is the age itself: nothing is standardised."""
    (_, _, phase) = read_experiment("monai_tff:configs/experiments/paper_hcp_age.yaml").phases
    values = {**phase.overrides, **overrides(cohort, "age"), "window_length": 5, "run_dir": str(tmp_path / "run")}
    run_workflow(list(phase.config_files), "train", values)
    checkpoint = torch.load(tmp_path / "run" / "models" / "model.pt", weights_only=True)
    assert checkpoint["metric"]["mode"] == "min"
    assert checkpoint["metric"]["value"] == pytest.approx(min(numbers(tmp_path / "run", "validation", "mae")))
    assert (checkpoint["contract"]["target_mean"], checkpoint["contract"]["target_std"]) == (None, None)
    run_workflow([str(tmp_path / "run" / "configs" / "evaluate.yaml")], "eval", {"bootstrap_samples": 20})
    found = json.loads((tmp_path / "run" / "evaluation" / "metrics.json").read_text())
    assert found["values"]["mae"] > 1  # years; an untrained output near 0 is far from every age
