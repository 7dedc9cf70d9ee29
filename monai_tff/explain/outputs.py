"""What is explained: one number of the network's output."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from monai_tff.contract import Target
from monai_tff.explain.gradients import FRAMES_AT_ONCE, Output


def explained_in_words(target: Target, paper_head: bool) -> str:
    """What the maps are of, for explain.json."""
    if target.kind == "regression":
        return f"the network's output for {target.name}" + ("" if paper_head else ", in its standard deviations")
    if target.kind == "multiclass":
        return "logit of the class that is predicted for the window"
    what = "probability" if paper_head else "logit"
    return f"{what} of the class {target.class_names[1]}"


def predicted_class(outputs: torch.Tensor, target: Target, paper_head: bool) -> int | None:
    """Class of one window, by the network alone: threshold and temperature do not belong to it.

    Args:
        outputs: of the network, `[num_outputs]`.
        target: what is predicted.
        paper_head: whether two classes are told apart by a probability instead of a logit.

    Returns:
        Index of the class, None for a number.
    """
    if target.kind == "regression":
        return None
    if target.kind == "multiclass":
        return int(outputs.argmax())
    return int(float(outputs[0]) > (0.5 if paper_head else 0.0))


def column_of(target: Target, predicted: int | None) -> int:
    """Which of the network's outputs is explained."""
    return predicted if target.kind == "multiclass" and predicted is not None else 0


def output_of(network: Any, column: int) -> Output:
    """The number that is explained, as a function of windows `[B, 2, H, W, D, T]` or of codes `[B, T, hidden]`."""
    return lambda inputs: network(inputs if inputs.ndim == 3 else _codes(network, inputs))[:, column]


def _codes(network: Any, windows: torch.Tensor) -> torch.Tensor:
    """Codes of the frames; of many of them the activations are computed again when gradients need them, not kept."""
    run = max(1, FRAMES_AT_ONCE // len(windows))
    if windows.shape[-1] <= run or not torch.is_grad_enabled():
        return network.encode_frames(windows)
    return torch.cat(
        [checkpoint(network.encode_frames, part, use_reentrant=False) for part in windows.split(run, dim=-1)], dim=1
    )
