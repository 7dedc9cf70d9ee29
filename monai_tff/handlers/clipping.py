"""Clipping of the gradient between the backward pass and the optimiser's step."""

from __future__ import annotations

import torch
from ignite.engine import Engine
from monai.engines.utils import IterationEvents


class GradientClipping:
    """Scales the gradient down where its norm is above a bound, see `torch.nn.utils.clip_grad_norm_`.

    Args:
        network: its parameters' gradients are clipped together.
        max_norm: largest L2 norm allowed.
    """

    def __init__(self, network: torch.nn.Module, max_norm: float) -> None:
        self.network = network
        self.max_norm = max_norm

    def attach(self, engine: Engine) -> None:
        """Attaches to a MONAI trainer.

        Args:
            engine: the trainer.
        """
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Clips the gradients of this step."""
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm)
