"""Stops a run whose loss is no longer a number, and says at which windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

from monai_tff.errors import ConfigError


class NonFiniteGuard:
    """Raises when the training loss is NaN or infinite, before its gradients reach the weights.

    ignite's `TerminateOnNan` looks after the optimiser's step and ends the run as if it were complete; here the
    weights are still finite, and nothing is saved after.

    Args:
        every: look at every n-th iteration only; reading the loss makes the host wait for a GPU. Weights that were
            spoilt in between are refused by `RunCheckpoint`.
    """

    def __init__(self, every: int = 1) -> None:
        if every < 1:
            raise ConfigError(f"NonFiniteGuard: every is {every}, expected 1 or more iterations.")
        self.every = every

    def attach(self, engine: Engine) -> None:
        """Registers with the trainer.

        Args:
            engine: a MONAI trainer, whose output holds the loss.
        """
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Looks at the loss of the iteration.

        Args:
            engine: the trainer.

        Raises:
            ConfigError: naming epoch, iteration, and the scans and windows of the batch.
        """
        state: Any = engine.state
        if state.iteration % self.every:
            return
        loss = state.output[CommonKeys.LOSS].detach()
        if not bool(torch.isfinite(loss)):
            raise ConfigError(
                f"the training loss is {loss.item()} in epoch {state.epoch}, iteration "
                f"{state.iteration}, expected a finite number, at {describe_batch(state.batch)}; look at "
                "these scans, lower the learning rate or clip the gradients, then continue from the last checkpoint "
                "with --resume true."
            )


def describe_batch(batch: Any) -> str:
    """Names the scans and windows of a training batch.

    Args:
        batch: a dictionary of lists with the scans' files under `scan` or the windows' sources under `image`, and
            the first frames under `window`.

    Returns:
        For example `a_bold.nii.gz (window from frame 40), b_bold.nii.gz (window from frame 0)`.
    """
    if not isinstance(batch, Mapping):
        return "a batch without records"
    scans = batch.get("scan") or [getattr(image, "source", None) for image in batch.get("image", ())]
    starts = batch.get("window") or [None] * len(scans)
    names = [
        f"{scan or 'an unnamed scan'}" + ("" if start is None else f" (window from frame {start})")
        for scan, start in zip(scans, starts, strict=True)
    ]
    return ", ".join(names) or "a batch without records"
