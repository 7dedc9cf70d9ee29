"""Reading weights from files: our checkpoints, plain state dicts, safetensors, and checkpoints of the published code.

Nothing here runs code from a file: pickles are read with `weights_only=True`.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy._core.multiarray import scalar as numpy_scalar

from monai_tff.errors import WeightsError
from monai_tff.networks.original import from_original, is_original

STATE_DICT_KEYS = ("model", "model_state_dict")
"""Where a checkpoint keeps its weights: ours, the published code's."""

LEARNING_RATE_KEYS = ("learning_rate", "lr")
"""Where a checkpoint keeps its current learning rate: ours, the published code's."""

WRAPPER_PREFIXES = ("module.", "_orig_mod.")
"""What distributed training and compilation put in front of every name."""

# The published code saves its validation loss as a NumPy number. NumPy 1 knew the function by another path.
_NUMPY_NUMBERS: list[Any] = [
    (numpy_scalar, "numpy.core.multiarray.scalar"),
    (numpy_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    np.dtypes.Int64DType,
]

Source = str | Path | Mapping[str, Any]


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint file whole, onto the CPU.

    Args:
        path: a `.safetensors` file, or a file written by `torch.save` that holds tensors and numbers only.

    Returns:
        What the file holds.

    Raises:
        WeightsError: when there is no such file, it cannot be read, or it would run code on loading.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file, expected a checkpoint; check the path.")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with torch.serialization.safe_globals(_NUMPY_NUMBERS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error):
            raise WeightsError(
                f"{path}: holds Python objects that would run code on loading, expected tensors and numbers only; "
                "save the network's state_dict alone, best as .safetensors."
            ) from error
        raise WeightsError(
            f"{path}: cannot be read as a checkpoint ({type(error).__name__}), expected a whole file written by "
            "torch.save or safetensors; copy or download it again."
        ) from error
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"{path}: holds a {type(content).__name__}, expected a mapping of names to tensors; "
            "save the network's state_dict."
        )
    return dict(content)


def read_state_dict(source: Source) -> dict[str, torch.Tensor]:
    """Reads the weights of a network, under our names.

    Args:
        source: a checkpoint file (`read_checkpoint`), or what such a file holds: `{"model": state_dict, ...}`, the
            published code's `{"model_state_dict": state_dict, ...}`, or a plain state dict.

    Returns:
        Name -> tensor.

    Raises:
        WeightsError: when the file cannot be read, or there are no tensors or something else among them.
    """
    state = stored_state_dict(source)
    return from_original(state) if is_original(state) else state


def stored_state_dict(source: Source) -> dict[str, torch.Tensor]:
    """Reads the weights of a network as `read_state_dict` does, under the names that the file gives them.

    Returns:
        Name -> tensor, without what distributed training and compilation put in front.
    """
    content = source if isinstance(source, Mapping) else read_checkpoint(source)
    state: Any = next((content[key] for key in STATE_DICT_KEYS if isinstance(content.get(key), Mapping)), content)
    strangers = [str(name) for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if strangers or not state:
        raise WeightsError(
            f"{describe(source)}: found {', '.join(strangers[:5]) or 'nothing'} in the place of tensors, expected a "
            f"state dict, alone or under one of the keys {', '.join(STATE_DICT_KEYS)}; save the network's state_dict."
        )
    return {_unwrapped(str(name)): value for name, value in state.items()}


def read_learning_rate(path: str | Path) -> float:
    """Reads the learning rate that a phase had when its checkpoint was saved; the next phase starts with it.

    Args:
        path: a checkpoint of ours (key `learning_rate`) or of the published code (key `lr`).

    Returns:
        The learning rate.

    Raises:
        WeightsError: when the file cannot be read, or holds no positive learning rate.
    """
    content = read_checkpoint(path)
    found = next((content[key] for key in LEARNING_RATE_KEYS if key in content), None)
    if isinstance(found, torch.Tensor) and found.numel() == 1:
        found = found.item()
    if not isinstance(found, (int, float, np.number)) or not math.isfinite(found) or found <= 0:
        raise WeightsError(
            f"{path}: the learning rate is {found!r}, expected a positive number under the key "
            f"{LEARNING_RATE_KEYS[0]}; set the learning rate of this phase explicitly."
        )
    return float(found)


def describe(source: Source) -> str:
    """How messages call a source of weights: its path, or that it was given in memory."""
    return "the given weights" if isinstance(source, Mapping) else str(source)


def _unwrapped(name: str) -> str:
    for prefix in WRAPPER_PREFIXES:
        name = name.removeprefix(prefix)
    return name
