"""MLflow gets the numbers of real trainings; in an environment of its own over the present one, see `with_mlflow`."""

from __future__ import annotations

import configparser
import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from monai_tff.bundle.experiment import run_workflow

pytestmark = [pytest.mark.end_to_end, pytest.mark.fresh]

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CONFIGS = ROOT / "bundles" / "tff_fmri_prediction" / "configs"
STEPS = 3
"""In an epoch: 12 scans of the training, one window of each, in batches of 4."""

STOCK = ("-m", "monai.bundle")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


@pytest.fixture(scope="module")
def with_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new environment: what the extra `mlflow` asks for, in the tested versions, beside what is here."""
    folder = tmp_path_factory.mktemp("mlflow") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    (own,) = folder.glob("lib/python*/site-packages")
    here = sysconfig.get_path("purelib")
    (own / "packages_of_the_tests.pth").write_text(f"import site; site.addsitedir({here!r})\n", encoding="utf-8")
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    wanted = setup["options.extras_require"]["mlflow"].split()
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", *wanted, "-c", ROOT / "constraints.txt"]
    # pip keeps its settings, by which it finds the packages; nothing else of this process reaches the environment
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV"))}
    done = subprocess.run(install, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return python


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Address of a database that is not there yet."""
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def held(stranger: Callable[..., Any], with_mlflow: Path, store: str) -> Callable[[], list[dict[str, Any]]]:
    """What MLflow's own client finds in the database: held()."""
    return lambda: json.loads(stranger(HERE / "mlflow_numbers.py", store, python=with_mlflow).stdout)


@pytest.fixture
def settings(cohort: SimpleNamespace, small: dict[str, Any]) -> dict[str, Any]:
    """Of a training of phase 3 that nothing comes after."""
    return {**small, "dataset_dir": cohort.folder, "datalist": cohort.datalists["sex"], "calibrate": False}


@pytest.fixture
def training(
    settings: dict[str, Any], store: str, stock_arguments: Callable[..., list[str]]
) -> Callable[..., list[str]]:
    """Arguments of such a training with `mlflow_uri`: training(run_dir, *layers, key=value, ...)."""

    def arguments(run_dir: Path, *layers: str, **changes: Any) -> list[str]:
        files = [CONFIGS / name for name in ("train.yaml", *layers)]
        _, _, *words = stock_arguments(
            "training", files, {**settings, "mlflow_uri": store, "run_dir": run_dir, **changes}
        )
        return words

    return arguments


def table(run_dir: Path, split: str) -> dict[str, list[float]]:
    """The numbers of metrics.csv by name, an epoch each."""
    rows = pd.read_csv(run_dir / "metrics.csv")
    rows = rows[rows["split"] == split]
    return {str(name): list(group["value"]) for name, group in rows.groupby("name")}


def assert_holds_the_run(run: dict[str, Any], run_dir: Path, epochs: int) -> None:
    """Training numbers by iteration, whose means are those of metrics.csv, and validation numbers by epoch."""
    training, validation = table(run_dir, "training"), table(run_dir, "validation")
    names = [f"training/{name}" for name in training] + [f"validation/{name}" for name in validation]
    assert sorted(run["numbers"]) == sorted(names)
    for name, values in validation.items():
        points = run["numbers"][f"validation/{name}"]
        assert [step for step, _ in points] == list(range(1, epochs + 1))
        assert [value for _, value in points] == pytest.approx(values, rel=1e-12, nan_ok=True)
    for name, values in training.items():
        points = run["numbers"][f"training/{name}"]
        assert [step for step, _ in points] == list(range(1, STEPS * epochs + 1))
        numbers = [value for _, value in points]
        of_epochs = [numbers[start : start + STEPS] for start in range(0, len(numbers), STEPS)]
        found = [steps[-1] if name == "learning_rate" else sum(steps) / STEPS for steps in of_epochs]
        assert found == pytest.approx(values, rel=1e-6)


