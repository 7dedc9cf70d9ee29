"""GroupNorm, LeakyReLU and a convolution as one operation that keeps little for the backward pass.

Values and gradients are those of the three operations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from monai_tff.networks.memory_order import CHANNELS_PER_GROUP, between_layers, for_convolution, is_eager_on_cpu

NEGATIVE_SLOPE = 0.01
EPSILON = 1e-5


def normalised_convolution(features: torch.Tensor, norm: nn.GroupNorm, conv: nn.Conv3d) -> torch.Tensor:
    """GroupNorm, LeakyReLU and a 3x3x3 convolution of stride 1.

    On a CPU the backward pass computes the normalised and activated features again instead of keeping them: they
    would be half of the memory of a training step.

    Args:
        features: [N, C, H, W, D].
        norm: over the C channels.
        conv: from C channels to C'.

    Returns:
        [N, C', H, W, D].
    """
    if is_eager_on_cpu(features):
        return _NormalisedConvolution.apply(features, norm.weight, norm.bias, conv.weight, conv.bias, norm.num_groups)
    # In place: the gradient of a GroupNorm needs its input and not its output.
    return conv(functional.leaky_relu(norm(features), NEGATIVE_SLOPE, inplace=True))


class _NormalisedConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Any, scale: Any, shift: Any, weight: Any, bias: Any, groups: int) -> torch.Tensor:
        norm = _norm(features, scale, shift, groups)
        ctx.groups = groups
        ctx.save_for_backward(norm.features, scale, shift, weight)
        activated = for_convolution(norm.activated(), len(scale))
        return between_layers(functional.conv3d(activated, weight, bias, padding=1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:
        features, scale, shift, weight = ctx.saved_tensors
        norm = _norm(features, scale, shift, ctx.groups)
        activated = norm.activated()
        of_norm = any(ctx.needs_input_grad[:3])
        of_activated, of_weight, of_bias = torch.ops.aten.convolution_backward(
            for_convolution(gradient, len(scale)),
            for_convolution(activated, len(scale)),
            weight,
            [len(weight)],
            *([1] * 3, [1] * 3, [1] * 3, False, [0] * 3, 1),
            [of_norm, *ctx.needs_input_grad[3:5]],
        )
        if not of_norm:
            return None, None, None, of_weight, of_bias, None
        of_activated = between_layers(of_activated)
        torch.ops.aten.leaky_relu_backward.grad_input(
            of_activated, activated, NEGATIVE_SLOPE, True, grad_input=of_activated
        )
        return *norm.gradients(of_activated), of_weight, of_bias, None


class _GroupNorm:
    """A GroupNorm in torch's order of memory.

    Args:
        features: [N, C, H, W, D].
        scale: [C].
        shift: [C].
        groups: a divisor of C.
    """

    def __init__(self, features: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, groups: int) -> None:
        self.features = between_layers(features)
        self.scale, self.shift = scale, shift
        samples, channels, *size = features.shape
        self.sizes = (samples, channels, size[0] * size[1] * size[2], groups)

    def activated(self) -> torch.Tensor:
        """Normalised and activated features."""
        normalised, self.mean, self.rstd = torch.native_group_norm(
            self.features, self.scale, self.shift, *self.sizes, EPSILON
        )
        return functional.leaky_relu_(normalised, NEGATIVE_SLOPE)

    def gradients(self, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Gradients of features, scale and shift from that of the normalised features, after `activated`."""
        return torch.ops.aten.native_group_norm_backward(
            gradient, self.features, self.mean, self.rstd, self.scale, *self.sizes, [True] * 3
        )


class _OneGroup(_GroupNorm):
    """The same for one group, whose features have their channels last: to the statistics they are one long row."""

    def __init__(self, features: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, groups: int) -> None:
        super().__init__(features, scale, shift, groups)
        samples, channels, height, width, depth = features.shape
        self.row = (samples, 1, -1)
        self.lines = (samples, height * width, depth * channels)
        self.sizes = (samples, 1, height * width * depth * channels, 1)
        self.line_scale, self.line_shift = scale.repeat(depth), shift.repeat(depth)

    def _last(self, features: torch.Tensor) -> torch.Tensor:
        return features.permute(0, 2, 3, 4, 1)

    def activated(self) -> torch.Tensor:
        normalised, self.mean, self.rstd = torch.native_group_norm(
            self._last(self.features).reshape(self.row), None, None, *self.sizes, EPSILON
        )
        self.normalised = normalised.view(self.lines)
        scaled = torch.addcmul(self.line_shift, self.normalised, self.line_scale)
        activated = functional.leaky_relu_(scaled, NEGATIVE_SLOPE)
        return activated.view(self._last(self.features).shape).permute(0, 4, 1, 2, 3)

    def gradients(self, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        lines = self._last(gradient).reshape(self.lines)
        channels = len(self.scale)
        of_shift = lines.sum((0, 1)).view(-1, channels).sum(0)
        of_scale = self.normalised.mul_(lines).sum((0, 1)).view(-1, channels).sum(0)
        of_row, *_ = torch.ops.aten.native_group_norm_backward(
            lines.mul_(self.line_scale).view(self.row),
            self._last(self.features).reshape(self.row),
            self.mean,
            self.rstd,
            None,
            *self.sizes,
            [True, False, False],
        )
        return of_row.view(self._last(self.features).shape).permute(0, 4, 1, 2, 3), of_scale, of_shift


def _norm(features: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, groups: int) -> _GroupNorm:
    one_group = groups == 1 and len(scale) == CHANNELS_PER_GROUP
    return (_OneGroup if one_group else _GroupNorm)(features, scale, shift, groups)
