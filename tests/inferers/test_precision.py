"""bfloat16 where it is safe: how far results may lie from float32, and what stays in float32."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from monai_tff.inferers import WindowInferer
from monai_tff.networks import TFFAutoEncoder, TFFPredictor, TFFReconstructor
from monai_tff.networks.base import FrameCoder

OUTPUT_TOLERANCE = 0.05
"""Of the norm of a network's outputs, as docs/how_to/choose_hardware_options.md says."""

GRADIENT_TOLERANCE = 0.1
"""Of the norm of the whole gradient."""

KINDS = [(TFFAutoEncoder, 1), (TFFReconstructor, 4), (TFFPredictor, 4)]


def network_of(kind: Any, size: tuple[int, int, int], **settings: Any) -> FrameCoder:
    torch.manual_seed(0)
    outputs = {"num_outputs": 3} if kind is TFFPredictor else {}
    transformer = {} if kind is TFFAutoEncoder else {"transformer_dropout": 0.0}
    return kind(size, hidden_size=32, dropout=0.0, code_normalisation=True, **outputs, **transformer, **settings)


def windows(size: tuple[int, int, int], frames: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, frames, 2, *size, generator=generator).permute(0, 2, 3, 4, 5, 1)


def step(network: Any, images: torch.Tensor, amp: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Output and gradient of one step."""
    network.zero_grad()
    output = WindowInferer(amp)(images, network)
    (output - 1).square().mean().backward()
    gradients = [weight.grad.flatten() for weight in network.parameters() if weight.grad is not None]
    return output.detach(), torch.cat(gradients)


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


# the encoder's last grids are 2 x 2 x 2, 1 x 2 x 2 and 3 x 2 x 3
@pytest.mark.parametrize("size", [(13, 16, 14), (8, 10, 9), (17, 9, 19)])
@pytest.mark.parametrize(("kind", "frames"), KINDS)
def test_outputs_and_gradients_stay_near_those_of_float32(kind: Any, frames: int, size: tuple[int, int, int]) -> None:
    network, images = network_of(kind, size), windows(size, frames)
    output, gradient = step(network, images, amp=False)
    for _ in range(3):
        # what an operation leaves unwritten shows as a huge number
        spoilt = [torch.full((elements,), 1e35) for elements in (1_000, 27_000, 100_000)]
        del spoilt
        rounded, of_rounded = step(network, images, amp=True)
        assert rounded.dtype == torch.float32
        assert 0 < distance(rounded, output) < OUTPUT_TOLERANCE
        assert 0 < distance(of_rounded, gradient) < GRADIENT_TOLERANCE
