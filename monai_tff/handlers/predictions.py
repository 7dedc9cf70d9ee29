"""What an evaluation leaves behind: predictions, window scores, and metrics with intervals."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events

from monai_tff.contract import Target
from monai_tff.handlers.evaluation_files import EvaluationSettings, write_evaluation
from monai_tff.handlers.files import write_error
from monai_tff.handlers.window_rows import WindowRows


class PredictionsWriter:
    """Writes predictions, window scores and metrics when an evaluation of whole scans has ended.

    `predictions.csv` has one row per scoring unit: subject, session, scans, windows, score (probability of class 1;
    `score_0`, `score_1`, ... for several classes; value in the target's units), spread (standard deviation over
    windows, variability within the scans, no uncertainty of the score), truth and, for classes, the name of the
    predicted one; `predictions.json` is the same as a list of objects. `windows.csv` has one row per window.
    `metrics.json` holds the numbers, their 95 % intervals, the warnings and the counts; its closing lines are printed.
    Scans without labels are scored by session and get predictions only. Every process must take part; the first one
    writes, each file in one step.

    Args:
        output_dir: folder of the files.
        target: what is predicted.
        details: further entries of `metrics.json`, which JSON can hold.
        **settings: the other attributes of `EvaluationSettings`, such as `split` and `threshold`.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike[str],
        target: Target,
        *,
        details: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.settings = EvaluationSettings(target, **settings)
        self.details = details
        self._rows = WindowRows(target)

    def attach(self, engine: Engine) -> None:
        """Registers with an evaluator whose batches are one whole scan.

        Args:
            engine: the evaluator.
        """
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._rows.add)
        engine.add_event_handler(Events.COMPLETED, self)

    def _start(self, engine: Engine) -> None:
        # Found now, before an hour of predictions: a file has the name of the folder, or of one above it.
        try:
            (self.output_dir / "metrics.json").lstat()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise write_error(self.output_dir, error) from error
        self._rows.reset()

    def __call__(self, engine: Engine) -> None:
        """Writes the files of the evaluation that has ended, and prints its closing lines.

        Args:
            engine: the evaluator.

        Raises:
            DatalistError: if there was no scan, or a unit has several labels.
            ContractError: for scores that are not finite.
        """
        windows = self._rows.gather()
        if idist.get_rank() == 0:
            print(*write_evaluation(self.output_dir, windows, self.settings, self.details), sep="\n")
