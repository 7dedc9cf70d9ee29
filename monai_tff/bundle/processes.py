"""Several processes of one run: torchrun starts them, and each finds here its group and its GPU."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist


def open_process_group() -> None:
    """Joins the processes that torchrun started; one process stays alone.

    They talk over NCCL about tensors on GPUs and over gloo about others. A process takes the GPU of its number on its
    machine: `torch.device('cuda')` is that one from now on.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
