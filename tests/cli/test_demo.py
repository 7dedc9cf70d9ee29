"""`monai_tff demo`: the command is the demo's experiment; a whole demo is `make demo`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from monai_tff.bundle.experiment import read_experiment
from monai_tff.cli import run as run_module
from monai_tff.cli.demo import EXPERIMENT


def test_the_demo_is_an_experiment_with_its_own_cohort() -> None:
    experiment = read_experiment(EXPERIMENT)
    assert experiment.name == "demo"
    assert set(experiment.cohort) == {"simulate", "datalist"}
    test_share = float(experiment.cohort["datalist"]["ratios"].split(",")[2])
    assert experiment.cohort["simulate"]["subjects"] * test_share >= 20
    assert all(not phase.overrides.get("use_perceptual", False) for phase in experiment.phases)


@pytest.mark.parametrize("resume", [False, True])
def test_options(resume: bool, command: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo calls `run` and nothing else."""
    calls: list[tuple] = []
    monkeypatch.setattr(run_module, "run", lambda *arguments, **options: calls.append((arguments, options)))
    result = command("demo", "--run-dir", tmp_path, *(["--resume"] if resume else []))
    assert result.exit_code == 0, result.output
    assert calls == [((EXPERIMENT,), {"run_dir": tmp_path, "resume": resume})]
