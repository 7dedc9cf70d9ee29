"""Losses as numbers to look at: the mean over an evaluation, and each term of the training loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ignite.distributed as idist
import torch
import torch.distributed as dist
from ignite.engine import Engine
from ignite.metrics import Metric
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

TOTAL = "total"


class WeightedMeans:
    """Means of named scalars over what all processes added; the sums stay on the device until they are asked for."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets everything added."""
        self._sums: dict[str, torch.Tensor] = {}
        self._counts: dict[str, float] = {}

    def add(self, values: Mapping[str, torch.Tensor], count: float) -> None:
        """Adds means over `count` elements.

        Args:
            values: scalar tensors by name.
            count: their weight.
        """
        for name, value in values.items():
            dtype = torch.float32 if value.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
            term = value.detach().to(dtype) * count
            self._sums[name] = self._sums[name] + term if name in self._sums else term
            self._counts[name] = self._counts.get(name, 0.0) + count

    def compute(self) -> dict[str, float]:
        """The means over all processes; each process must call it, also one that added nothing."""
        own = {name: (self._sums[name].item(), self._counts[name]) for name in self._sums}
        everyone: Any = idist.all_gather(own)
        names = dict.fromkeys(name for sums in everyone for name in sums)
        return {
            name: sum(sums[name][0] for sums in everyone if name in sums)
            / sum(sums[name][1] for sums in everyone if name in sums)
            for name in names
        }


class MeanLoss(Metric):
    """Mean of a loss, and of each of its terms, over the windows of an evaluation.

    The means are weighted by the number of windows in a batch and taken over all processes; the loader of a
    distributed evaluation must not repeat windows to fill its last batch (`DistributedSampler(even_divisible=False)`).
    It starts anew with every evaluation.

    Args:
        loss_function: called with prediction and label; its `terms`, if it has any, are scalars by name.
        prefix: put before the names of the values in `engine.state.metrics`: `total` and those of the terms.

    Example:
        >>> metric = MeanLoss(torch.nn.L1Loss())
        >>> metric.update((torch.zeros(3, 1), torch.ones(3, 1)))
        >>> metric.compute()
        1.0
    """

    required_output_keys = (CommonKeys.PRED, CommonKeys.LABEL)

    def __init__(self, loss_function: torch.nn.Module, prefix: str = "") -> None:
        self.loss_function = loss_function
        self.prefix = prefix
        self._means = WeightedMeans()
        super().__init__(skip_unrolling=True)

    def reset(self) -> None:
        """Starts an evaluation."""
        self._means.reset()

    @torch.no_grad()
    def update(self, output: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Adds a batch.

        Args:
            output: prediction and label, the first axis of the prediction is that of windows.
        """
        prediction, label = output
        total = self.loss_function(prediction, label).mean()
        self._means.add({**loss_terms(self.loss_function), TOTAL: total}, prediction.shape[0])

    def compute(self) -> float:
        """The mean of the total loss, NaN if there was no window."""
        return self._means.compute().get(TOTAL, float("nan"))

    def completed(self, engine: Engine, name: str) -> None:
        """Puts the total under `name`, and total and terms under their own names, into `engine.state.metrics`.

        Args:
            engine: the evaluator.
            name: name of the metric.
        """
        values = self._means.compute()
        engine.state.metrics.update({f"{self.prefix}{key}": value for key, value in values.items()})
        engine.state.metrics[name] = values.get(TOTAL, float("nan"))


class TrainingScalars:
    """Puts the training loss, each of its terms and the learning rate under `scalars` into the trainer's output.

    Statistics handlers read them there, with `output_transform=training_scalars`. Where several processes train
    together, each has the means over the processes, which are those of the whole batch, see
    `monai_tff.losses.process_mean`.

    Args:
        loss_function: the trainer's loss.
        optimizer: whose learning rate is shown; None for none.
    """

    def __init__(self, loss_function: torch.nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
        self.loss_function = loss_function
        self.optimizer = optimizer

    def attach(self, engine: Engine) -> None:
        """Registers with the trainer.

        Args:
            engine: a MONAI trainer.
        """
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Notes the scalars of the iteration; nothing is read from the device. Every process must call it.

        Args:
            engine: the trainer.
        """
        output: Any = engine.state.output
        scalars: dict[str, Any] = {CommonKeys.LOSS: output[CommonKeys.LOSS].detach()}
        scalars |= {name: value for name, value in loss_terms(self.loss_function).items() if name != TOTAL}
        scalars = _mean_over_processes(scalars)
        if self.optimizer is not None:
            scalars["learning_rate"] = float(self.optimizer.param_groups[0]["lr"])
        output["scalars"] = scalars


def _mean_over_processes(scalars: dict[str, Any]) -> dict[str, Any]:
    if idist.get_world_size() == 1:
        return scalars
    together = torch.stack([value.detach().float() for value in scalars.values()]) / idist.get_world_size()
    dist.all_reduce(together)
    return dict(zip(scalars, together.unbind(), strict=True))


def training_scalars(output: Mapping[str, Any]) -> dict[str, Any]:
    """Output transform for MONAI's statistics handlers and for the progress bar.

    Args:
        output: a trainer's output that `TrainingScalars` completed.

    Returns:
        Loss, terms and learning rate by name.
    """
    return dict(output["scalars"])


def loss_terms(loss_function: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The terms of a loss's last call, none for a loss without terms."""
    return dict(getattr(loss_function, "terms", {}))
