"""Random numbers that depend on the epoch alone, so that a continued run repeats nothing and misses nothing."""

from __future__ import annotations

import random
from typing import Any, Protocol

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd


class EpochSampler(Protocol):
    """A sampler whose order depends on the epoch it is told."""

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order the next iteration gives."""


class EpochSeeds:
    """Seeds every generator at the start of each epoch and starts the epoch's batches anew.

    Python's `random`, NumPy and torch each get their own word of `numpy.random.SeedSequence([seed, epoch, rank])`, a
    documented mixing that is the same on every platform: neighbouring epochs and ranks (whose dropout must differ)
    get unrelated numbers. MONAI's random transforms of a dataset that is read in the main process are seeded
    with the next word; in worker processes they follow torch's seed, as long as workers are not persistent.

    The sampler is told the epoch and the data loader is opened after that, so an epoch begins with the loader's
    first batch even where `epoch_length` is shorter than the loader.

    Args:
        seed: seed of the whole run.
        sampler: told the epoch, see `EpochSampler`; None where the order depends on torch's seed alone.
    """

    def __init__(self, seed: int, sampler: EpochSampler | None = None) -> None:
        self.seed = seed
        self.sampler = sampler

    def attach(self, engine: Engine) -> None:
        """Registers with the trainer.

        Args:
            engine: the trainer.
        """
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seeds the epoch that begins.

        Args:
            engine: the trainer, its `state.epoch` counted from 1.
        """
        words = epoch_seeds(self.seed, engine.state.epoch, idist.get_rank())
        random.seed(words[0])
        np.random.seed(words[1])  # what draws from NumPy's global generator must repeat too
        torch.manual_seed(words[2])
        if self.sampler is not None:
            self.sampler.set_epoch(engine.state.epoch)
        loader: Any = engine.state.dataloader
        if getattr(loader, "num_workers", 0) == 0 and hasattr(loader, "dataset"):
            set_rnd(loader.dataset, words[3])
        engine.set_data(loader)


def epoch_seeds(seed: int, epoch: int, rank: int = 0) -> tuple[int, int, int, int]:
    """The four seeds of an epoch: for `random`, NumPy, torch and MONAI's transforms.

    Args:
        seed: seed of the whole run, not negative.
        epoch: counted from 1.
        rank: process of a distributed run.

    Returns:
        Four integers below 2**32.

    Example:
        >>> epoch_seeds(0, 1) == epoch_seeds(0, 1), epoch_seeds(0, 1) == epoch_seeds(0, 2)
        (True, False)
    """
    first, second, third, fourth = np.random.SeedSequence([seed, epoch, rank]).generate_state(4).tolist()
    return first, second, third, fourth
