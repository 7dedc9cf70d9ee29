"""`monai_tff demo`: the command is the demo's experiment; a whole demo is `make demo`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from monai_tff.bundle.experiment import read_experiment
from monai_tff.cli import run as run_module
from monai_tff.cli.demo import EXPERIMENT

FOLDS = "monai_tff:configs/experiments/demo_folds.yaml"


def test_the_demo_is_an_experiment_with_its_own_cohort() -> None:
    experiment = read_experiment(EXPERIMENT)
    assert experiment.name == "demo"
    assert set(experiment.cohort) == {"simulate", "datalist"}
    test_share = float(experiment.cohort["datalist"]["ratios"].split(",")[2])
    assert experiment.cohort["simulate"]["subjects"] * test_share >= 20
    assert all(not phase.overrides.get("use_perceptual", False) for phase in experiment.phases)


def test_the_demo_in_folds_is_the_same_job() -> None:
    """The same cohort, networks and phases; only the split and the epochs differ."""
    demo, folds = read_experiment(EXPERIMENT), read_experiment(FOLDS)
    assert folds.cohort["simulate"] == demo.cohort["simulate"]
    assert folds.cohort["datalist"]["folds"] == 3
    for one, other in zip(demo.phases, folds.phases, strict=True):
        assert (one.name, one.config_files) == (other.name, other.config_files)
        assert {**one.overrides, "max_epochs": None} == {**other.overrides, "max_epochs": None}
        assert 0 < other.overrides["max_epochs"] <= one.overrides["max_epochs"]


def test_which_folds_must_be_said(command: Callable[..., Result], tmp_path: Path) -> None:
    result = command("run", FOLDS, "--run-dir", tmp_path / "run")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: experiment 'demo_folds': its cohort is split into folds, expected to hear which; add --folds all, or "
        "--folds 1.\n"
    )
    assert not (tmp_path / "run").exists()
    # one fold is a datalist like any other, as for the process that runs a single member
    missing = tmp_path / "datalist_fold-1.json"
    alone = command("run", FOLDS, "--run-dir", tmp_path / "run", "--dataset-dir", tmp_path, "--datalist", missing)
    assert f"{missing}: cannot be read" in alone.stderr


@pytest.mark.parametrize("resume", [False, True])
def test_options(resume: bool, command: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo calls `run` and nothing else."""
    calls: list[tuple] = []
    monkeypatch.setattr(run_module, "run", lambda *arguments, **options: calls.append((arguments, options)))
    result = command("demo", "--run-dir", tmp_path, *(["--resume"] if resume else []))
    assert result.exit_code == 0, result.output
    assert calls == [((EXPERIMENT,), {"run_dir": tmp_path, "resume": resume})]
