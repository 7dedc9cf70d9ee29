"""The two normalisations that make the network's input channels, and their statistics.

Background is every element that is exactly 0, per voxel and frame. Channel 0 (global) is `(x - mean) / std` over all
other elements of the scan; its background becomes the minimum of the normalised scan. Channel 1 (voxel) is
`(x - mean_v) / std_v` over the frames of each voxel, zeros included; its background becomes 0. Both take the unbiased
standard deviation. Reference: Malkiel et al., Self-Supervised Transformers for fMRI representation,
https://arxiv.org/abs/2112.05761.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import get_track_meta
from monai.transforms import Transform
from monai.utils import convert_to_dst_type, convert_to_tensor

from monai_tff.transforms.per_key import PerKey
from monai_tff.transforms.statistics import (
    GlobalStatistics,
    VoxelStatistics,
    global_statistics,
    runs_of_frames,
    voxel_statistics,
)


def normalise_global(
    frames: torch.Tensor, statistics: GlobalStatistics, background: torch.Tensor | None = None
) -> torch.Tensor:
    """Channel 0: `(x - mean) / std`, background becomes the fill.

    Args:
        frames: [T, ...] of any dtype, all frames of a scan or some.
        statistics: of the whole trimmed scan.
        background: bool, broadcastable to `frames`; by default the elements that are 0.

    Returns:
        float32, the shape of `frames`; 0 everywhere but in the background if the standard deviation is 0.
    """
    background = frames == 0 if background is None else background
    divisor = statistics.std if statistics.std > 0 else math.inf
    out = frames.to(torch.float32) - statistics.mean
    return out.div_(divisor).masked_fill_(background, statistics.fill)


def normalise_voxels(
    frames: torch.Tensor, statistics: VoxelStatistics, background: torch.Tensor | None = None
) -> torch.Tensor:
    """Channel 1: `(x - mean_v) / std_v`, background and constant voxels become 0.

    Args:
        frames: [T, ...] of any dtype, all frames of a scan or some.
        statistics: of the whole trimmed scan, [...] each.
        background: bool, broadcastable to `frames`; by default the elements that are 0.

    Returns:
        float32, the shape of `frames`.
    """
    background = frames == 0 if background is None else background
    divisor = statistics.std.masked_fill(statistics.std == 0, math.inf)
    # x - mean is exact near the mean; the mean's own rounding would be the largest error
    out = (frames.to(torch.float32) - statistics.mean).sub_(statistics.rest)
    return out.div_(divisor).masked_fill_(background, 0.0)


def two_channels(frames: torch.Tensor) -> torch.Tensor:
    """Both normalisations of a whole trimmed scan, as the network takes them.

    Args:
        frames: [T, H, W, D] of any dtype, background 0.

    Returns:
        float32 [2, H, W, D, T]; its memory runs frame by frame, so that folding frames into the batch is free.
    """
    of_scan, of_voxels = global_statistics(frames), voxel_statistics(frames)
    out = torch.empty((len(frames), 2, *frames.shape[1:]), dtype=torch.float32, device=frames.device)
    for run in runs_of_frames(len(frames), frames[:1].numel()):
        out[run, 0] = normalise_global(frames[run], of_scan)
        out[run, 1] = normalise_voxels(frames[run], of_voxels)
    return out.permute(1, 2, 3, 4, 0)


def _plain(img: Any) -> torch.Tensor:
    return convert_to_tensor(img, track_meta=False)


def _like(out: torch.Tensor, img: Any) -> Any:
    """The result with the metadata of its input, if it has any and they are tracked."""
    return convert_to_dst_type(out, img, dtype=torch.float32)[0] if get_track_meta() else out


class GlobalNormalise(Transform):
    """Global normalisation of a whole trimmed scan [T, ...], see `normalise_global`; the input stays as it is.

    Example:
        >>> GlobalNormalise()(torch.tensor([[1.0, 0.0], [3.0, 2.0]]))
        tensor([[-1., -2.],
                [ 1.,  0.]])
    """

    def __call__(self, img: Any) -> Any:
        """Normalises [T, ...] to float32 of the same shape."""
        frames = _plain(img)
        return _like(normalise_global(frames, global_statistics(frames)), img)


class VoxelNormalise(Transform):
    """Voxel normalisation of a whole trimmed scan [T, ...], see `normalise_voxels`; the input stays as it is."""

    def __call__(self, img: Any) -> Any:
        """Normalises [T, ...] to float32 of the same shape."""
        frames = _plain(img)
        return _like(normalise_voxels(frames, voxel_statistics(frames)), img)


class TwoChannelStack(Transform):
    """Both normalisations of a whole trimmed scan [T, H, W, D] as the network's input [2, H, W, D, T]."""

    def __call__(self, img: Any) -> Any:
        """Normalises and stacks, see `two_channels`."""
        return _like(two_channels(_plain(img)), img)


class GlobalNormalised(PerKey):
    """Dictionary version of `GlobalNormalise`."""

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, GlobalNormalise(), allow_missing_keys)


class VoxelNormalised(PerKey):
    """Dictionary version of `VoxelNormalise`."""

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, VoxelNormalise(), allow_missing_keys)


class TwoChannelStackd(PerKey):
    """Dictionary version of `TwoChannelStack`."""

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, TwoChannelStack(), allow_missing_keys)
