"""Means that several processes share: a loss is then that of the whole batch, not the mean of means of its shares."""

from __future__ import annotations

import ignite.distributed as idist
import torch


def process_mean(total: torch.Tensor, count: torch.Tensor | float) -> torch.Tensor:
    """A sum divided by the number of its elements, over all processes that train together.

    Distributed training averages the gradients of the processes. So that this average is the gradient of the whole
    batch's mean, a process gives `total * processes / count of all`; the mean of that over the processes is the mean
    over the batch, however unevenly its windows are shared. Every process must call it equally often. In an
    evaluation (`total` asks for no gradient) a process is on its own.

    Args:
        total: scalar, the sum over this process's share.
        count: elements in the share, not negative; 0 for an empty one.

    Returns:
        Scalar. With one process `total / count`, 0 for no elements.
    """
    elements = torch.as_tensor(count, dtype=total.dtype, device=total.device)
    processes = idist.get_world_size()
    if processes == 1 or not total.requires_grad:
        return total / elements.clamp(min=1)
    of_all = torch.as_tensor(idist.all_reduce(elements.clone()), device=total.device)
    return total * processes / of_all.clamp(min=1)
