"""The perceptual loss of phases 1 and 2: planes of the volume compared by the first layers of VGG-16."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from monai_tff.errors import ConfigError, ContractError, WeightsError
from monai_tff.losses.process_mean import process_mean
from monai_tff.losses.reconstruction import check_shapes

VGG16_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
"""ImageNet weights of VGG-16; the letters in the name begin the SHA-256 of the file."""

LAYERS = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128)}
"""Output and input channels of the four 3 x 3 convolutions, by their number in VGG-16."""

PASS_BYTES = 2**24
"""Bytes of the widest activations of a pass: they fit a large cache of a processor."""


class PerceptualLoss(nn.Module):
    """Difference of planes of the volume as the first four convolutions of VGG-16 see them.

    Planes have a fixed depth index: H x W, B * T * D of them. A fraction is drawn, the same planes of prediction and
    target (channel 0); a plane's grey values go into all three colour channels, without ImageNet's scaling. The loss
    is the mean squared difference after the second rectifier plus that after the fourth.

    Args:
        fraction: share of the planes that is used, rounded down but at least one plane; above 0 and at most 1.
            Published: 0.25 in phase 1, 0.10 in phase 2.
        fixed_planes: take the same evenly spaced planes of every window instead of random ones, for validation: the
            loss of a window then depends neither on chance nor on its batch. Random planes come from torch's global
            generator of the CPU.
        weights: `imagenet` (the official file, through torch.hub's cache, hash checked), the path of a VGG-16 state
            dict (.pth or .safetensors), or a state dict. Its keys are `features.0.weight` and so on, with any prefix.
        planes_at_once: planes per pass through VGG-16; None for as many as `PASS_BYTES` allow. The gradient of a pass
            is computed at once, so that the memory is that of one pass.

    Raises:
        ConfigError: for a fraction or planes_at_once out of range.
        WeightsError: where there are no weights, or they are not those of VGG-16.

    Reference:
        Johnson et al. 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution"; as used in
        Malkiel et al. 2021, arXiv 2112.05761.
    """

    def __init__(
        self,
        *,
        fraction: float = 0.25,
        fixed_planes: bool = False,
        weights: str | Path | Mapping[str, torch.Tensor] = "imagenet",
        planes_at_once: int | None = None,
    ) -> None:
        super().__init__()
        if not 0 < fraction <= 1:
            raise ConfigError(
                f"perceptual loss: fraction is {fraction}, expected a number above 0 and at most 1, for example 0.25."
            )
        if planes_at_once is not None and planes_at_once < 1:
            raise ConfigError(
                f"perceptual loss: planes_at_once is {planes_at_once}, expected a whole number of at least 1, or null "
                "for all planes at once."
            )
        self.fraction = fraction
        self.fixed_planes = fixed_planes
        self.planes_at_once = planes_at_once
        # Buffers outside the state dict: they follow the device, but no optimiser and no checkpoint takes them.
        for name, tensor in load_vgg16_layers(weights).items():
            # Channels last: the convolutions are a quarter faster on a CPU, the pooling twelve times.
            ordered = tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
            self.register_buffer(name, ordered, persistent=False)

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Computes the loss; only the prediction gets a gradient.

        Args:
            prediction: reconstruction [B, 1, H, W, D, T].
            target: network input [B, 2, H, W, D, T].

        Returns:
            Scalar.

        Raises:
            ContractError: where the shapes do not fit each other, or a plane is smaller than 2 x 2 voxels.
        """
        check_shapes(prediction, target)
        batch, _, height, width, depth, frames = target.shape
        if min(height, width) < 2:
            raise ContractError(
                f"perceptual loss: a plane has {height} x {width} voxels, expected at least 2 x 2; leave the term out "
                "(use_perceptual: false) or use a larger crop."
            )
        if self.get_buffer("weight_0").device != target.device:
            self.to(target.device)  # a config builds the loss without a device
        chosen = self.choose_planes(batch, frames * depth)
        if target.device.type == "cuda":
            chosen = chosen.pin_memory().to(target.device, non_blocking=True)  # else the host would wait for the GPU
        predicted, wanted = _planes(prediction[:, 0])[chosen], _planes(target[:, 0].detach())[chosen]
        # of no planes, the share of a process without a window, the sum is 0 and its gradient empty
        total = _SumOverPlanes.apply(predicted, wanted, self) if len(chosen) else predicted.sum()
        return process_mean(total, len(chosen))

    def choose_planes(self, num_windows: int, planes_per_window: int) -> torch.Tensor:
        """Chooses the planes of a batch.

        Args:
            num_windows: windows in the batch.
            planes_per_window: frames times depth.

        Returns:
            Indices into the planes in the order window, frame, depth; int64, on the CPU.
        """
        if self.fixed_planes:
            count = max(1, math.floor(self.fraction * planes_per_window))
            centres = (2 * torch.arange(count) + 1) * planes_per_window // (2 * count)
            return (torch.arange(num_windows)[:, None] * planes_per_window + centres).flatten()
        total = num_windows * planes_per_window
        return torch.randperm(total)[: max(1, math.floor(self.fraction * total))]

    def features(self, planes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Computes what VGG-16 makes of grey planes.

        Args:
            planes: [N, 1, H, W].

        Returns:
            Activations after the second rectifier [N, 64, H, W] and after the fourth [N, 128, H // 2, W // 2].
        """
        # Three equal colour channels through one kernel are one channel through the sum of its colours.
        grey = self.get_buffer("weight_0").sum(dim=1, keepdim=True)
        planes = planes[:, 0, :, :, None].permute(0, 3, 1, 2)  # says channels last, which a single channel leaves open
        hidden = functional.conv2d(planes.to(grey.dtype), grey, self.get_buffer("bias_0"), padding=1).relu_()
        first = self._convolve(hidden, 2)
        second = self._convolve(self._convolve(functional.max_pool2d(first, 2), 5), 7)
        return first, second

    def _convolve(self, hidden: torch.Tensor, layer: int) -> torch.Tensor:
        weight, bias = self.get_buffer(f"weight_{layer}"), self.get_buffer(f"bias_{layer}")
        return functional.conv2d(hidden, weight, bias, padding=1).relu_()

    def sum_over_planes(self, predicted: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Mean squared differences of planes [N, H, W] at both depths, summed over the planes."""
        with torch.no_grad():
            references = self.features(wanted[:, None])
        terms = []
        for found, reference in zip(self.features(predicted[:, None]), references, strict=True):
            # Not mse_loss, whose gradient has the channels first and slows what follows; float32 also under autocast.
            difference = found - reference
            difference = difference.float() if difference.dtype == torch.bfloat16 else difference
            terms.append(difference.square().sum() / difference[0].numel())
        return terms[0] + terms[1]

    def passes(self, planes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Planes [N, H, W], a few at a time."""
        _, height, width = planes.shape
        widest = LAYERS[0][0] * height * width * planes.element_size()
        return planes.split(self.planes_at_once or max(1, PASS_BYTES // widest))


class _SumOverPlanes(torch.autograd.Function):
    """`sum_over_planes`, with its gradient computed in the forward pass.

    What follows only scales the sum, so the gradient is known up to that factor as soon as the sum is: what VGG-16
    keeps for a pass is gone before the next one.
    """

    @staticmethod
    def forward(ctx: Any, predicted: torch.Tensor, wanted: torch.Tensor, loss: PerceptualLoss) -> torch.Tensor:
        sums: list[torch.Tensor] = []
        gradients: list[torch.Tensor] = []
        for part, reference in zip(loss.passes(predicted), loss.passes(wanted), strict=True):
            with torch.set_grad_enabled(ctx.needs_input_grad[0]):
                part = part.detach().requires_grad_(ctx.needs_input_grad[0])
                found = loss.sum_over_planes(part, reference)
                if ctx.needs_input_grad[0]:
                    gradients += torch.autograd.grad(found, part)
            sums.append(found.detach())
        if gradients:
            ctx.save_for_backward(torch.cat(gradients))
        return torch.stack(sums).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factor: Any) -> tuple[Any, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * factor, None, None


def _planes(volumes: torch.Tensor) -> torch.Tensor:
    """[B, H, W, D, T] -> [B * T * D, H, W]."""
    return volumes.permute(0, 4, 3, 1, 2).flatten(0, 2)


def load_vgg16_layers(weights: str | Path | Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Reads the four convolutions that the loss uses.

    Args:
        weights: `imagenet`, a path or a state dict, as in `PerceptualLoss`.

    Returns:
        `weight_0`, `bias_0`, `weight_2` and so on, float32 copies.

    Raises:
        WeightsError: where there are no weights, or they are not those of VGG-16.
    """
    source = "the given state dict" if isinstance(weights, Mapping) else str(weights)
    state = weights if isinstance(weights, Mapping) else _read(weights)
    layers = {}
    for number, (outputs, inputs) in LAYERS.items():
        for kind, shape in (("weight", (outputs, inputs, 3, 3)), ("bias", (outputs,))):
            key = f"features.{number}.{kind}"
            matches = [state[name] for name in state if name == key or name.endswith("." + key)]
            found = [list(tensor.shape) for tensor in matches]
            if found != [list(shape)]:
                raise WeightsError(
                    f"perceptual loss: {source} has {found or 'nothing'} under '{key}', expected one tensor of shape "
                    f"{list(shape)}; give it the state dict of torchvision's VGG-16."
                )
            layers[f"{kind}_{number}"] = matches[0].detach().float().clone()
    return layers


def _read(weights: str | Path) -> Mapping[str, Any]:
    if str(weights) == "imagenet":
        return _download()
    path = Path(weights).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"perceptual loss: there is no file {path}, expected the weights of VGG-16; download {VGG16_URL} and give "
            "its path as perceptual_weights, or leave the term out (use_perceptual: false)."
        )
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        raise _unreadable(path, type(error).__name__) from error
    if not isinstance(state, Mapping):
        raise _unreadable(path, f"it holds a {type(state).__name__}")
    return state


def _unreadable(path: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"perceptual loss: {path} cannot be read as a state dict ({reason}), expected the weights of VGG-16; download "
        f"{VGG16_URL} again."
    )


def _download() -> Mapping[str, Any]:
    cache = Path(torch.hub.get_dir()) / "checkpoints" / Path(VGG16_URL).name
    try:
        return torch.hub.load_state_dict_from_url(
            VGG16_URL, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"perceptual loss: {VGG16_URL} could neither be downloaded nor read from {cache} ({error}); put the file "
            "there from a machine with a network, give its path as perceptual_weights, or leave the term out "
            "(use_perceptual: false)."
        ) from error
