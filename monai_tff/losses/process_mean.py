"""Means that several processes share: a loss is then that of the whole batch, not the mean of means of its shares."""

from __future__ import annotations

import torch
import torch.distributed as dist


def process_mean(total: torch.Tensor, count: torch.Tensor | float) -> torch.Tensor:
    """A sum divided by the number of its elements, over all processes that train together.

    Distributed training averages the gradients of the processes. So that this average is the gradient of the whole
    batch's mean, a process gives `total * processes / count of all`; the mean of that over the processes is the mean
    over the batch, however unevenly its windows are shared. Every process must call it equally often. In an
    evaluation (`total` asks for no gradient) a process is on its own.

    Args:
        total: scalar, the sum over this process's share.
        count: elements in the share, or the sum of their weights; not negative, 0 for an empty share.

    Returns:
        Scalar. With one process `total / count`, 0 for no elements.
    """
    # a number is filled in on the device: a copy of it would make the host wait for a GPU
    elements = torch.zeros_like(total.detach()) + count
    processes = dist.get_world_size() if dist.is_initialized() else 1
    if processes == 1 or not total.requires_grad:
        return total / torch.where(elements > 0, elements, 1)
    dist.all_reduce(elements)  # a graph of the loss never needs it, and nothing waits for a GPU
    return total * processes / torch.where(elements > 0, elements, 1)
