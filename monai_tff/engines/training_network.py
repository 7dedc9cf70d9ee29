"""The network as it is trained: compiled, with activation checkpointing, shared by several processes."""

from __future__ import annotations

import inspect
from typing import Any

import ignite.distributed as idist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

_OPTIONS = inspect.signature(DistributedDataParallel).parameters
_SYNC_BUFFERS = "forward_sync_buffers" if "forward_sync_buffers" in _OPTIONS else "broadcast_buffers"
"""Of torch 2.13 and later, and its older name."""


def training_network(network: nn.Module, *, activation_checkpointing: bool = False, compile: bool = False) -> nn.Module:
    """Prepares a network for its training; parameters, their names and the numbers stay what they are.

    Args:
        network: one of the TFF networks, on its device; changed in place.
        activation_checkpointing: compute the activations of encoder and decoder again in the backward pass instead
            of keeping them: less memory, that no longer grows with the window, and a step that takes a third longer.
        compile: compile it with `torch.compile`, once for each shape of its input.

    Returns:
        The network; where several processes train together, the same one within DistributedDataParallel.
    """
    plain: Any = network
    plain.checkpoint_activations = activation_checkpointing
    if compile:
        network.compile()  # in place: state dicts get no prefix
    if idist.get_world_size() == 1:
        return network
    device = next(network.parameters()).device
    options: dict[str, Any] = {_SYNC_BUFFERS: False}  # the only buffers are constants of the transformer
    return DistributedDataParallel(
        network, device_ids=[device] if device.type == "cuda" else None, gradient_as_bucket_view=True, **options
    )