def test_mlflow_gets_the_numbers_of_metrics_csv(
    training: Callable[..., list[str]],
    settings: dict[str, Any],
    held: Callable[[], list[dict[str, Any]]],
    stranger: Callable[..., Any],
    with_mlflow: Path,
    tmp_path: Path,
) -> None:
    run_dir = tmp_path / "my_study" / "finetune"
    stranger(*STOCK, *training(run_dir), python=with_mlflow)
    (run,) = held()
    assert (run["experiment"], run["name"], run["status"]) == ("my_study", "finetune", "FINISHED")
    assert {"training/loss", "validation/auroc", "validation/cross_entropy"} <= set(run["numbers"])
    assert_holds_the_run(run, run_dir, epochs=2)

    # a finished run that is started again adds nothing
    stranger(*STOCK, *training(run_dir, resume=True), python=with_mlflow)
    assert held() == [run]

    # who looks on changes nothing
    values = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
    alone = tmp_path / "alone"
    run_workflow([str(CONFIGS / "train.yaml")], "train", {**values, "run_dir": str(alone)})
    assert (alone / "metrics.csv").read_text() == (run_dir / "metrics.csv").read_text()


def test_a_killed_training_continues_its_run(
    training: Callable[..., list[str]],
    held: Callable[[], list[dict[str, Any]]],
    stranger: Callable[..., Any],
    with_mlflow: Path,
    tmp_path: Path,
) -> None:
    epochs, run_dir = 12, tmp_path / "my_folds" / "fold-1" / "seed-0" / "finetune"
    command = [str(with_mlflow), *STOCK, *training(run_dir, max_epochs=epochs)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not (run_dir / "models" / "last.pt").exists() and time.monotonic() < end:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    (killed,) = held()
    assert (killed["experiment"], killed["name"]) == ("my_folds", "fold-1/seed-0/finetune")
    assert killed["status"] == "RUNNING"
    assert len(killed["numbers"]["training/loss"]) < STEPS * epochs

    stranger(*STOCK, *training(run_dir, max_epochs=epochs, resume=True), python=with_mlflow)
    (run,) = held()
    assert run["status"] == "FINISHED"
    for name, points in run["numbers"].items():
        by_step = dict(points)
        assert all(value == pytest.approx(by_step[step], rel=1e-12, nan_ok=True) for step, value in points)
        run["numbers"][name] = sorted([step, value] for step, value in by_step.items())
    assert_holds_the_run(run, run_dir, epochs)


def test_the_first_of_two_processes_writes(
    training: Callable[..., list[str]],
    held: Callable[[], list[dict[str, Any]]],
    stranger: Callable[..., Any],
    with_mlflow: Path,
    tmp_path: Path,
) -> None:
    run_dir = tmp_path / "together" / "finetune"
    stranger(*TORCHRUN, *STOCK, *training(run_dir, "multi_gpu_train.yaml"), python=with_mlflow, cold=True)
    (run,) = held()
    assert_holds_the_run(run, run_dir, epochs=2)


def test_a_server_that_does_not_answer_is_said_before_the_run_begins(
    training: Callable[..., list[str]], with_mlflow: Path, tmp_path: Path
) -> None:
    words = training(tmp_path / "run", mlflow_uri="http://ada:secret@127.0.0.1:9")
    environment = {**os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    command = [str(with_mlflow), *STOCK, *words]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: mlflow_uri: http://127.0.0.1:9 does not answer as MLflow (")
    assert last.endswith("check the address, or set mlflow_uri to null.")
    assert "secret" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_training_goes_on_without_the_database(stranger: Callable[..., Any], with_mlflow: Path, tmp_path: Path) -> None:
    done = stranger(HERE / "mlflow_lost.py", tmp_path / "mlflow.db", tmp_path / "run", python=with_mlflow)
    assert done.stdout.splitlines() == ["6 iterations"]
    (warning,) = [line for line in done.stderr.splitlines() if line.startswith("WARNING MLflow:")]
    assert "does not take the training numbers of " in warning
    assert warning.endswith("from here on they are in metrics.csv alone, and the training goes on.")
