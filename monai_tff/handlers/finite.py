"""Stops a run whose loss is no longer a number, and says at which windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

from monai_tff.errors import ConfigError
from monai_tff.inferers.temporal import plain_network

WAY_OUT = "then continue from the last checkpoint with --resume true."


class NonFiniteGuard:
    """Raises when the training loss is NaN or infinite, before it reaches a checkpoint.

    ignite's `TerminateOnNan` looks after the optimiser's step and ends the run as if it were complete; with `every`
    of 1 the weights are still finite here, and nothing is saved after.

    Reading a loss makes the host wait for a GPU. With a larger `every` the losses are summed on the device, and the
    sum is read at every n-th iteration and at the last one of an epoch. Where it is not finite, the iterations since
    the last look are replayed: the loss of each of their batches is computed with the weights of that look, without
    dropout and gradient, and the first batch whose loss is not finite is named; if there is none, the weights
    diverged. The network is left with the weights of the last look.

    That costs, for `every` above 1 only, a copy of the weights on the device, written anew at each look, and the last
    `every` batches, still packed, in the host's (page-locked) memory.

    Args:
        every: iterations between two looks.

    Raises:
        ConfigError: for `every` below 1.
    """

    def __init__(self, every: int = 1) -> None:
        if every < 1:
            raise ConfigError(f"NonFiniteGuard: every is {every}, expected 1 or more iterations.")
        self.every = every
        self._batches: dict[int, Any] = {}  # by iteration, since the last look
        self._sum: torch.Tensor | None = None
        self._weights: dict[str, torch.Tensor] = {}

    def attach(self, engine: Engine) -> None:
        """Registers with the trainer.

        Args:
            engine: a MONAI trainer, whose output holds the loss.
        """
        engine.add_event_handler(Events.STARTED, self._forget)
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Notes the loss of the iteration, and looks at the losses since the last look if it is time.

        Args:
            engine: the trainer.

        Raises:
            ConfigError: naming epoch, iteration, and the scans and windows of the batch.
        """
        state: Any = engine.state
        loss = state.output[CommonKeys.LOSS].detach()
        if self.every == 1:
            if not bool(torch.isfinite(loss)):
                raise _of_a_batch(loss.item(), state.epoch, str(state.iteration), state.batch)
            return
        if not self._weights:
            self._keep_weights(engine)
        self._batches[state.iteration] = state.batch
        total = self._sum = loss if self._sum is None else self._sum + loss
        if state.iteration % self.every and state.iteration % (state.epoch_length or self.every):
            return
        if not bool(torch.isfinite(total)):
            raise self._found(engine, total.item())
        # The weights gave a finite loss at this iteration and are not yet changed by its step.
        self._keep_weights(engine)
        self._batches, self._sum = {}, None

    def _forget(self) -> None:
        self._batches, self._sum, self._weights = {}, None, {}

    def _keep_weights(self, engine: Any) -> None:
        for name, tensor in plain_network(engine.network).state_dict().items():
            if name in self._weights:
                self._weights[name].copy_(tensor)
            else:
                self._weights[name] = tensor.clone()

    def _found(self, engine: Any, total: float) -> ConfigError:
        """Replays the iterations since the last look, and tells what is wrong with them."""
        network = plain_network(engine.network)
        network.load_state_dict(self._weights)
        network.eval()
        epoch, first, last = engine.state.epoch, min(self._batches), max(self._batches)
        weights = "the first weights" if first == 1 else f"the weights of iteration {first - 1}"
        for iteration, batch in self._batches.items():
            loss = _loss_of(engine, network, batch)
            if not bool(torch.isfinite(loss)):
                place = f"{iteration} (found at iteration {last}, computed again with {weights})"
                return _of_a_batch(loss.item(), epoch, place, batch)
        elsewhere = " in this process" if idist.get_world_size() > 1 else ""
        return ConfigError(
            f"the training loss is {total} in epoch {epoch}, between iterations {first} and {last}, expected a finite "
            f"number; no batch alone{elsewhere} gives such a loss with {weights}, "
            f"so the weights diverged; lower the learning rate or clip the gradients, {WAY_OUT}"
        )


@torch.no_grad()
def _loss_of(engine: Any, network: torch.nn.Module, batch: Any) -> torch.Tensor:
    """The loss of a batch by itself; no process waits for another, and nothing is compiled for it."""
    with torch.compiler.set_stance("force_eager"):
        inputs, targets, *_ = engine.prepare_batch(batch, engine.state.device, engine.non_blocking, **engine.to_kwargs)
        return engine.loss_function(engine.inferer(inputs, network), targets).mean()


def _of_a_batch(loss: float, epoch: int, iteration: str, batch: Any) -> ConfigError:
    return ConfigError(
        f"the training loss is {loss} in epoch {epoch}, iteration {iteration}, expected a finite number, at "
        f"{describe_batch(batch)}; look at these scans, lower the learning rate or clip the gradients, {WAY_OUT}"
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
