"""Cost of a study: batch sizes of the recipe, halved to fit, and numbers that follow from the measured step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from monai_tff.bundle import study_cost as module
from monai_tff.bundle.experiment import read_experiment
from monai_tff.bundle.step_cost import StepCost
from monai_tff.bundle.study_cost import MEMORY_SHARE, device_memory, phase_files, study_cost

FRAMES = [41, 81]
RATIOS = (0.5, 0.25, 0.25)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> StepCost:
    """A second for each step, a tenth for each frame: what a machine measures is not the same twice."""
    cost = StepCost(seconds_per_step=1.0, seconds_per_frame=0.1, bytes_fixed=1000, bytes_per_frame=10)
    monkeypatch.setattr(module, "measure_step", lambda network, device: cost)
    return cost


def cost_of(memory: int | None = None) -> module.StudyCost:
    return study_cost(
        (7, 8, 9), FRAMES, hidden_size=16, window_length=10, mask_voxels=100, ratios=RATIOS, memory=memory
    )


def test_the_phases_are_those_of_the_recommended_recipe() -> None:
    experiment = read_experiment("monai_tff:configs/experiments/recommended.yaml")
    assert list(phase_files()) == [phase.name for phase in experiment.phases]
    assert all(file.startswith("monai_tff:") for files in phase_files().values() for file in files)


def test_time_and_disk_follow_from_the_step(measured: StepCost) -> None:
    cost = cost_of(memory=10**9)
    phase = cost.phases["autoencoder"]
    settings: dict = {}
    for file in read_experiment("monai_tff:configs/experiments/recommended.yaml").phases[0].config_files:
        settings |= yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    assert (phase.batch_size, phase.window_length) == (settings["batch_size"], 1)
    # half of 40 + 80 frames are trained on, a quarter of 41 + 81 is run forward
    steps, trained, validated = round(60 / settings["batch_size"]), 60, 0.25 * 122
    epoch = steps * 1.0 + trained * 0.1 + validated * 0.1 / 3
    assert phase.seconds == pytest.approx(settings["max_epochs"] * epoch)
    assert cost.phases["finetune"].window_length == 10
    assert cost.packed_bytes == 2 * 100 * 122


@pytest.mark.parametrize("memory", [10**9, 3400, 2000, 100])
def test_batch_sizes_are_halved_until_a_step_fits(measured: StepCost, memory: int) -> None:
    usual = cost_of(10**12).phases
    for name, phase in cost_of(memory).phases.items():
        fixed = 2000 if name == "transformer" else 1000
        assert phase.memory == fixed + 10 * phase.batch_size * phase.window_length
        assert phase.batch_size == 1 or phase.memory <= MEMORY_SHARE * memory
        twice = phase.memory + 10 * phase.batch_size * phase.window_length
        assert phase.batch_size == usual[name].batch_size or twice > MEMORY_SHARE * memory


def test_memory_is_that_of_the_machine() -> None:
    assert 10**8 < device_memory(torch.device("cpu")) < 10**14
