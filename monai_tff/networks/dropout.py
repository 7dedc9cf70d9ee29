"""Elementwise dropout of a residual branch, with fast random numbers on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

from monai_tff.networks.memory_order import is_eager_on_cpu

STEPS = 2**16
"""On a CPU 16 random bits decide about an element, so probabilities are multiples of 1 / STEPS."""


def add_dropped(features: torch.Tensor, branch: torch.Tensor, probability: float, training: bool) -> torch.Tensor:
    """`features + dropout(branch)`.

    On a CPU an element costs 16 random bits, and one byte until the backward pass; torch's own dropout draws 32 bits
    with a slower generator and keeps 4 bytes. The bits follow from a seed that torch's generator gives. The
    probability is rounded to a multiple of 1 / 65,536 and the scaling follows the rounded one, so that the expectation
    is exact.

    Args:
        features: any shape.
        branch: of the same shape.
        probability: of an element of the branch being dropped, 0 to 1.
        training: without training nothing is dropped.

    Returns:
        The sum.
    """
    if not training or probability == 0.0:
        return features + branch
    if is_eager_on_cpu(features):
        return _AddDropped.apply(features, branch, probability)
    return features + functional.dropout(branch, probability)


class _AddDropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Any, branch: Any, probability: float) -> torch.Tensor:
        dropped = round(probability * STEPS)
        kept = _random_words(branch) >= dropped - STEPS // 2
        ctx.scale = STEPS / (STEPS - dropped) if dropped < STEPS else 0.0
        ctx.save_for_backward(kept)
        return torch.add(features, branch * kept, alpha=ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:
        (kept,) = ctx.saved_tensors
        return gradient, (gradient * kept).mul_(ctx.scale), None


def _random_words(like: torch.Tensor) -> torch.Tensor:
    """Uniform int16 numbers of the shape of a tensor, and in its order of memory."""
    seed = int(torch.randint(2**63 - 1, ()))
    words = np.random.SFC64(seed).random_raw(-(-like.numel() // 4)).view(np.int16)
    # In the order of memory: operations on tensors of different orders are slow.
    order = sorted(range(like.ndim), key=like.stride, reverse=True)
    shuffled = torch.from_numpy(words)[: like.numel()].reshape([like.shape[axis] for axis in order])
    return shuffled.permute([order.index(axis) for axis in range(like.ndim)])
