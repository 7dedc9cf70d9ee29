"""What each process takes where several train or evaluate together; with one process that is everything.

A batch size is that of all processes together, so that a run means the same on one and on many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any

import ignite.distributed as idist
from torch.utils.data import BatchSampler, Sampler

from monai_tff.data.windows import WindowIndex
from monai_tff.errors import ConfigError


class TrainingBatches(Sampler):
    """Batches of windows, of which each process takes its share.

    The processes go through the same batches and have as many; shares differ by at most one window. Where a batch has
    fewer windows than there are processes, one without a window gets a filler, which `prepare_batch` leaves out.

    Args:
        sampler: gives the same `WindowIndex` sequence in every process.
        batch_size: windows of a batch, over all processes.

    Raises:
        ConfigError: for fewer windows in a batch than processes.
    """

    def __init__(self, sampler: Sampler, batch_size: int) -> None:
        processes = idist.get_world_size()
        if batch_size < processes:
            raise ConfigError(
                f"batch_size is {batch_size}, the windows of a step over all processes together, but there are "
                f"{processes} processes, expected at least one window for each; set batch_size to a multiple of "
                f"{processes}, or start fewer processes."
            )
        self.batches = BatchSampler(sampler, batch_size, drop_last=False)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.batches)

    def __iter__(self) -> Iterator[list[WindowIndex]]:
        """Yields this process's share of each batch."""
        rank, processes = idist.get_rank(), idist.get_world_size()
        for batch in self.batches:
            windows: list[Any] = batch
            yield windows[rank::processes] or [windows[0]._replace(filler=True)]


class EvaluationBatches(Sampler):
    """Whole batches, each of which one process takes: a mean over a batch is then that of one process.

    Where there are fewer batches than processes, one without a batch gets a filler, which `prepare_batch` leaves out.

    Args:
        sampler: gives the same `WindowIndex` sequence in every process.
        batch_size: windows of a batch.
    """

    def __init__(self, sampler: Sampler, batch_size: int) -> None:
        self.batches = BatchSampler(sampler, batch_size, drop_last=False)

    def __len__(self) -> int:
        """Batches of this process."""
        own = len(range(idist.get_rank(), len(self.batches), idist.get_world_size()))
        return own or min(1, len(self.batches))

    def __iter__(self) -> Iterator[list[WindowIndex]]:
        """Yields the batches of this process."""
        rank, processes = idist.get_rank(), idist.get_world_size()
        has_none = rank >= len(self.batches)
        for number, batch in enumerate(self.batches):
            windows: list[Any] = batch
            if has_none:
                yield [windows[0]._replace(filler=True)]
                return
            if number % processes == rank:
                yield windows


class EvaluationScans(Sampler):
    """Whole scans, one after the other, each in one process.

    Where there are fewer scans than processes, one without a scan takes the first as well: window scores are
    gathered by scan, so that it counts once.

    Args:
        dataset: the scans.
    """

    def __init__(self, dataset: Sized) -> None:
        self.dataset = dataset

    def _share(self) -> range:
        return range(idist.get_rank(), len(self.dataset), idist.get_world_size()) or range(min(1, len(self.dataset)))

    def __len__(self) -> int:
        """Scans of this process."""
        return len(self._share())

    def __iter__(self) -> Iterator[int]:
        """Yields the indices of this process."""
        return iter(self._share())
