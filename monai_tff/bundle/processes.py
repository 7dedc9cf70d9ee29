"""Several processes of one run: torchrun starts them, and each finds here its group, its GPU and its manners.

The first process alone makes and writes what there is one of, and speaks; the others wait for it where they must.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, NoReturn, TypeVar, cast

import torch
import torch.distributed as dist

from monai_tff.bundle.lost_process import say_why_it_ends
from monai_tff.errors import ConfigError

LONGEST_WAIT = timedelta(minutes=30)
"""For another process, before a run is given up: one may still fill its cache, or write, while the others wait."""

LAYERS = {"training": "multi_gpu_train.yaml", "evaluating": "multi_gpu_evaluate.yaml"}
"""Of the bundles, by what they are layered over."""

IN_GROUP = {"process_group": "$monai_tff.bundle.open_process_group()", "finalize": []}
"""Overrides for each of several runs in the same processes: what the layers say, but the group stays open."""

GRACE_SECONDS = 5.0
"""How long a process that is to end leaves the word to another one."""

Found = TypeVar("Found")


def started_processes() -> int:
    """Number of processes that torchrun started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this process is the one that writes and speaks; without torchrun it is."""
    return os.environ.get("RANK", "0") == "0"


def open_process_group() -> None:
    """Joins the processes that torchrun started; one process stays alone.

    They talk over NCCL about tensors on GPUs and over gloo about others. A process takes the GPU of its number on its
    machine: `torch.device('cuda')` is that one from now on.

    Raises:
        ConfigError: for more processes on this machine than it has GPUs.
    """
    if started_processes() == 1 or dist.is_initialized():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(_own_gpu())
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=LONGEST_WAIT)
    say_why_it_ends()


def close_process_group() -> None:
    """Leaves the other processes, at the end of a run that went well."""
    if dist.is_initialized():
        dist.barrier()  # none leaves while another one still writes, or talks
        dist.destroy_process_group()


def _own_gpu() -> int:
    number, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= gpus:
        raise ConfigError(
            f"torchrun: process {number + 1} of this machine finds {gpus} GPU{'s'[: gpus != 1]}, expected one for each "
            f"process; start it with --nproc_per_node={gpus}, or with CUDA_VISIBLE_DEVICES= in the environment to "
            "train on CPUs."
        )
    return number


def check_processes(config: Mapping[str, Any]) -> None:
    """Refuses several processes that the configuration does not know of: each would do everything alone.

    Args:
        config: the merged configuration of the run.

    Raises:
        ConfigError: naming the layer that is missing.
    """
    processes = started_processes()
    if processes == 1 or config.get("process_group") is not None:
        return
    if "process_group" not in config:
        raise ConfigError(
            f"torchrun: started {processes} processes, expected one, because this configuration has no process_group "
            "and each process would do the same; start it without torchrun."
        )
    layer = LAYERS["evaluating" if "section" in config else "training"]
    raise ConfigError(
        f"process_group: is null, but torchrun started {processes} processes, expected one that they join; add the "
        f"bundle's {layer} to the config files, or start the run without torchrun."
    )


def silence_others() -> None:
    """Lets the first process alone print, log and warn; errors of all processes are still shown."""
    if is_first_process():
        return
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # until the process ends
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")


def by_first_process(action: Callable[[], Found]) -> Found:
    """Lets the first process act while the others wait, and gives all of them what came out.

    Where the action raises, the first process alone says so, and all of them end.

    Args:
        action: called in the first process; what it gives is sent to the others (pickled).

    Returns:
        What the action gave.
    """
    if not dist.is_initialized():
        return action()
    outcome: list[Any] = [False, None]
    if dist.get_rank() == 0:
        try:
            outcome = [True, action()]
        finally:
            dist.broadcast_object_list(outcome)
    else:
        dist.broadcast_object_list(outcome)
        if not outcome[0]:
            _leave_the_word_to_the_first()
    return cast(Found, outcome[1])


def _leave_the_word_to_the_first() -> NoReturn:
    """Ends without a word, but after the first process: torchrun ends all others as soon as one has ended."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(GRACE_SECONDS)
    raise SystemExit(1)
