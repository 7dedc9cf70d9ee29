"""Convolutional parts of the TFF networks: residual blocks, frame encoder and decoder, and the two bottlenecks.

Every part works on frames folded into the batch, `[N, C, H, W, D]`.

Reference: Malkiel, Rosenman, Wolf, Hendler, "Pre-training and Fine-tuning Transformers for fMRI Prediction Tasks",
2021, https://arxiv.org/abs/2112.05761
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from monai_tff.networks.dropout import add_dropped
from monai_tff.networks.memory_order import CHANNELS_PER_GROUP, between_layers, for_convolution, is_eager_on_cpu
from monai_tff.networks.normalised_convolution import NEGATIVE_SLOPE, normalised_convolution

CHANNELS = (4, 8, 16, 32)
"""Channels of the four encoder stages; the decoder goes through them backwards."""

BLOCKS_PER_STAGE = (1, 2, 2, 4)
"""Residual blocks of the four encoder stages."""

BOTTLENECK_CHANNELS = 2

SpatialSize = tuple[int, int, int]


def stage_sizes(spatial_size: Sequence[int]) -> list[SpatialSize]:
    """Spatial size of each encoder stage: every stage halves the one before, rounded up.

    Args:
        spatial_size: H, W, D of a frame in voxels.

    Returns:
        Four sizes, the input's first and the bottleneck's last.

    Example:
        >>> stage_sizes((75, 93, 81))
        [(75, 93, 81), (38, 47, 41), (19, 24, 21), (10, 12, 11)]
    """
    height, width, depth = (int(size) for size in spatial_size)
    sizes = [(height, width, depth)]
    for _ in CHANNELS[1:]:
        height, width, depth = -(-height // 2), -(-width // 2), -(-depth // 2)
        sizes.append((height, width, depth))
    return sizes


def _activate(features: torch.Tensor) -> torch.Tensor:
    # Always follows a GroupNorm, whose gradient needs its input and not its output: in place saves one copy.
    return functional.leaky_relu(features, NEGATIVE_SLOPE, inplace=True)


class FrameConv3d(nn.Conv3d):
    """A 3x3x3 convolution that runs in the fastest order of memory on a CPU, see `monai_tff.networks.memory_order`.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        stride: 1, or 2 for half the size.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, stride=stride, padding=1)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Maps `[N, C, H, W, D]` to `[N, out_channels, H', W', D']`."""
        if torch.is_autocast_enabled("cpu") and input.device.type == "cpu" and min(input.shape[2:]) < 3:
            # In bfloat16 the gradient of a kernel larger than the grid holds memory that oneDNN 3.12 never wrote.
            with torch.autocast("cpu", enabled=False):
                return super().forward(input.float())
        if not is_eager_on_cpu(input):
            return super().forward(input)
        return between_layers(super().forward(for_convolution(input, self.in_channels)))


class ResidualBlock(nn.Module):
    """Pre-activation residual block: twice (GroupNorm, LeakyReLU, 3x3x3 convolution), dropout, plus the input.

    Args:
        channels: channels in and out; a group of the normalisation has 4 of them.
        dropout: probability of an element of the branch being dropped.
    """

    def __init__(self, channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        groups = channels // CHANNELS_PER_GROUP
        self.norm1 = nn.GroupNorm(groups, channels)
        self.conv1 = FrameConv3d(channels, channels)
        self.norm2 = nn.GroupNorm(groups, channels)
        self.conv2 = FrameConv3d(channels, channels)
        self.dropout = dropout

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Maps `[N, C, H, W, D]` to the same shape."""
        branch = normalised_convolution(features, self.norm1, self.conv1)
        branch = normalised_convolution(branch, self.norm2, self.conv2)
        return add_dropped(features, branch, self.dropout, self.training)


