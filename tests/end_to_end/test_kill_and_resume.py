"""A training that is killed after an epoch and started again ends like one that was left alone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_tff.bundle.experiment import run_workflow
from monai_tff.errors import ConfigError, DatalistError

EPOCHS = 4


@pytest.fixture(scope="module")
def settings(cohort: Any, phases: dict[str, Any], small: dict[str, Any]) -> dict[str, Any]:
    places = {"dataset_dir": str(cohort.folder), "datalist": str(cohort.datalists["sex"])}
    return {**phases["autoencoder"].overrides, **small, **places, "window_length": 1, "max_epochs": EPOCHS}


@pytest.fixture(scope="module")
def train(phases: dict[str, Any], settings: dict[str, Any]) -> Callable[..., None]:
    """Trains phase 1 in this process: train(run_dir, key=value, ...)."""
    files = list(phases["autoencoder"].config_files)
    return lambda run_dir, **changes: run_workflow(files, "train", {**settings, "run_dir": str(run_dir), **changes})


@pytest.fixture(scope="module")
def uninterrupted(train: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    train(folder)
    return folder


def checkpoint(run_dir: Path, name: str) -> dict[str, Any]:
    return torch.load(run_dir / "models" / name, weights_only=True)


def assert_same_run(first: Path, second: Path) -> None:
    for name in ("model.pt", "last.pt"):
        one, other = checkpoint(first, name), checkpoint(second, name)
        assert [key for key in one["model"] if not torch.equal(one["model"][key], other["model"][key])] == []
        assert (one["epoch"], one["iteration"], one["learning_rate"]) == (
            other["epoch"],
            other["iteration"],
            other["learning_rate"],
        )
    assert (first / "metrics.csv").read_text() == (second / "metrics.csv").read_text()


@pytest.mark.end_to_end
def test_killed_and_continued_by_the_stock_command(
    uninterrupted: Path, phases: dict[str, Any], settings: dict[str, Any], stock_arguments: Any, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    arguments = stock_arguments("training", phases["autoencoder"].config_files, {**settings, "run_dir": run_dir})
    log = (tmp_path / "log").open("w")
    process = subprocess.Popen([sys.executable, *arguments], cwd=tmp_path, stdout=log, stderr=log)
    end = time.monotonic() + 120
    while not (run_dir / "models" / "last.pt").exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert checkpoint(run_dir, "last.pt")["epoch"] < EPOCHS

    again = subprocess.run(
        [sys.executable, *arguments, "--resume", "true"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert_same_run(run_dir, uninterrupted)


def test_a_folder_with_a_run_is_refused(uninterrupted: Path, train: Callable[..., None]) -> None:
    before = {path: path.stat().st_mtime_ns for path in uninterrupted.rglob("*")}
    with pytest.raises(RuntimeError) as caught:
        train(uninterrupted)
    assert isinstance(caught.value.__cause__, ConfigError)
    assert "the run folder is not empty, expected a new or empty one; continue that run with --resume true" in str(
        caught.value.__cause__
    )
    assert {path: path.stat().st_mtime_ns for path in uninterrupted.rglob("*")} == before


def test_a_finished_run_is_left_as_it_is(uninterrupted: Path, train: Callable[..., None]) -> None:
    before = {path: path.read_bytes() for path in uninterrupted.rglob("*") if path.is_file()}
    train(uninterrupted, resume=True)
    assert {path: path.read_bytes() for path in uninterrupted.rglob("*") if path.is_file()} == before


def test_resume_from_the_saved_configuration(uninterrupted: Path) -> None:
    before = (uninterrupted / "models" / "last.pt").read_bytes()
    run_workflow([str(uninterrupted / "configs" / "train.yaml")], "train", {"resume": True})
    assert (uninterrupted / "models" / "last.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.5}, r"train.yaml: learning_rate was 0.001 when the run began, but is 0.5 now"),
        ({"optimizer#lr": 0.5}, r"train.yaml: optimizer#lr was @learning_rate when the run began, but is 0.5 now"),
    ],
)
def test_other_settings_are_not_mixed_into_a_run(
    changes: dict[str, Any], message: str, uninterrupted: Path, train: Callable[..., None]
) -> None:
    with pytest.raises(RuntimeError) as caught:
        train(uninterrupted, resume=True, **changes)
    assert message in str(caught.value.__cause__)


def test_another_split_is_not_mixed_into_a_run(uninterrupted: Path, train: Callable[..., None], cohort: Any) -> None:
    with pytest.raises(RuntimeError) as caught:
        train(uninterrupted, resume=True, datalist=str(cohort.datalists["age"]))
    assert isinstance(caught.value.__cause__, DatalistError)
    assert "the split has the hash" in str(caught.value.__cause__)
