"""Cost of a step: memory that is counted exactly, time that is measured."""

from __future__ import annotations

import pytest
import torch

from monai_tff.bundle.step_cost import BYTES_PER_PARAMETER, StepCost, measure_step
from monai_tff.networks import TFFAutoEncoder


class Counted(torch.nn.Module):
    """Keeps exactly one copy of its input for the backward pass: the square's."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial_size = (7, 8, 9)
        self.factor = torch.nn.Parameter(torch.ones(3))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return (image * self.factor.sum()).square()


def test_memory_is_counted_per_frame() -> None:
    cost = measure_step(Counted(), torch.device("cpu"))
    # the image for the gradient of the factor, the product for that of the square: float32, two channels
    assert cost.bytes_per_frame == 2 * (2 * 7 * 8 * 9 * 4)
    assert cost.bytes_fixed == 3 * BYTES_PER_PARAMETER
    assert cost.bytes(5) == cost.bytes_fixed + 5 * cost.bytes_per_frame


def test_a_network_is_measured() -> None:
    threads = torch.get_num_threads()
    network = TFFAutoEncoder((7, 8, 9), hidden_size=16)
    cost = measure_step(network, torch.device("cpu"))
    assert cost.seconds_per_frame > 0
    assert cost.seconds_per_step > 0
    assert cost.bytes_fixed == BYTES_PER_PARAMETER * sum(parameter.numel() for parameter in network.parameters())
    larger = measure_step(TFFAutoEncoder((14, 16, 18), hidden_size=16), torch.device("cpu"))
    assert 6 < larger.bytes_per_frame / cost.bytes_per_frame < 9
    assert torch.get_num_threads() == threads


def test_costs_are_extrapolated_and_added() -> None:
    first, second = StepCost(2.0, 0.5, 1000, 10), StepCost(3.0, 0.25, 500, 7)
    assert first.seconds(frames=8, steps=3) == pytest.approx(10.0)
    assert first + second == StepCost(5.0, 0.5, 1500, 10)
