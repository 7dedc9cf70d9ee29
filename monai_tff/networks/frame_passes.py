"""Frames pass the convolutions a few at a time: faster on a CPU, and the unit of activation checkpointing.

Frames do not see each other in encoder and decoder, so passes change nothing but the order in which gradients of the
weights are summed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.utils.checkpoint import checkpoint

from monai_tff.networks.memory_order import CHANNELS_PER_GROUP

PASS_BYTES = {"cpu": 2**24, "other": 2**28}
"""Bytes of the largest features of a pass. On a CPU they fit a large cache, and the C library reuses memory of up to
32 MiB instead of asking the system for new pages, which costs as much as the convolutions."""


def in_passes(
    work: Callable[[torch.Tensor], torch.Tensor], frames: torch.Tensor, voxels: int, checkpointed: bool
) -> torch.Tensor:
    """Applies work to frames, a few at a time.

    Args:
        work: from `[n, ...]` to `[n, ...]`, frame by frame.
        frames: `[N, ...]`.
        voxels: of a frame at full resolution.
        checkpointed: compute a pass again in the backward pass instead of keeping what it needs: memory no longer
            grows with the number of frames, and a training step takes about a third longer.

    Returns:
        What `work` makes of all frames, `[N, ...]`.
    """
    # without gradients nothing is kept either, so that long windows need no more memory than short ones
    count = number_of_passes(frames, voxels, checkpointed or not torch.is_grad_enabled())
    again = checkpointed and torch.is_grad_enabled()
    if count == 1:
        return _again(work, frames) if again else work(frames)
    return torch.cat([_again(work, part) if again else work(part) for part in frames.tensor_split(count)])


def number_of_passes(frames: torch.Tensor, voxels: int, checkpointed: bool) -> int:
    """In how many passes frames are computed.

    A pass has at least two frames: torch's convolutions of a single small one do not use the fast kernels. A graph,
    whose numbers of frames are symbols, has one pass, and so has a GPU where nothing is checkpointed.
    """
    on_cpu = frames.device.type == "cpu"
    if torch.jit.is_tracing() or torch.compiler.is_compiling() or not (on_cpu or checkpointed):
        return 1
    frame_bytes = CHANNELS_PER_GROUP * voxels * frames.element_size()
    per_pass = max(2, PASS_BYTES["cpu" if on_cpu else "other"] // frame_bytes)
    return max(1, min(math.ceil(len(frames) / per_pass), len(frames) // 2))


def _again(work: Callable[[torch.Tensor], torch.Tensor], frames: torch.Tensor) -> torch.Tensor:
    return checkpoint(work, frames, use_reentrant=False)
