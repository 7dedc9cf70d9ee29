"""The learning-rate schedule of the paper: steps that end just below a floor."""

from __future__ import annotations

import torch
from torch.optim.lr_scheduler import LRScheduler

from monai_tff.errors import ConfigError


class FlooredStepLR(LRScheduler):
    """Multiplies the learning rate by gamma every `step_size` optimiser steps, as long as it is above a floor.

    Call `step` once after each optimiser step. The floor is compared before the rate is changed, as published, so the
    rate ends at or just below the floor and stays there: 1e-3 x 0.97 every 500 steps ends at 9.757e-6, from step
    76,000 on.

    Args:
        optimizer: its parameter groups are scheduled each by its own rate.
        step_size: optimiser steps between two changes.
        gamma: factor of a change, above 0 and at most 1.
        floor: rate at or below which nothing is changed any more.
        last_epoch: number of steps already taken, -1 for a new schedule.

    Raises:
        ConfigError: for a step_size, gamma or floor out of range.

    Example:
        >>> optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=1e-3)
        >>> schedule = FlooredStepLR(optimizer, step_size=500, gamma=0.97)
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        step_size: int,
        gamma: float,
        floor: float = 1e-5,
        last_epoch: int = -1,
    ) -> None:
        if step_size < 1 or not 0 < gamma <= 1 or floor < 0:
            raise ConfigError(
                f"learning-rate schedule: step_size is {step_size}, gamma {gamma} and floor {floor}, expected "
                "step_size >= 1, 0 < gamma <= 1 and floor >= 0."
            )
        self.step_size = step_size
        self.gamma = gamma
        self.floor = floor
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | torch.Tensor]:
        """Computes the rate of each parameter group after the current step from the rate before it."""
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return rates
        return [rate * self.gamma if rate > self.floor else rate for rate in rates]
