"""`metrics.csv`: every number of a run in one long table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from monai.utils import CommonKeys

from monai_tff.handlers.files import replaced_file, write_error
from monai_tff.handlers.loss_metrics import WeightedMeans

COLUMNS = ("epoch", "iteration", "split", "name", "value")
TRAINING = "training"


class MetricsTable:
    """Appends the training means of each epoch and the metrics of each evaluation to a CSV file.

    One row per number: epoch and iteration of the trainer, split (`training`, or the evaluator's), name, value. The
    training means are over the windows of the epoch, those of all processes; the learning rate is that of the epoch's
    last iteration. When a run starts, rows later than the iteration it starts from (of a run that was killed) and a
    torn last line are dropped, so that no number is there twice. The first process writes.

    Args:
        path: the file.
        evaluators: evaluators by the name of their split, for example `{"validation": evaluator}`.
    """

    def __init__(self, path: str | Path, evaluators: Mapping[str, Evaluator] | None = None) -> None:
        self.path = Path(path)
        self.evaluators = dict(evaluators or {})
        self._means = WeightedMeans()
        self._learning_rate: float | None = None
        self._ready = False

    def attach(self, engine: Engine) -> None:
        """Registers with the trainer, and with the evaluators.

        Args:
            engine: a MONAI trainer; `TrainingScalars` adds the terms of its loss and the learning rate.
        """
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._complete_epoch)
        for split, evaluator in self.evaluators.items():
            evaluator.add_event_handler(Events.COMPLETED, self._complete_evaluation, engine, split)

    def _start(self, engine: Engine) -> None:
        self._ready = False

    def _start_epoch(self, engine: Engine) -> None:
        self._means.reset()
        self._learning_rate = None
        self._drop_later_rows(engine.state.epoch - 1, engine.state.iteration)

    def _add(self, engine: Engine) -> None:
        output: Any = engine.state.output
        scalars = dict(output.get("scalars", {CommonKeys.LOSS: output[CommonKeys.LOSS]}))
        self._learning_rate = scalars.pop("learning_rate", None)
        self._means.add(scalars, output[CommonKeys.PRED].shape[0])

    def _complete_epoch(self, engine: Engine) -> None:
        values = self._means.compute()
        if self._learning_rate is not None:
            values["learning_rate"] = self._learning_rate
        self._append(engine, TRAINING, values)

    def _complete_evaluation(self, evaluator: Engine, trainer: Engine, split: str) -> None:
        self._drop_later_rows(trainer.state.epoch, trainer.state.iteration)
        self._append(trainer, split, scalar_values(evaluator.state.metrics))

    def _append(self, trainer: Engine, split: str, values: Mapping[str, float]) -> None:
        if idist.get_rank() != 0:
            return
        position = (trainer.state.epoch, trainer.state.iteration, split)
        try:
            with open(self.path, "a", newline="", encoding="utf-8") as file:
                rows = [(*position, name, repr(float(value))) for name, value in values.items()]
                csv.writer(file, lineterminator="\n").writerows(rows)
        except OSError as error:
            raise write_error(self.path, error) from error

    def _drop_later_rows(self, epoch: int, iteration: int) -> None:
        """Once per run, at its first event that comes after the state was restored."""
        if self._ready or idist.get_rank() != 0:
            return
        self._ready = True
        rows = [row for row in read_rows(self.path) if int(row[0]) <= epoch and int(row[1]) <= iteration]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
        with replaced_file(self.path) as file:
            file.write(text.getvalue().encode())


def read_rows(path: Path) -> list[list[str]]:
    """The whole rows of a metrics table, without its header and without a torn last line.

    Args:
        path: the file, which need not be there.

    Returns:
        One list of `COLUMNS` per row, as text.
    """
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text[: text.rfind("\n") + 1]
    rows = list(csv.reader(io.StringIO(whole)))
    return [row for row in rows if len(row) == len(COLUMNS) and row[0].isdigit() and row[1].isdigit()]


def scalar_values(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that are single numbers.

    Args:
        metrics: `engine.state.metrics`.

    Returns:
        Numbers by name.
    """
    numbers = {
        name: value.item() if isinstance(value, torch.Tensor) and value.ndim == 0 else value
        for name, value in metrics.items()
    }
    return {name: float(value) for name, value in numbers.items() if isinstance(value, Real)}
