"""The two checkpoints of a run: `last.pt`, everything to continue from, and `model.pt`, the best weights."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator

from monai_tff.errors import ConfigError, WeightsError
from monai_tff.handlers.checkpoint_files import (
    plain_state,
    read_checkpoint,
    refuse_another_run,
    restore,
    write_checkpoint,
)
from monai_tff.inferers.temporal import plain_network

LAST, BEST = "last.pt", "model.pt"
logger = logging.getLogger(__name__)


class RunCheckpoint:
    """Saves the last and the best state of a training run, and continues from the last.

    `last.pt` is written when everything else of an epoch's end is done, wherever this handler stands in the list,
    and holds network, optimiser, schedule, gradient scaler, epoch, iteration and the best metric so far. `model.pt`
    is written after an evaluation, in the middle of an epoch too, whose key metric is better than every one before;
    NaN is never better. Both are readable with `torch.load(weights_only=True)`, hold the plain network (no
    prefix of DistributedDataParallel or torch.compile), replace the old file in one step, and are
    not written at all when a weight is not finite. List this handler first: it restores the state before other
    handlers see the start of the run. Together with `EpochSeeds` a continued run ends in the same weights.

    Args:
        folder: the run's folder of models.
        network: the network that is trained.
        optimizer: its optimiser.
        contract: the input contract, `InputContract.to_dict()`.
        mode: `min` if a lower key metric is better (a loss), `max` if a higher one is.
        lr_scheduler: learning-rate schedule, if there is one.
        evaluator: its key metric decides; without one, `model.pt` is the last epoch's.
        seed: seed of the run, kept in the checkpoint.
        resume: continue from `last.pt` if it is there; otherwise a folder with checkpoints is refused.
    """

    def __init__(
        self,
        folder: str | Path,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        contract: Mapping[str, Any],
        *,
        mode: str,
        lr_scheduler: torch.optim.lr_scheduler.LRScheduler | None = None,
        evaluator: Evaluator | None = None,
        seed: int = 0,
        resume: bool = False,
    ) -> None:
        if mode not in ("min", "max"):
            raise ConfigError(f"RunCheckpoint: mode is '{mode}', expected min (a loss) or max (a score).")
        self.folder = Path(folder)
        self.network = network
        self.optimizer = optimizer
        self.contract = dict(contract)
        self.mode = mode
        self.lr_scheduler = lr_scheduler
        self.evaluator = evaluator
        self.seed = seed
        self.resume = resume
        self.best_value = math.nan
        self.best_epoch = -1
        self._trainer: Engine | None = None

    def attach(self, engine: Engine) -> None:
        """Registers with the trainer, and with the evaluator.

        Args:
            engine: a MONAI trainer.
        """
        self._trainer = engine
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.COMPLETED, self._warn_without_best)
        if self.evaluator is not None:
            self.evaluator.add_event_handler(Events.COMPLETED, self.save_best)

    def start(self, engine: Engine) -> None:
        """Restores the last state, or makes sure that the folder is free.

        Args:
            engine: the trainer.

        Raises:
            ConfigError: if checkpoints are there but `resume` is not set.
            WeightsError: if `last.pt` cannot be read, was written by a run of other settings, or is not the same for
                all processes.
        """
        # Registered only now, so that it runs after every handler that the lists attached to the same event.
        if not engine.has_event_handler(self.save_last, Events.EPOCH_COMPLETED):
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.save_last)
        found = [name for name in (LAST, BEST) if (self.folder / name).exists()]
        if found and not self.resume:
            raise ConfigError(
                f"{self.folder / found[0]}: there is already a checkpoint, expected a folder without one; continue "
                "that run with --resume true, or choose another folder."
            )
        if LAST in found:
            self._continue(engine, read_checkpoint(self.folder / LAST))
        self._refuse_another_folder(engine)

    def _refuse_another_folder(self, engine: Engine) -> None:
        """All processes must continue from the same checkpoint, or start without one."""
        if idist.get_world_size() == 1:
            return
        everyone: Any = idist.all_gather([engine.state.iteration])
        for rank, (iteration,) in enumerate(everyone):
            if iteration != everyone[0][0]:
                raise WeightsError(
                    f"{self.folder / LAST}: is of iteration {everyone[0][0]} for process 0, but of {iteration} for "
                    f"process {rank} (0: it is not there), expected one file for all; choose a run_dir on a file "
                    "system that all machines share."
                )

    def _continue(self, engine: Engine, checkpoint: Mapping[str, Any]) -> None:
        path = self.folder / LAST
        settings = {"contract": self.contract, "seed": self.seed, "epoch_length": engine.state.epoch_length}
        refuse_another_run(path, checkpoint, {**settings, "mode": self.mode})
        restore(path, checkpoint, self._stateful(engine))
        engine.state.epoch = checkpoint["epoch"]
        engine.state.iteration = checkpoint["iteration"]
        self.best_value, self.best_epoch = checkpoint["best_metric"], checkpoint["best_epoch"]
        self._tell_evaluator()
        logger.info(
            f"{path}: continued after epoch {engine.state.epoch} of {engine.state.max_epochs}, iteration "
            f"{engine.state.iteration}, best metric {self.best_value:.6g} of epoch {self.best_epoch}."
        )

    def save_last(self, engine: Engine) -> None:
        """Writes `last.pt`.

        Args:
            engine: the trainer, at the end of an epoch.

        Raises:
            WeightsError: if a weight is not finite; the old file stays.
            ConfigError: if the disk refuses; the old file stays.
        """
        if self.evaluator is None:
            self.best_epoch = engine.state.epoch
            self._write(BEST, {**self._common(engine), "metric": {}})
        states = {name: part.state_dict() for name, part in self._stateful(engine).items()}
        position = {"epoch_length": engine.state.epoch_length, "mode": self.mode}
        best = {"best_metric": self.best_value, "best_epoch": self.best_epoch}
        self._write(LAST, {**self._common(engine), **states, **position, **best})

    def save_best(self, engine: Engine) -> None:
        """Writes `model.pt` if the evaluation that ended is the best so far.

        Args:
            engine: the evaluator.

        Raises:
            WeightsError: as in `save_last`.
            ConfigError: as in `save_last`, or if the evaluator has no key metric.
        """
        if self._trainer is None:
            raise RuntimeError("RunCheckpoint must be attached to a trainer.")
        name = getattr(engine.state, "key_metric_name", None)
        if name is None:
            raise ConfigError("RunCheckpoint: the evaluator has no key metric, expected key_val_metric to be set.")
        value = float(engine.state.metrics[name])
        if self._improves(value):
            self.best_value, self.best_epoch = value, self._trainer.state.epoch
            metric = {"name": name, "value": value, "mode": self.mode}
            self._write(BEST, {**self._common(self._trainer), "metric": metric})
        self._tell_evaluator()

    def _improves(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        if math.isnan(self.best_value):
            return True
        return value < self.best_value if self.mode == "min" else value > self.best_value

    def _tell_evaluator(self) -> None:
        """MONAI's evaluator compares by itself, takes a first NaN for the best and forgets it in a continued run."""
        if self.evaluator is not None and self.best_epoch >= 0:
            self.evaluator.state.best_metric = self.best_value
            self.evaluator.state.best_metric_epoch = self.best_epoch

    def _stateful(self, engine: Engine) -> dict[str, Any]:
        scaler = getattr(engine, "scaler", None)
        parts = {
            "model": plain_network(self.network),
            "optimizer": self.optimizer,
            "lr_scheduler": self.lr_scheduler,
            "scaler": scaler if scaler is not None and scaler.is_enabled() else None,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def _common(self, trainer: Engine) -> dict[str, Any]:
        return {
            "model": plain_network(self.network).state_dict(),
            "learning_rate": float(self.optimizer.param_groups[0]["lr"]),
            "epoch": trainer.state.epoch,
            "iteration": trainer.state.iteration,
            "contract": self.contract,
            "seed": self.seed,
        }

    def _write(self, name: str, checkpoint: Mapping[str, Any]) -> None:
        if idist.get_rank() == 0:
            write_checkpoint(self.folder / name, plain_state(checkpoint))

    def _warn_without_best(self, engine: Engine) -> None:
        if self.best_epoch < 0:
            logger.warning(
                f"{self.folder / BEST}: not written, because no evaluation gave a finite key metric in "
                f"{engine.state.epoch} epochs."
            )
