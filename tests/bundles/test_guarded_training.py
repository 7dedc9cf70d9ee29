"""With the settings of a GPU the loss is looked at seldom; a training that fails still says where."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.utils import set_determinism

from monai_tff.bundle.experiment import quiet_workflow
from monai_tff.errors import ConfigError
from monai_tff.resources import shipped_path

PHASES = ("autoencoder", "transformer", "finetune")


@pytest.fixture(autouse=True)
def _deterministic() -> Iterator[None]:
    yield
    set_determinism(None)


@pytest.fixture
def started(
    phases: dict[str, Any], small: dict[str, Any], cohort: SimpleNamespace, tmp_path: Path
) -> Callable[..., Any]:
    """A phase with `gpu.yaml` on the CPU, ready to run: started(phase, key=value)."""

    def start(phase: str, **settings: Any) -> Any:
        values = {**phases[phase].overrides, **small, "batch_size": 2, "num_workers": 0, **settings}
        values |= {"dataset_dir": str(cohort.folder), "datalist": str(cohort.datalists["sex"])}
        values |= {"run_dir": str(tmp_path), "device": "$torch.device('cpu')"}
        if phase == "autoencoder":
            values["window_length"] = 1
        hardware = str(shipped_path("monai_tff:configs/hardware/gpu.yaml", Path.cwd()))
        workflow = quiet_workflow([*phases[phase].config_files, hardware], "train", values)
        workflow.initialize()
        return workflow

    return start


def sentence_of(workflow: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        workflow.parser.get_parsed_content("train#trainer").run()
    return str(caught.value)


@pytest.mark.parametrize("phase", PHASES)
def test_scans_and_windows_of_the_first_bad_batch_are_named(
    phase: str, started: Callable[..., Any], tmp_path: Path
) -> None:
    workflow = started(phase, max_epochs=3)
    parser = workflow.parser
    trainer, dataset = parser.get_parsed_content("train#trainer"), parser.get_parsed_content("train#dataset")
    bad = dataset.scan(4)

    @trainer.on(Events.EPOCH_STARTED(once=2))
    def spoil() -> None:
        object.__setattr__(bad["image"], "global_mean", math.nan)

    sentence = sentence_of(workflow)
    assert "the training loss is nan in epoch 2, iteration" in sentence
    assert "found at iteration 10, computed again with the weights of iteration 6" in sentence
    assert f"{bad['scan']} (window from frame" in sentence
    assert sentence.count("(window from frame") == 2
    assert torch.load(tmp_path / "models" / "last.pt", weights_only=True)["epoch"] == 1


@pytest.mark.parametrize("phase", PHASES)
def test_diverged_weights_are_told_from_bad_scans(phase: str, started: Callable[..., Any], tmp_path: Path) -> None:
    workflow = started(phase)
    network = workflow.parser.get_parsed_content("network")

    @workflow.parser.get_parsed_content("train#trainer").on(Events.ITERATION_COMPLETED(once=3))
    def diverge() -> None:
        with torch.no_grad():
            network.encoder.stem.weight.mul_(math.inf)

    sentence = sentence_of(workflow)
    assert "between iterations 1 and 6" in sentence
    assert "no batch alone gives such a loss with the first weights" in sentence
    assert "the weights diverged; lower the learning rate or clip the gradients" in sentence
    assert not list((tmp_path / "models").glob("*.pt"))
