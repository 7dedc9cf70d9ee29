"""An address of MLflow that cannot be used is refused in time, and none leaves with a check; exports: test_private."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from monai_tff.bundle.experiment import run_workflow
from monai_tff.bundle.finished_run import read_finished_run
from monai_tff.bundle.mlflow_store import check_mlflow
from monai_tff.errors import ConfigError, user_error_in
from monai_tff.explain.label_randomised import label_randomised_weights

ADDRESS = "https://ada:planted-secret@planted-host.org/mlflow"
without_mlflow = pytest.mark.skipif(importlib.util.find_spec("mlflow") is not None, reason="mlflow is installed here")


def test_nothing_is_asked_of_a_run_without_mlflow() -> None:
    check_mlflow(None)


@pytest.mark.parametrize("uri", ["mlruns", "/data/mlruns", "file:///data/mlruns"])
def test_a_folder_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match=rf"^mlflow_uri: is {uri}, expected the address of a server or a database; "):
        check_mlflow(uri)


def test_a_database_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^mlflow_uri: the folder {tmp_path / 'away'} of the database is not there"):
        check_mlflow(f"sqlite:///{tmp_path / 'away' / 'mlflow.db'}")


@without_mlflow
@pytest.mark.parametrize(
    ("phase", "settings"),
    [("autoencoder", {"window_length": 1}), ("finetune", {})],
)
def test_a_missing_package_is_said_before_the_run_folder_is_made(
    phase: str, settings: dict[str, Any], phases: dict[str, Any], small: dict[str, Any], cohort: Any, tmp_path: Path
) -> None:
    values = {**phases[phase].overrides, **small, **settings, "mlflow_uri": ADDRESS, "run_dir": str(tmp_path / "run")}
    values |= {"dataset_dir": str(cohort.folder), "datalist": str(cohort.datalists["sex"])}
    with pytest.raises(RuntimeError) as raised:
        run_workflow(list(phases[phase].config_files), "train", values)
    assert str(user_error_in(raised.value)) == (
        "mlflow_uri: is set, but the module mlflow is not installed here, expected it; install it with "
        "pip install 'monai_tff[mlflow]', or set mlflow_uri to null."
    )
    assert not (tmp_path / "run").exists()


@pytest.fixture
def tracked(runs: Any, tmp_path: Path) -> Path:
    """A finished run folder as if MLflow had got its numbers."""
    folder = tmp_path / "finetune"
    shutil.copytree(runs.finetune, folder)
    for name in ("train", "evaluate"):
        path = folder / "configs" / f"{name}.yaml"
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert config["mlflow_uri"] is None
        path.write_text(yaml.safe_dump({**config, "mlflow_uri": ADDRESS}, sort_keys=False), encoding="utf-8")
    return folder


@without_mlflow
def test_the_training_of_the_label_check_is_not_tracked(tracked: Path, tmp_path: Path) -> None:
    """It would end with the sentence about the missing package."""
    run = read_finished_run(tracked)
    weights = label_randomised_weights(run, tmp_path / "check", epochs=1, seed=1, say=lambda line: None)
    assert weights.is_file()
