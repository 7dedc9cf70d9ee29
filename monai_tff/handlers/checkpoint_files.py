"""Checkpoint files: tensors, numbers and strings only, checked before they are written and after they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_tff.errors import WeightsError
from monai_tff.handlers.files import replaced_file, write_error

LAST_KEYS = (
    "model",
    "optimizer",
    "learning_rate",
    "epoch",
    "iteration",
    "contract",
    "seed",
    "best_metric",
    "best_epoch",
)


def plain_state(value: Any) -> Any:
    """Copies a nested state into what `torch.load(weights_only=True)` reads everywhere.

    Args:
        value: tensors, numbers, strings, None, and mappings, lists and tuples of them.

    Returns:
        The same, tensors on the CPU (not copied if they are there), NumPy's numbers as Python's.

    Raises:
        TypeError: for anything else, which could be written but not read back.
    """
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {key: plain_state(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([plain_state(item) for item in value])
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}; tensors, numbers and strings only.")


def not_finite(value: Any, name: str = "") -> str | None:
    """Looks for NaN and infinity in the tensors of a nested state.

    Args:
        value: as `plain_state` returns it.
        name: where the value is, for the answer.

    Returns:
        The dotted name of the first tensor that holds one, or None.
    """
    if isinstance(value, torch.Tensor):
        return None if not value.is_floating_point() or bool(torch.isfinite(value).all()) else name
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    found = (not_finite(item, f"{name}.{key}" if name else str(key)) for key, item in items)
    return next((where for where in found if where is not None), None)


def write_checkpoint(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Writes a checkpoint in one step; whatever goes wrong, the old file stays.

    Args:
        path: the file.
        checkpoint: as `plain_state` returns it.

    Raises:
        WeightsError: if a tensor is not finite.
        ConfigError: if the disk refuses.
    """
    where = not_finite(checkpoint)
    if where is not None:
        kept = "the one written before is kept" if path.exists() else "nothing was written"
        raise WeightsError(
            f"{path}: '{where}' holds NaN or infinity after epoch {checkpoint.get('epoch')}, expected finite weights; "
            f"{kept}: lower the learning rate or clip the gradients, then continue with --resume true."
        )
    try:
        with replaced_file(path) as file:
            torch.save(dict(checkpoint), file)
    except RuntimeError as error:  # how torch wraps what the disk said
        if isinstance(error.__context__, OSError):
            raise write_error(path, error.__context__) from error
        raise


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads what `RunCheckpoint` saved at the end of an epoch, on the CPU.

    Args:
        path: a `last.pt`.

    Raises:
        WeightsError: if it cannot be read or lacks a part.
    """
    advice = "move it away to start the run anew, or put back a whole copy."
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no checkpoint fail in any way that unpickling knows
        reason = str(error).strip().split("\n")[0][:120] or type(error).__name__
        raise WeightsError(f"{path}: cannot be read ({reason}), expected the checkpoint of a run; {advice}") from error
    missing = [key for key in LAST_KEYS if not isinstance(checkpoint, Mapping) or key not in checkpoint]
    if missing:
        raise WeightsError(f"{path}: lacks {', '.join(missing)}, expected the checkpoint of a run; {advice}")
    return dict(checkpoint)


def refuse_another_run(path: Path, checkpoint: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Compares the settings that a continued run must share with the run that wrote the checkpoint.

    Args:
        path: the checkpoint, for the message.
        checkpoint: what it holds.
        settings: the present run's.

    Raises:
        WeightsError: naming the first setting that differs, and both values.
    """
    for name, value in settings.items():
        found = checkpoint.get(name)
        if isinstance(value, Mapping) and isinstance(found, Mapping):
            parts = [{f"{name} {key}": part for key, part in whole.items()} for whole in (found, value)]
            refuse_another_run(path, *parts)
        elif _json_form(found) != _json_form(value):
            raise WeightsError(
                f"{path}: the run that wrote it has {name} {found}, but this one has {value}; continue with the "
                "settings it began with, or start a new run folder."
            )


def _json_form(value: Any) -> Any:
    """Tuples and lists are the same setting."""
    return json.loads(json.dumps(value))


def restore(path: Path, checkpoint: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
    """Loads each part's state.

    Args:
        path: the checkpoint, for the message.
        checkpoint: what it holds.
        parts: objects with `load_state_dict`, by their name in the checkpoint.

    Raises:
        WeightsError: if a part is missing or does not fit.
    """
    for name, part in parts.items():
        if name not in checkpoint:
            raise WeightsError(
                f"{path}: holds no state for '{name}', which this run has; continue with the settings it began "
                "with, or start a new run folder."
            )
        try:
            part.load_state_dict(checkpoint[name])
        except (RuntimeError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise WeightsError(
                f"{path}: its '{name}' does not fit this run's ({reason}); continue with the settings it began "
                "with, or start a new run folder."
            ) from error