class EncoderStage(nn.Module):
    """Residual blocks at one resolution, then a convolution of stride 2 to the next one.

    Args:
        channels: channels of this resolution.
        num_blocks: residual blocks.
        out_channels: channels of the next resolution, or None for the last stage, which keeps its resolution.
        dropout: dropout of the residual blocks.
    """

    def __init__(self, channels: int, num_blocks: int, out_channels: int | None, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ResidualBlock(channels, dropout) for _ in range(num_blocks)))
        self.down: nn.Module = nn.Identity()
        if out_channels is not None:
            self.down = FrameConv3d(channels, out_channels, stride=2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Maps `[N, C, H, W, D]` to `[N, out_channels, ceil(H/2), ceil(W/2), ceil(D/2)]`."""
        return self.down(self.blocks(features))


class FrameEncoder(nn.Module):
    """3D encoder of single frames: 2 -> 4 -> 8 -> 16 -> 32 channels, three times half the size.

    Args:
        dropout: dropout of the residual blocks.
        in_channels: channels of the input (global and voxel normalisation).
    """

    def __init__(self, dropout: float, in_channels: int = 2) -> None:
        super().__init__()
        self.stem = FrameConv3d(in_channels, CHANNELS[0])
        following = (*CHANNELS[1:], None)
        self.stages = nn.Sequential(
            *(
                EncoderStage(channels, num_blocks, out_channels, dropout)
                for channels, num_blocks, out_channels in zip(CHANNELS, BLOCKS_PER_STAGE, following, strict=True)
            )
        )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Maps `[N, 2, H, W, D]` to `[N, 32, ceil(H/8), ceil(W/8), ceil(D/8)]`."""
        return self.stages(self.stem(frames))


class BottleneckIn(nn.Module):
    """Feature maps of a frame to its code: GroupNorm, LeakyReLU, convolution to 2 channels, flatten, linear.

    The linear layer is left out, as in the published network, where the flattened maps are as long as the code.

    Args:
        size: spatial size of the encoder's last stage.
        hidden_size: length of a frame code.
    """

    def __init__(self, size: SpatialSize, hidden_size: int) -> None:
        super().__init__()
        channels = CHANNELS[-1]
        flat_size = BOTTLENECK_CHANNELS * math.prod(size)
        self.norm = nn.GroupNorm(channels // CHANNELS_PER_GROUP, channels)
        self.conv = FrameConv3d(channels, BOTTLENECK_CHANNELS)
        self.linear = nn.Identity() if flat_size == hidden_size else nn.Linear(flat_size, hidden_size)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Maps `[N, 32, h, w, d]` to codes `[N, hidden]`."""
        return self.linear(self.conv(_activate(self.norm(features))).flatten(1))


class BottleneckOut(nn.Module):
    """Code of a frame back to feature maps: linear, unflatten, GroupNorm, LeakyReLU, convolution to 32 channels.

    Args:
        size: spatial size of the decoder's first stage.
        hidden_size: length of a frame code.
    """

    def __init__(self, size: SpatialSize, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, BOTTLENECK_CHANNELS * math.prod(size))
        self.unflatten = nn.Unflatten(1, (BOTTLENECK_CHANNELS, *size))
        self.norm = nn.GroupNorm(BOTTLENECK_CHANNELS, BOTTLENECK_CHANNELS)
        self.conv = FrameConv3d(BOTTLENECK_CHANNELS, CHANNELS[-1])

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Maps codes `[N, hidden]` to `[N, 32, h, w, d]`."""
        return self.conv(_activate(self.norm(self.unflatten(self.linear(codes)))))


class UpBlock(nn.Module):
    """1x1x1 convolution at the low resolution, nearest-neighbour upsampling to a given size, residual block.

    Args:
        in_channels: channels in.
        out_channels: channels out.
        size: spatial size out.
        dropout: dropout of the residual block.
    """

    def __init__(self, in_channels: int, out_channels: int, size: SpatialSize, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, kernel_size=1)
        self.upsample = nn.Upsample(size=size, mode="nearest")
        self.block = ResidualBlock(out_channels, dropout)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Maps `[N, in_channels, h, w, d]` to `[N, out_channels, *size]`."""
        small = self.conv(features)
        # Before the upsampling, which keeps the order: a copy of few voxels.
        small = between_layers(small) if is_eager_on_cpu(small) else small
        return self.block(self.upsample(small))


class FrameDecoder(nn.Module):
    """3D decoder of single frames: 32 -> 16 -> 8 -> 4 channels, back through the encoder's sizes, one channel out.

    There are no skip connections from the encoder, and the output is not bounded.

    Args:
        spatial_size: H, W, D of a frame in voxels.
        dropout: dropout of the residual blocks.
    """

    def __init__(self, spatial_size: Sequence[int], dropout: float) -> None:
        super().__init__()
        channels = CHANNELS[::-1]
        sizes = stage_sizes(spatial_size)[-2::-1]
        self.stages = nn.Sequential(
            *(
                UpBlock(in_channels, out_channels, size, dropout)
                for in_channels, out_channels, size in zip(channels[:-1], channels[1:], sizes, strict=True)
            )
        )
        self.conv = FrameConv3d(channels[-1], channels[-1])
        self.output = nn.Conv3d(channels[-1], 1, kernel_size=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Maps `[N, 32, h, w, d]` to `[N, 1, H, W, D]`."""
        return self.output(self.conv(self.stages(features)))
