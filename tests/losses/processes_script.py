"""Losses of uneven shares of a batch, run by `test_process_mean.py` in two processes (RANK and WORLD_SIZE)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist

from monai_tff.contract import Target
from monai_tff.losses import IntensityLoss, PerceptualLoss, ReconstructionLoss, prediction_loss
from monai_tff.losses.perceptual import LAYERS

SHARES = {"uneven": ([0, 2], [1]), "empty": ([0, 1, 2], [])}
"""Windows of the batch that each process takes."""


def cases() -> Iterator[tuple[str, Callable[..., torch.Tensor], torch.Tensor, torch.Tensor]]:
    """Name, loss, prediction and label of a batch of three windows, whose masks and classes differ."""
    torch.manual_seed(4)
    binary, age = Target("sex", "binary", ("F", "M")), Target("age", "regression")
    site = Target("site", "multiclass", ("a", "b", "c"))
    logits, labels = torch.randn(3, 1), torch.tensor([[1.0], [0.0], [1.0]])
    yield "binary", prediction_loss(binary, class_weights=2.5), logits, labels
    yield "published", prediction_loss(binary, paper_head=True), logits.sigmoid(), labels
    yield "age", prediction_loss(age), logits, 3 * torch.randn(3, 1)
    weighted = prediction_loss(site, class_weights=[0.2, 1.5, 3.0])
    yield "site", weighted, torch.randn(3, 3), torch.tensor([2, 0, 1])
    yield "equal sites", prediction_loss(site), torch.randn(3, 3), torch.tensor([2, 0, 1])

    image = torch.randn(3, 2, 4, 6, 5, 2)
    image[0, 1, :2] = 0  # fewer voxels for the intensity loss
    layers = {}
    for number, (outputs, inputs) in LAYERS.items():
        layers[f"features.{number}.weight"] = torch.randn(outputs, inputs, 3, 3) / (9 * inputs) ** 0.5
        layers[f"features.{number}.bias"] = 0.1 * torch.randn(outputs)
    perceptual = PerceptualLoss(fraction=1.0, weights=layers)
    found = torch.randn(3, 1, 4, 6, 5, 2)
    yield "intensity", IntensityLoss(), found, image
    yield "perceptual", perceptual, found, image
    yield "reconstruction", ReconstructionLoss(perceptual=perceptual), found, image


def value_and_gradient(loss: Callable[..., torch.Tensor], prediction: torch.Tensor, label: torch.Tensor) -> Any:
    """Of the loss of some windows."""
    prediction = prediction.clone().requires_grad_()
    value = loss(prediction, label)
    (gradient,) = torch.autograd.grad(value, prediction)
    return value.detach(), gradient


def main() -> None:
    """Saves value and gradient of this process's share, by case and way of sharing, and the value without gradients."""
    dist.init_process_group("gloo")
    rank, results = int(os.environ["RANK"]), {}
    for name, loss, prediction, label in cases():
        for way, shares in SHARES.items():
            own = shares[rank]
            results[name, way] = value_and_gradient(loss, prediction[own], label[own])
        with torch.no_grad():
            if rank == 0:  # the other process is not asked
                results[name, "alone"] = loss(prediction[:2], label[:2])
            results[name, "nothing"] = loss(prediction[:0], label[:0])
    torch.save(results, f"{sys.argv[1]}/{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
