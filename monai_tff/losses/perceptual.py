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
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from monai_tff.errors import ConfigError, ContractError, WeightsError
from monai_tff.losses.reconstruction import check_shapes

VGG16_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
"""ImageNet weights of VGG-16; the letters in the name begin the SHA-256 of the file."""

LAYERS = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128)}
"""Output and input channels of the four 3 x 3 convolutions, by their number in VGG-16."""


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
        planes_at_once: planes per pass through VGG-16, None for all. A number bounds the memory and costs one more
            forward pass in training.

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
            self.register_buffer(name, tensor, persistent=False)

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
        chosen = self.choose_planes(batch, frames * depth).to(target.device)
        chunks = chosen.split(self.planes_at_once or len(chosen))
        predicted, wanted = _planes(prediction[:, 0]), _planes(target[:, 0].detach())
        sums = [self._squared_differences(predicted[chunk], wanted[chunk], len(chunks) > 1) for chunk in chunks]
        first, second = torch.stack(sums).sum(dim=0)
        plane, halved = height * width, (height // 2) * (width // 2)
        return (first / (64 * plane) + second / (128 * halved)) / len(chosen)

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
        hidden = functional.conv2d(planes.to(grey.dtype), grey, self.get_buffer("bias_0"), padding=1).relu_()
        first = self._convolve(hidden, 2)
        second = self._convolve(self._convolve(functional.max_pool2d(first, 2), 5), 7)
        return first, second

    def _convolve(self, hidden: torch.Tensor, layer: int) -> torch.Tensor:
        weight, bias = self.get_buffer(f"weight_{layer}"), self.get_buffer(f"bias_{layer}")
        return functional.conv2d(hidden, weight, bias, padding=1).relu_()

    def _squared_differences(self, predicted: torch.Tensor, wanted: torch.Tensor, recompute: bool) -> torch.Tensor:
        """Sums of squared differences [2] of some planes [N, H, W], one for each depth of the network."""
        with torch.no_grad():
            references = self.features(wanted[:, None])
        if recompute and predicted.requires_grad:
            found = checkpoint(self.features, predicted[:, None], use_reentrant=False, preserve_rng_state=False)
        else:
            found = self.features(predicted[:, None])
        pairs = zip(found, references, strict=True)
        # mse_loss sums in float32 also under autocast.
        return torch.stack([functional.mse_loss(one, other, reduction="sum") for one, other in pairs])


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
