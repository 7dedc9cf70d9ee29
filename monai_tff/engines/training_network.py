"""The network as it is trained: compiled, with activation checkpointing, shared by several processes."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any

import ignite.distributed as idist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from monai_tff.errors import ConfigError


def training_network(network: nn.Module, *, activation_checkpointing: bool = False, compile: bool = False) -> nn.Module:
    """Prepares a network for its training; parameters, their names and the numbers stay what they are.

    Args:
        network: one of the TFF networks, on its device; changed in place.
        activation_checkpointing: compute the activations of encoder and decoder again in the backward pass instead
            of keeping them: less memory, that no longer grows with the window, and a step that takes a third longer.
        compile: compile it with `torch.compile` at its first step, and again for another shape of its input.

    Returns:
        The network; where several processes train together, the same one within DistributedDataParallel.

    Raises:
        ConfigError: for `compile` on a machine without a compiler.
    """
    plain: Any = network
    plain.checkpoint_activations = activation_checkpointing
    device = next(network.parameters()).device
    if compile:
        _check_compiler(device.type)
        network.compile()  # in place: state dicts get no prefix
    if idist.get_world_size() == 1:
        return network
    # The only buffers are constants of the transformer.
    return DistributedDataParallel(
        network,
        device_ids=[device] if device.type == "cuda" else None,
        broadcast_buffers=False,
        gradient_as_bucket_view=True,
    )


def _check_compiler(device_type: str) -> None:
    """Inductor writes C++ for a CPU; for a GPU Triton writes what its driver compiles, and calls itself through C."""
    if device_type == "cpu":
        variable, language, usual = "CXX", "C++", ["clang++" if sys.platform == "darwin" else "g++"]
    else:
        variable, language, usual = "CC", "C", ["gcc", "clang", "cc"]
    named = os.environ.get(variable)
    wanted = [named] if named else usual
    if not any(shutil.which(name) for name in wanted):
        raise ConfigError(
            f"compile is true, but this machine has no {' or '.join(wanted)}, expected a {language} compiler; install "
            f"one (Debian and Ubuntu: the package g++), name one in the environment variable {variable}, or set "
            "compile to false."
        )
