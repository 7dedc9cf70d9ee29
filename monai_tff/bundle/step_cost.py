"""What a training step costs on this machine: measured for a few frames and extrapolated."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

REPEATS = 8
"""Attempts of which the fastest counts: others may use the machine too."""

ENOUGH_SECONDS = 1.0
"""A measurement that took so long is not repeated."""

MEASURED_VOXELS = 200_000
"""Voxels that are measured together: frames of a small grid cost far more on their own than in a batch."""

MOST_FRAMES = 8

BYTES_PER_PARAMETER = 16
"""float32: the parameter, its gradient and Adam's two moments."""


@dataclasses.dataclass(frozen=True)
class StepCost:
    """Cost of a training step: a part for the step itself and one for each frame in it.

    Attributes:
        seconds_per_step: of the optimiser.
        seconds_per_frame: forward and backward.
        bytes_fixed: parameters, gradients and the optimiser's moments.
        bytes_per_frame: what the forward pass keeps for the backward pass.
    """

    seconds_per_step: float
    seconds_per_frame: float
    bytes_fixed: int
    bytes_per_frame: int

    def seconds(self, frames: int, steps: int) -> float:
        """Seconds for so many frames in so many steps."""
        return steps * self.seconds_per_step + frames * self.seconds_per_frame

    def __add__(self, other: StepCost) -> StepCost:
        """Cost of one network on top of another: whatever the second costs per frame is in the first."""
        return StepCost(
            self.seconds_per_step + other.seconds_per_step,
            self.seconds_per_frame,
            self.bytes_fixed + other.bytes_fixed,
            self.bytes_per_frame,
        )

    def bytes(self, frames: int) -> int:
        """Memory of a step with so many frames; what libraries add is not in it."""
        return self.bytes_fixed + frames * self.bytes_per_frame


def measure_step(network: nn.Module, device: torch.device) -> StepCost:
    """Measures forward pass, backward pass and optimiser of a network.

    The window measured has two frames, or up to eight where they are small.

    Args:
        network: one of the TFF networks; it is moved to the device.
        device: where to measure.

    Returns:
        The cost; float32, without the loss.
    """
    network = network.to(device).train()
    grid: Any = network.spatial_size
    # torch's convolutions of a single frame do not use the fast kernels
    frames = max(2, min(MOST_FRAMES, MEASURED_VOXELS // math.prod(grid)))
    images = [torch.randn(1, 2, *grid, count, device=device) for count in (frames, frames + 1)]
    fewer, more = (_kept_bytes(network, image) for image in images)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad])
    passes = _fastest(lambda: network(images[0]).square().mean().backward(), device, small=frames > 2)
    step = _fastest(optimizer.step, device, small=frames > 2)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return StepCost(
        seconds_per_step=step,
        seconds_per_frame=passes / frames,
        bytes_fixed=BYTES_PER_PARAMETER * parameters,
        bytes_per_frame=more - fewer,
    )


def _fastest(work: Callable[[], object], device: torch.device, *, small: bool) -> float:
    """Seconds of the fastest of a few attempts."""
    found = _attempts(work, device)
    threads = torch.get_num_threads()
    if small and device.type == "cpu" and threads > 1:
        # on a busy machine the threads of a small network wait for each other, and one alone is faster
        torch.set_num_threads(1)
        try:
            found += _attempts(work, device)
        finally:
            torch.set_num_threads(threads)
    return min(found)


def _attempts(work: Callable[[], object], device: torch.device) -> list[float]:
    found: list[float] = []
    # the first attempt also imports and compiles what the libraries put off
    while len(found) < 2 or (len(found) < REPEATS and sum(found) < ENOUGH_SECONDS):
        _wait(device)
        began = time.perf_counter()
        work()
        _wait(device)
        found.append(time.perf_counter() - began)
    return found


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _kept_bytes(network: nn.Module, image: torch.Tensor) -> int:
    """Bytes that a forward pass keeps for the backward pass, besides the parameters; each memory once."""
    parameters = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network(image)
    del output
    return sum(kept.values())
