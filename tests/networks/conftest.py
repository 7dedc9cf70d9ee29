from __future__ import annotations

import pytest
import torch

from monai_tff.networks import TFFAutoEncoder, TFFPredictor, TFFReconstructor

SIZE = (7, 8, 9)
SMALL = {"hidden_size": 12, "num_heads": 3, "feedforward_size": 20, "max_frames": 6}
MAKERS = {
    "autoencoder": lambda **options: TFFAutoEncoder(SIZE, hidden_size=12, **options),
    "reconstructor": lambda **options: TFFReconstructor(SIZE, **SMALL, **options),
    "predictor": lambda **options: TFFPredictor(SIZE, **SMALL, **options),
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def make():
    """Makes a small network by its name: autoencoder, reconstructor or predictor."""
    return lambda name, **options: MAKERS[name](**options)


@pytest.fixture(params=list(MAKERS))
def network(request):
    """Each of the three networks in turn, small and in evaluation mode."""
    return MAKERS[request.param]().eval()
