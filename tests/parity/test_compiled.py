"""A compiled network computes what it computes without: `compile: true`, on a CPU. A minute of compiling."""

from __future__ import annotations

import shutil

import pytest
import torch

from monai_tff.engines import training_network
from monai_tff.networks import TFFPredictor


@pytest.mark.heavy
def test_a_compiled_step_has_the_same_loss_and_gradients() -> None:
    if shutil.which("g++") is None:
        pytest.fail("there is no g++ here, which compile: true needs")
    images = torch.randn(2, 4, 2, 8, 10, 9, generator=torch.Generator().manual_seed(2)).permute(0, 2, 3, 4, 5, 1)
    steps = []
    for compile in (False, True):
        torch.manual_seed(0)
        network = TFFPredictor((8, 10, 9), num_outputs=3, hidden_size=32, dropout=0.0, transformer_dropout=0.0)
        names = list(network.state_dict())
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
        trained = training_network(network, compile=compile).train()
        loss = (trained(images) - 1).square().mean()
        loss.backward()
        optimiser.step()
        assert list(network.state_dict()) == names
        steps.append((loss.detach(), network.state_dict()))
    (expected, weights), (found, compiled) = steps
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(compiled, weights, rtol=1e-4, atol=1e-5)
