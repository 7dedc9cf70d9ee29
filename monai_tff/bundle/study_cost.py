"""What a study will cost: batch sizes that fit the memory, and estimates of memory, disk and time."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from monai_tff import resources
from monai_tff.bundle.experiment import shipped_path
from monai_tff.bundle.step_cost import StepCost, measure_step
from monai_tff.networks import TFFAutoEncoder, TFFPredictor
from monai_tff.transforms.temporal import published_window_count

RECIPE = "experiments/recommended.yaml"
"""The shipped experiment whose phases a study has."""

MEMORY_SHARE = 0.6
"""Share of the memory that a training step may take; the rest is for the loss, the libraries and others."""

FORWARD_SHARE = 1 / 3
"""Share of the forward pass in a training step: the backward pass costs about twice as much."""

PACKED_BYTES = 2
"""Of a packed voxel and frame, int16."""

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclasses.dataclass(frozen=True)
class PhaseCost:
    """What one phase will cost.

    Attributes:
        batch_size: windows of a step.
        window_length: frames of a window.
        max_epochs: of the recipe.
        seconds: of the phase, training and validation.
        memory: bytes of a training step.
    """

    batch_size: int
    window_length: int
    max_epochs: int
    seconds: float
    memory: int


@dataclasses.dataclass(frozen=True)
class StudyCost:
    """What a study will cost.

    Attributes:
        phases: by name, in their order.
        packed_bytes: of all scans, packed or in memory; None where no mask was found.
        device: where the steps were measured.
        memory: bytes that a step may take its share of.
    """

    phases: dict[str, PhaseCost]
    packed_bytes: int | None
    device: torch.device
    memory: int


def phase_files() -> dict[str, list[str]]:
    """The config files of the recommended recipe's phases, as an experiment names them."""
    recipe = yaml.safe_load((resources.configs_folder() / RECIPE).read_text(encoding="utf-8"))
    return {name: list(phase["config_file"]) for name, phase in recipe["phases"].items()}


def study_cost(
    spatial_size: Sequence[int],
    frames: Sequence[int],
    *,
    hidden_size: int,
    window_length: int,
    mask_voxels: int | None,
    ratios: Sequence[float],
    memory: int | None = None,
) -> StudyCost:
    """Measures the networks on this machine and works out what a study takes.

    Args:
        spatial_size: H, W, D of the network input.
        frames: of each scan.
        hidden_size: of the networks.
        window_length: frames of a window in phases 2 and 3.
        mask_voxels: voxels of a mask, None where it is not known.
        ratios: shares of the scans for training and validation.
        memory: bytes of the device that will train; None for this machine's.

    Returns:
        The cost. Batch sizes are those of the recipe, halved until a step fits the memory.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    memory = memory or device_memory(device)
    options: Any = {"hidden_size": hidden_size, "dropout": 0.0, "code_normalisation": True}
    coder = measure_step(TFFAutoEncoder(spatial_size, **options), device)
    predictor = measure_step(TFFPredictor(spatial_size, **options), device)
    costs = {"autoencoder": coder, "transformer": coder + predictor, "finetune": predictor}
    phases = {
        name: _phase(costs[name], _settings(files), frames, window_length, ratios, memory)
        for name, files in phase_files().items()
    }
    packed = None if mask_voxels is None else PACKED_BYTES * mask_voxels * sum(frames)
    return StudyCost(phases, packed, device, memory)


def device_memory(device: torch.device) -> int:
    """Bytes of a GPU, or of the machine as far as this process may use it."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in map(Path, _CGROUP_LIMITS):
        if path.is_file() and (limit := path.read_text().strip()).isdigit():
            limits.append(int(limit))
    return min(limits)


def _settings(files: Sequence[str]) -> dict[str, Any]:
    """Plain values of the merged config files of a phase."""
    merged: dict[str, Any] = {}
    for file in files:
        merged |= yaml.safe_load(shipped_path(file, Path.cwd()).read_text(encoding="utf-8"))
    return merged


def _phase(
    cost: StepCost,
    settings: Mapping[str, Any],
    frames: Sequence[int],
    window_length: int,
    ratios: Sequence[float],
    memory: int,
) -> PhaseCost:
    length = 1 if settings["window_length"] == 1 else window_length
    batch_size = int(settings["batch_size"])
    while batch_size > 1 and cost.bytes(batch_size * length) > MEMORY_SHARE * memory:
        batch_size //= 2
    windows = ratios[0] * sum(published_window_count(count, length) for count in frames)
    epoch = cost.seconds(round(windows * length), round(windows / batch_size))
    validation = ratios[1] * sum(frames) * cost.seconds_per_frame * FORWARD_SHARE
    seconds = settings["max_epochs"] * (epoch + validation)
    return PhaseCost(batch_size, length, int(settings["max_epochs"]), seconds, cost.bytes(batch_size * length))
