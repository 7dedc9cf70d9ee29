"""Which order of memory features have on a CPU: convolutions of few channels are fast with the channels last.

Where there is no CPU, or a graph is recorded, everything stays as it comes: cuDNN and compilers choose for themselves,
and a graph records the order that an operation is thought to give.
"""

from __future__ import annotations

import torch

FEW_CHANNELS = 8
"""Up to so many input channels a convolution on a CPU is faster with the channels last."""

CHANNELS_PER_GROUP = 4
"""Of the group normalisations. Features of one group stay with the channels last, because that group is the whole frame
and its statistics do not depend on the order; a CPU's GroupNorm of several groups loses digits over channels-last
memory as the grid grows (reconstructions of the HCP grid then differ by 3e-3 instead of 1e-5)."""


def is_eager_on_cpu(features: torch.Tensor) -> bool:
    """Whether operations run one by one, on a CPU and in the precision of their inputs."""
    return (
        features.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch.is_autocast_enabled("cpu")
    )


def for_convolution(features: torch.Tensor, in_channels: int) -> torch.Tensor:
    """The features, or a gradient, in the order in which a convolution of so many input channels is fast.

    Args:
        features: [N, C, H, W, D].
        in_channels: channels that the convolution takes.

    Returns:
        The same numbers, copied only where the order differs.
    """
    few = in_channels <= FEW_CHANNELS
    return features.contiguous(memory_format=torch.channels_last_3d if few else torch.contiguous_format)


def between_layers(features: torch.Tensor) -> torch.Tensor:
    """The features in the order that they have from layer to layer, see `CHANNELS_PER_GROUP`.

    Args:
        features: [N, C, H, W, D].

    Returns:
        The same numbers, copied only where the order differs.
    """
    one_group = features.shape[1] == CHANNELS_PER_GROUP
    return features.contiguous(memory_format=torch.channels_last_3d if one_group else torch.contiguous_format)
