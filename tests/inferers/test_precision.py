"""bfloat16 where it is safe: how far results may lie from float32, and what stays in float32."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call

from monai_tff.bundle.experiment import run_workflow
from monai_tff.bundle.predictor import Predictor
from monai_tff.data.find_scans import find_scans
from monai_tff.data.scan import CompactScan
from monai_tff.inferers import TemporalInferer, WindowInferer
from monai_tff.losses import ReconstructionLoss
from monai_tff.networks import TFFAutoEncoder, TFFPredictor, TFFReconstructor
from monai_tff.networks.base import FrameCoder
from monai_tff.networks.blocks import FrameConv3d

OUTPUT_TOLERANCE = 0.02
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


def test_network_of_a_gpu_normalises_in_float32() -> None:
    """Which precision a layer has on a GPU, seen without one: tensors without values pretend to be there."""
    network, precisions = network_of(TFFAutoEncoder, (8, 10, 9)), {}

    def note(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        precisions.setdefault(type(layer), set()).add(output.dtype)

    for layer in network.modules():
        layer.register_forward_hook(note)
    with FakeTensorMode(), torch.no_grad():
        there = {"device": "cuda:0"}
        weights = {name: torch.empty(weight.shape, **there) for name, weight in network.named_parameters()}
        images = torch.empty(3, 5, 2, 8, 10, 9, **there).permute(0, 2, 3, 4, 5, 1)
        # torch.autocast does nothing without a GPU
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        torch.set_autocast_enabled("cuda", True)
        try:
            functional_call(network, weights, (images,))
        finally:
            torch.set_autocast_enabled("cuda", False)
    assert precisions[torch.nn.GroupNorm] == precisions[torch.nn.LayerNorm] == {torch.float32}
    assert precisions[FrameConv3d] == precisions[torch.nn.Linear] == {torch.bfloat16}


@pytest.mark.parametrize(("kind", "frames"), KINDS)
def test_loss_weights_and_optimiser_are_float32(kind: Any, frames: int) -> None:
    network, images = network_of(kind, (8, 10, 9)), windows((8, 10, 9), frames)
    optimiser = torch.optim.Adam(network.parameters(), fused=True)
    output = WindowInferer(amp=True)(images, network)
    loss = output.square().mean() if kind is TFFPredictor else ReconstructionLoss()(output, images)
    loss.backward()
    optimiser.step()
    state = [value for entry in optimiser.state.values() for value in entry.values()]
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    assert len(state) == 3 * len(weights)
    tensors = [output, loss, *weights, *(weight.grad for weight in weights), *state]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}


def test_scans_are_inferred_in_bfloat16_only_where_it_is_asked_for() -> None:
    frames = torch.randn(11, 8, 10, 9, generator=torch.Generator().manual_seed(2)) + 3
    scan = CompactScan.from_frames(frames, torch.ones(8, 10, 9, dtype=torch.bool))
    network = network_of(TFFPredictor, (8, 10, 9)).eval()
    with torch.no_grad():
        exact, again, rounded = (TemporalInferer(4, amp=amp)(scan, network) for amp in (False, False, True))
    assert torch.equal(exact, again)
    assert rounded.dtype == torch.float32
    assert 0 < distance(rounded, exact) < OUTPUT_TOLERANCE


def scores(folder: Path) -> np.ndarray:
    return pd.read_csv(folder / "predictions.csv").sort_values("subject")["score"].to_numpy()


def test_evaluation_and_predictor_honour_the_setting(runs: Any, cohort: Any, tmp_path: Path) -> None:
    run = runs.finetune
    run_workflow([str(run / "configs" / "evaluate.yaml")], "eval", {"amp": True, "output_dir": str(tmp_path / "amp")})
    exact, rounded = scores(run / "evaluation"), scores(tmp_path / "amp")
    assert 0 < np.abs(rounded - exact).max() < OUTPUT_TOLERANCE
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    config = copy / "configs" / "inference.yaml"
    text = config.read_text(encoding="utf-8")
    assert "amp: false" in text
    config.write_text(text.replace("amp: false", "amp: true"), encoding="utf-8")
    scan = find_scans(cohort.folder)[0]["image"]
    exact, rounded = (Predictor(folder, device="cpu").predict(scan).scores["M"] for folder in (run, copy))
    assert 0 < abs(rounded - exact) < OUTPUT_TOLERANCE
