"""Two processes that torchrun starts: the numbers of one process, and an end for all when one of them ends."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from monai_tff.bundle.experiment import run_workflow
from monai_tff.bundle.weights_contract import calibration_of
from monai_tff.data import SplitPlan, build_datalist, read_bids, write_datalist
from monai_tff.losses.perceptual import LAYERS

pytestmark = pytest.mark.end_to_end

BUNDLES = Path(__file__).parents[2] / "bundles"
PREDICTION, RECONSTRUCTION = (BUNDLES / f"tff_fmri_{name}" / "configs" for name in ("prediction", "reconstruction"))
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
EXACT = {"dropout": 0.0, "transformer_dropout": 0.0, "gradient_clip": 0.5}
SMALL_STEPS = {"learning_rate": 2e-5}
"""Adam's first steps are as long where the gradient is nothing but rounding: on some processors the losses of two runs
drift apart by 4e-4 at the recipe's rate."""

LEFT_OUT = tuple(word for step in ("control", "baselines", "explain", "report") for word in ("--without", step))
"""Steps that the first process does alone."""

WHERE_ONE_FAILED = "look above and below for the one that failed first and why"


@pytest.fixture(scope="module")
def datalist(cohort: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 scans for training, 7 for validation and 5 for the test: two processes cannot share them evenly."""
    plan = SplitPlan(ratios=(0.5, 0.3, 0.2))
    built = build_datalist(read_bids(cohort.folder, "sex"), "sex", dataset_dir=cohort.folder, plan=plan)
    assert [len(built[section]) for section in ("training", "validation", "test")] == [12, 7, 5]
    path = tmp_path_factory.mktemp("uneven") / "datalist.json"
    write_datalist(built, path)
    return path


@pytest.fixture(scope="module")
def settings(cohort: SimpleNamespace, datalist: Path, small: dict[str, Any]) -> dict[str, Any]:
    """Of a training of phase 3 whose last batch of five has two windows."""
    return {**small, **EXACT, "dataset_dir": str(cohort.folder), "datalist": str(datalist), "batch_size": 5}


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of VGG-16."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for number, (outputs, inputs) in LAYERS.items():
        kernel = torch.randn(outputs, inputs, 3, 3, generator=generator)
        state[f"features.{number}.weight"] = kernel / (9 * inputs) ** 0.5
        state[f"features.{number}.bias"] = 0.1 * torch.randn(outputs, generator=generator)
    path = tmp_path_factory.mktemp("vgg16") / "vgg16.pth"
    torch.save(state, path)
    return path


@contextmanager
def torchrun(*arguments: object, folder: Path, file_bytes: int | None = None) -> Any:
    """Two processes in a folder, whose output goes to the file `output` there; none is left after the block."""

    def limit() -> None:
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    command = [sys.executable, *TORCHRUN, *(str(argument) for argument in arguments)]
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=output, start_new_session=True, preexec_fn=limit
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(60)


def run_together(*arguments: object, folder: Path, **limits: Any) -> tuple[int, str]:
    """Exit code and output of a run of two processes."""
    with torchrun(*arguments, folder=folder, **limits) as process:
        code = process.wait(150)
    return code, (folder / "output").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def training(settings: dict[str, Any], stock_arguments: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """Arguments of a training of phase 3 in several processes: training(run_dir, *layers, key=value, ...)."""

    def arguments(run_dir: Path, *layers: Path, **changes: Any) -> list[str]:
        files = [PREDICTION / "train.yaml", PREDICTION / "multi_gpu_train.yaml", *layers]
        return stock_arguments("training", files, {**settings, "run_dir": run_dir, **changes})

    return arguments


def table(run_dir: Path) -> dict[tuple[str, ...], float]:
    """The numbers of a run by epoch, iteration, split and name."""
    with open(run_dir / "metrics.csv", newline="", encoding="utf-8") as file:
        return {tuple(row[:4]): float(row[4]) for row in list(csv.reader(file))[1:]}


def losses(run_dir: Path) -> dict[tuple[str, ...], float]:
    """Without the numbers that count or rank subjects, which a rounding of two almost equal scores can change."""
    counted = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "auroc", "auprc")
    counted += ("calibration_intercept", "calibration_slope")
    return {key: value for key, value in table(run_dir).items() if key[3] not in counted}


def assert_same_evaluation(found: Path, expected: Path) -> None:
    for name in ("predictions.csv", "windows.csv"):
        assert (found / name).read_bytes() == (expected / name).read_bytes()
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (found, expected)]
    uses = [one.pop("ledger") for one in metrics]  # one of them was counted before the other
    assert metrics[0] == metrics[1]
    assert uses[0]["evaluations"] != uses[1]["evaluations"]


def write_experiment(path: Path, settings: dict[str, Any], vgg16: Path, site: Path) -> None:
    """Every loss, batches that two processes share unevenly, and one window or one batch for both of them."""
    reconstruction = {"perceptual_weights": str(vgg16), "perceptual_fraction": 1.0}
    phases = {
        "sites": (PREDICTION, [], {"datalist": str(site), "initial_weights": None}),
        "autoencoder": (
            RECONSTRUCTION,
            ["train_autoencoder.yaml"],
            # 12 windows in batches of 11: the last one has one window; 7 windows of validation are one batch
            {**reconstruction, "window_length": 1, "batch_size": 11, "max_validation_windows": 1},
        ),
        "transformer": (RECONSTRUCTION, [], {**reconstruction, **SMALL_STEPS}),
        "finetune": (PREDICTION, [], SMALL_STEPS),
    }
    entries = {
        name: {"config_file": [str(folder / file) for file in ("train.yaml", *layers)], "overrides": overrides}
        for name, (folder, layers, overrides) in phases.items()
    }
    entries["autoencoder"]["overrides"]["initial_weights"] = None
    path.write_text(yaml.safe_dump({"overrides": settings, "phases": entries}, sort_keys=False), encoding="utf-8")


def test_an_experiment_gives_what_one_process_gives(
    settings: dict[str, Any], vgg16: Path, cohort: SimpleNamespace, command: Callable[..., Any], tmp_path: Path
) -> None:
    experiment = tmp_path / "experiment.yaml"
    write_experiment(experiment, {**settings, "use_tensorboard": True}, vgg16, cohort.datalists["site"])
    one, two = tmp_path / "one", tmp_path / "two"
    result = command("run", experiment, "--run-dir", one, *LEFT_OUT)
    assert result.exit_code == 0, result.output
    code, output = run_together("-m", "monai_tff", "run", experiment, "--run-dir", two, *LEFT_OUT, folder=tmp_path)
    assert code == 0, output

    for phase in ("sites", "autoencoder", "transformer", "finetune"):
        assert table(two / phase).keys() == table(one / phase).keys()
        assert losses(two / phase) == pytest.approx(losses(one / phase), rel=2e-5)
        assert (two / phase / "finished").is_file()
        # of the first process alone: training and validation
        assert len(list((two / phase / "tensorboard").iterdir())) == 2
    run_workflow([str(two / "finetune" / "configs" / "evaluate.yaml")], "eval", {"output_dir": str(tmp_path / "alone")})
    assert_same_evaluation(two / "finetune" / "evaluation", tmp_path / "alone")
    first, second = (json.loads((run / "finetune" / "calibration.json").read_text()) for run in (one, two))
    assert second["cross_entropy"] == pytest.approx(first["cross_entropy"], rel=2e-5)
    weights = two / "finetune" / "models" / "model.pt"
    assert calibration_of(weights) == (second["temperature"], second["threshold"]) != (1.0, 0.5)
    assert output.count("calibration on 7 validation units") == 1
    assert output.count("phase 2 of 4: autoencoder") == 1
    assert output.count("initial weights: random") == 2
    assert output.count("test AUROC") == 2  # by the first process alone: after the evaluation, and as the last line
    assert "Warning" not in output
    assert "error" not in output.lower()


def process_of(torchrun_process: int, rank: int) -> int:
    """The process of a rank that torchrun has started."""
    children = Path(f"/proc/{torchrun_process}/task/{torchrun_process}/children").read_text().split()
    ranks = {child: Path(f"/proc/{child}/environ").read_bytes().split(b"\0") for child in children}
    (found,) = (int(child) for child, variables in ranks.items() if b"RANK=%d" % rank in variables)
    return found


def test_a_killed_process_ends_all_and_one_alone_continues(
    training: Callable[..., list[str]], settings: dict[str, Any], tmp_path: Path
) -> None:
    epochs = 8
    with torchrun(*training(tmp_path / "run", max_epochs=epochs), folder=tmp_path) as process:
        end = time.monotonic() + 120
        while not (tmp_path / "run" / "models" / "last.pt").exists() and time.monotonic() < end:
            assert process.poll() is None, (tmp_path / "output").read_text()
            time.sleep(0.01)
        os.kill(process_of(process.pid, rank=1), signal.SIGKILL)
        assert process.wait(60) != 0
    output = (tmp_path / "output").read_text()
    assert "error: process 0 (of 0 to 1) " in output
    assert WHERE_ONE_FAILED in output
    assert "then start all of them again, a training with --resume true." in output
    checkpoint = torch.load(tmp_path / "run" / "models" / "last.pt", weights_only=True)
    assert checkpoint["epoch"] < epochs

    values = {**settings, "max_epochs": epochs}
    files = [str(PREDICTION / "train.yaml")]
    run_workflow(files, "train", {**values, "run_dir": str(tmp_path / "run"), "resume": True})
    run_workflow(files, "train", {**values, "run_dir": str(tmp_path / "uninterrupted")})
    assert table(tmp_path / "run").keys() == table(tmp_path / "uninterrupted").keys()
    # 24 steps of an adaptive optimiser let roundings grow, to a fiftieth of what an epoch changes
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "uninterrupted"), abs=1e-4)


def test_a_full_disk_ends_all(training: Callable[..., list[str]], tmp_path: Path) -> None:
    """Only the first process writes, and there is no room for its checkpoint."""
    code, output = run_together(*training(tmp_path / "run"), folder=tmp_path, file_bytes=100_000)
    assert code != 0
    assert "error: " in output
    assert "models/model.pt: could not be written (File too large)" in output
    assert not list((tmp_path / "run" / "models").iterdir())


def test_a_loss_that_is_no_number_ends_all(training: Callable[..., list[str]], tmp_path: Path) -> None:
    """In one process; the other one would wait for its gradients."""
    spoilt = (
        "$lambda *a, **k: (lambda x, y: (x * (float('nan') if idist.get_rank() else 1.0), y))(*@train#sound(*a, **k))"
    )
    layer = {
        "+imports": ["$import ignite.distributed as idist"],
        "train#sound": {"_target_": "monai_tff.engines.PreparePrediction", "target": "@target"},
        "train#prepare_batch": spoilt,
    }
    (tmp_path / "spoilt.yaml").write_text(yaml.safe_dump(layer), encoding="utf-8")
    code, output = run_together(*training(tmp_path / "run", tmp_path / "spoilt.yaml"), folder=tmp_path)
    assert code != 0
    assert "error: the training loss is nan in epoch 1, iteration 1" in output


def test_evaluating_what_one_process_trained(
    runs: Any, stock_arguments: Callable[..., list[str]], tmp_path: Path
) -> None:
    files = [runs.finetune / "configs" / "evaluate.yaml", PREDICTION / "multi_gpu_evaluate.yaml"]
    arguments = stock_arguments("evaluating", files, {"output_dir": tmp_path / "evaluation"})
    code, output = run_together(*arguments, folder=tmp_path)
    assert code == 0, output
    assert_same_evaluation(tmp_path / "evaluation", runs.finetune / "evaluation")
    assert output.count("test AUROC") == 1
