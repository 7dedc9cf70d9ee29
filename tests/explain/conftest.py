"""Networks that are simple enough to know what their maps must be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

SIZE = (7, 8, 9)


class Readout(nn.Module):
    """A weighted sum of all voxels of channel 0, averaged over frames, through a steep sigmoid or none."""

    def __init__(self, weights: torch.Tensor, steepness: float | None = None, offset: float = 0.0) -> None:
        super().__init__()
        self.weights, self.steepness, self.offset = nn.Parameter(weights), steepness, offset

    def encode_frames(self, windows: torch.Tensor) -> torch.Tensor:
        return (windows[:, 0] * self.weights[..., None]).sum(dim=(1, 2, 3))[..., None]

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        codes = windows if windows.ndim == 3 else self.encode_frames(windows)
        value = codes.mean(dim=1) - self.offset
        return value if self.steepness is None else 5 * torch.tanh(self.steepness * value)


@pytest.fixture(scope="session")
def readout() -> type[Readout]:
    """The class `Readout`."""
    return Readout


@pytest.fixture(scope="session")
def random_windows() -> Callable[[int], tuple[torch.Tensor, torch.Tensor]]:
    """A window of 5 frames and a baseline, by a seed."""

    def draw(seed: int, frames: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        window = torch.randn(2, *SIZE, frames, generator=generator)
        return window, torch.randn(2, *SIZE, 1, generator=generator).expand(-1, -1, -1, -1, frames)

    return draw


@pytest.fixture(scope="session")
def random_weights() -> torch.Tensor:
    """Weights of a `Readout`."""
    return torch.randn(*SIZE, generator=torch.Generator().manual_seed(2))
