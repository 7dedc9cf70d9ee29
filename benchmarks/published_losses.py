"""The published losses' layout of operations, written anew from their description, for comparison only.

Same numbers as `monai_tff.losses`. VGG-16 runs to its seventh convolution, and what follows the fourth is thrown away;
planes are copied into three colour channels; memory is contiguous; all planes pass at once, with a graph for those of
the target too; the quantile is taken frame by frame.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional

CONVOLUTIONS = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128), 12: (256, 256), 14: (256, 256)}
"""Output and input channels of VGG-16's convolutions up to conv3_3, by their number."""

ENDS = (4, 9, 16)
"""Layers after which the published extractor reads features; those of the last are never used."""

POOLS = (4, 9)
QUANTILE = 0.9


def random_vgg16(seed: int = 0) -> dict[str, torch.Tensor]:
    """A state dict with VGG-16's names and shapes, and random numbers that keep activations at one scale."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for number, (outputs, inputs) in CONVOLUTIONS.items():
        kernel = torch.randn(outputs, inputs, 3, 3, generator=generator)
        state[f"features.{number}.weight"] = kernel * (2 / (9 * inputs)) ** 0.5
        state[f"features.{number}.bias"] = 0.1 * torch.randn(outputs, generator=generator)
    return state


class PublishedPerceptualLoss(nn.Module):
    def __init__(self, fraction: float, state: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.fraction = fraction
        layers: list[nn.Module] = []
        while len(layers) < ENDS[-1]:
            number = len(layers)
            if number in POOLS:
                layers.append(nn.MaxPool2d(2, 2))
                continue
            outputs, inputs = CONVOLUTIONS[number]
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
        features = nn.Sequential(*layers)
        features.load_state_dict({name.removeprefix("features."): value for name, value in state.items()})
        self.blocks = nn.ModuleList(
            features[start:end] for start, end in zip((0, *ENDS[:-1]), ENDS, strict=True)
        ).requires_grad_(False)

    def features(self, planes: torch.Tensor) -> list[torch.Tensor]:
        found = []
        for block in self.blocks:
            planes = block(planes)
            found.append(planes)
        return found[:2]

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        predicted, wanted = (self._planes(volumes[:, 0]) for volumes in (prediction, target))
        chosen = torch.randperm(len(predicted))[: max(1, int(self.fraction * len(predicted)))].to(predicted.device)
        both = [self.features(planes[chosen][:, None].repeat(1, 3, 1, 1)) for planes in (predicted, wanted)]
        return sum(functional.mse_loss(found, reference) for found, reference in zip(*both, strict=True))

    @staticmethod
    def _planes(volumes: torch.Tensor) -> torch.Tensor:
        """[B, H, W, D, T] -> [B * T * D, H, W]."""
        height, width = volumes.shape[1:3]
        return volumes.permute(0, 4, 3, 1, 2).reshape(-1, height, width)


class PublishedReconstructionLoss(nn.Module):
    """Absolute error, error in the most active voxels, and the perceptual loss, with weight 1 each."""

    def __init__(self, fraction: float, state: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        self.perceptual = PublishedPerceptualLoss(fraction, state)

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mask = self._active(target[:, 1])
        intensity = functional.l1_loss(prediction[:, 0][mask], target[:, 0][mask])
        return functional.l1_loss(prediction, target[:, :1]) + intensity + self.perceptual(prediction, target)

    @staticmethod
    def _active(activity: torch.Tensor) -> torch.Tensor:
        """Where the magnitudes of a frame lie above their quantile, [B, H, W, D, T]."""
        mask = torch.zeros_like(activity, dtype=torch.bool)
        for sample in range(activity.shape[0]):
            for number in range(activity.shape[-1]):
                frame = activity[sample, ..., number].clone()
                frame[frame <= frame[0, 0, 0]] = 0
                frame = frame.abs()
                positive = frame[frame > 0]
                if positive.is_cuda:
                    threshold = torch.quantile(positive, QUANTILE)
                else:
                    threshold = float(np.quantile(positive.numpy(), QUANTILE))
                mask[sample, ..., number] = frame > threshold
        return mask
