"""Several processes of one run: torchrun starts them, and each finds here its group and its device."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist


def open_process_group() -> None:
    """Joins the processes that torchrun started: over NCCL on GPUs, else over gloo; one process stays alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def process_device() -> torch.device:
    """The device of this process: the GPU of its number on this machine, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
