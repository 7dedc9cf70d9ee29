"""Progress of a run: a bar in a terminal, a line now and then in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import ignite.distributed as idist
from ignite.engine import Engine, Events
from ignite.handlers.tqdm_logger import ProgressBar

BAR_FORMAT = "{desc}[{n_fmt}/{total_fmt}] {percentage:3.0f}%|{bar}{postfix} [{elapsed}<{remaining}, {rate_fmt}]"

BETWEEN_READINGS = 0.5
"""Seconds."""


class Progress:
    """Shows the loss, the rate and the time left.

    In a terminal that is ignite's bar, one per epoch, whose numbers change twice a second at most: to read them makes
    the host wait for a GPU. Elsewhere a line is written per tenth of the run, and in
    between after `seconds` seconds and at least a hundredth of the run: about a hundred lines at most, however long
    the run is. The first process alone shows anything.

    Args:
        description: what is going on, for example `training`.
        output_transform: from the engine's output to the numbers to show by name, for example `training_scalars`;
            None shows none.
        seconds: between two lines.
        stream: where to write; standard error by default.
    """

    def __init__(
        self,
        description: str = "training",
        output_transform: Callable[[Any], Mapping[str, Any]] | None = None,
        seconds: float = 30.0,
        stream: TextIO | None = None,
    ) -> None:
        self.description = description
        self.output_transform = output_transform
        self.seconds = seconds
        self.stream = sys.stderr if stream is None else stream
        self._total: int | None = None
        self._read: float | None = None
        self._numbers: dict[str, float] = {}

    def attach(self, engine: Engine) -> None:
        """Registers with a trainer or evaluator.

        Args:
            engine: the engine.
        """
        if idist.get_rank() != 0:
            return
        if self.stream.isatty():
            bar = ProgressBar(bar_format=BAR_FORMAT, desc=self.description, file=self.stream, dynamic_ncols=True)
            bar.attach(engine, output_transform=self.output_transform and self._seldom)
            return
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._count)

    def _seldom(self, output: Any) -> dict[str, float]:
        """The numbers to show, read anew only where those of the last time are no longer news."""
        now = time.monotonic()
        if self.output_transform is not None and (self._read is None or now - self._read >= BETWEEN_READINGS):
            self._read = now
            self._numbers = {name: float(value) for name, value in self.output_transform(output).items()}
        return self._numbers

    def _start(self, engine: Engine) -> None:
        self._total = None

    def _start_epoch(self, engine: Engine) -> None:
        """The first epoch tells how many there are to do: a continued run begins later than at 1."""
        state: Any = engine.state
        if self._total is None and state.epoch_length is not None:
            self._total = (state.max_epochs - state.epoch + 1) * state.epoch_length
            self._done = self._shown = 0
            self._begin = self._last = time.monotonic()

    def _count(self, engine: Engine) -> None:
        if self._total is None:
            return
        self._done += 1
        now = time.monotonic()
        tenth = self._done * 10 // self._total > self._shown * 10 // self._total
        waited = now - self._last >= self.seconds and (self._done - self._shown) * 100 >= self._total
        if tenth or waited:
            self._last, self._shown = now, self._done
            print(self._line(engine, now - self._begin, self._total), file=self.stream, flush=True)

    def _line(self, engine: Engine, elapsed: float, total: int) -> str:
        state: Any = engine.state
        position = (state.iteration - 1) % state.epoch_length + 1
        shown = {} if self.output_transform is None else self.output_transform(state.output)
        epoch = f"epoch {state.epoch}/{state.max_epochs}, " if state.max_epochs > 1 else ""
        parts = [
            f"{self.description}: {epoch}iteration {position}/{state.epoch_length} ({100 * self._done // total} %)",
            *(f"{name} {float(value):.4g}" for name, value in shown.items()),
            f"{self._done / max(elapsed, 1e-9):.3g} iterations/s",
            f"{clock(elapsed / self._done * (total - self._done))} left",
        ]
        return ", ".join(parts)


def clock(seconds: float) -> str:
    """A duration as a clock shows it.

    Args:
        seconds: the duration.

    Returns:
        Minutes and seconds, and hours if there are any.

    Example:
        >>> clock(3725), clock(59.6)
        ('1:02:05', '1:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
