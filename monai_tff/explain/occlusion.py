"""Occlusion: how the output changes when a part of a window is replaced by the baseline.

Reference: Zeiler, Fergus, "Visualizing and Understanding Convolutional Networks", 2014,
https://arxiv.org/abs/1311.2901
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from captum.attr import FeatureAblation

from monai_tff.explain.gradients import Output, windows_at_once


def cubes(mask: torch.Tensor, edge: Sequence[int]) -> torch.Tensor:
    """Numbers the cubes that a grid is divided into.

    Args:
        mask: bool `[H, W, D]`, the brain.
        edge: voxels of a cube along each axis.

    Returns:
        int64 `[H, W, D]`: the number of its cube for each voxel of the mask, 0, 1, ... without a gap; -1 outside.
    """
    places = [torch.arange(size) // length for size, length in zip(mask.shape, edge, strict=True)]
    counts = [int(place[-1]) + 1 for place in places]
    number = (places[0][:, None, None] * counts[1] + places[1][:, None]) * counts[2] + places[2]
    numbers = torch.full(mask.shape, -1, dtype=torch.int64)
    numbers[mask] = torch.unique(number[mask], return_inverse=True)[1]
    return numbers


def occluded_space(output: Output, window: torch.Tensor, baseline: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Replaces one cube after the other, in both channels and all frames.

    Args:
        output: what is explained.
        window: float32 `[2, H, W, D, T]`.
        baseline: likewise; outside the mask it is the window.
        numbers: of the cubes, see `cubes`.

    Returns:
        float32 `[H, W, D]`: the window's output less the output without the voxel's cube; 0 outside the mask.
    """
    inside = numbers >= 0
    # what lies outside the mask joins the first cube: it is the same in the baseline
    features = numbers.clamp(min=0)[None, None, :, :, :, None].to(window.device)
    with torch.no_grad():
        changes = FeatureAblation(output).attribute(
            window[None],
            baseline[None],
            feature_mask=features,
            perturbations_per_eval=windows_at_once(window.shape[-1]),
        )
    return changes[0, 0, :, :, :, 0] * inside.to(changes)


def occluded_frames(output_of_codes: Output, codes: torch.Tensor, baseline: torch.Tensor, block: int) -> torch.Tensor:
    """Replaces one block of frames after the other; only the transformer has to be passed again.

    Args:
        output_of_codes: what is explained, from codes `[B, T, hidden]`.
        codes: of the window's frames, float32 `[T, hidden]`.
        baseline: codes of the baseline's frames, likewise.
        block: frames that are replaced together.

    Returns:
        float32 `[T]`: the window's output less the output without the frame's block.
    """
    features = (torch.arange(len(codes), device=codes.device) // block)[None, :, None]
    with torch.no_grad():
        changes = FeatureAblation(output_of_codes).attribute(
            codes[None], baseline[None], feature_mask=features, perturbations_per_eval=16
        )
    return changes[0, :, 0]
