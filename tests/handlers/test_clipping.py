"""Gradients are clipped between the backward pass and the optimiser's step."""

from __future__ import annotations

import pytest
import torch
from monai.data import DataLoader
from monai.engines import SupervisedTrainer

from monai_tff.handlers import GradientClipping


def step_of(handlers: list[GradientClipping], network: torch.nn.Module) -> torch.Tensor:
    """Change of the weights by one step of plain gradient descent at rate 1: the gradient itself."""
    before = torch.nn.utils.parameters_to_vector(network.parameters()).detach().clone()
    SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=DataLoader([{"image": torch.full((3,), 4.0), "label": torch.tensor([9.0])}]),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=1.0),
        loss_function=torch.nn.MSELoss(),
        train_handlers=handlers,
        decollate=False,
    ).run()
    return before - torch.nn.utils.parameters_to_vector(network.parameters()).detach()


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Linear(3, 1)


@pytest.mark.parametrize("max_norm", [0.5, 2.0])
def test_a_large_gradient_is_scaled_to_the_bound(max_norm: float, network: torch.nn.Module) -> None:
    state = {name: value.clone() for name, value in network.state_dict().items()}
    whole = step_of([], network)
    network.load_state_dict(state)
    clipped = step_of([GradientClipping(network, max_norm)], network)
    assert float(whole.norm()) > 10
    assert float(clipped.norm()) == pytest.approx(max_norm, rel=1e-4)
    torch.testing.assert_close(clipped / clipped.norm(), whole / whole.norm(), rtol=1e-4, atol=1e-5)


def test_a_small_gradient_stays(network: torch.nn.Module) -> None:
    state = {name: value.clone() for name, value in network.state_dict().items()}
    whole = step_of([], network)
    network.load_state_dict(state)
    torch.testing.assert_close(step_of([GradientClipping(network, 1e6)], network), whole, rtol=0, atol=0)
