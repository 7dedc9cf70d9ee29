"""What an evaluation leaves behind: predictions, window scores, and metrics with intervals."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import pandas as pd
from ignite.engine import Engine, Events

from monai_tff.contract import Target
from monai_tff.handlers.files import replaced_file, write_error
from monai_tff.handlers.window_rows import WindowRows
from monai_tff.metrics import SubjectResult, aggregate, evaluate_units, format_result, predicted_classes, score_columns


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
        split: section of the datalist, for the files and the closing lines.
        threshold: probability above which class 1 is named.
        flat: average over all windows at once (the paper's recipe).
        baseline_value: mean of a regression target over the training subjects, to compare with.
        bootstrap_samples: draws of the group bootstrap behind the intervals, 0 for no intervals.
        seed: of the bootstrap.
        pretraining_overlap: what is known of it, `none`, `none (by content)` or `unknown`, to be said with the metrics;
            None says nothing.
    """

    def __init__(
        self,
        output_dir: str | os.PathLike[str],
        target: Target,
        *,
        split: str = "test",
        threshold: float = 0.5,
        flat: bool = False,
        baseline_value: float | None = None,
        bootstrap_samples: int = 2000,
        seed: int = 0,
        pretraining_overlap: str | None = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.target = target
        self.split = split
        self.threshold = threshold
        self.flat = flat
        self.baseline_value = baseline_value
        self.bootstrap_samples = bootstrap_samples
        self.seed = seed
        self.pretraining_overlap = pretraining_overlap
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
        if idist.get_rank() != 0:
            return
        labelled = bool(windows["truth"].notna().all())
        units = aggregate(windows, self.target, flat=self.flat, unit=None if labelled else "session")
        result = self._evaluate(units) if labelled else None
        # The old numbers go first and the new ones come last: metrics.json never stands beside other predictions.
        metrics = self.output_dir / "metrics.json"
        metrics.unlink(missing_ok=True)
        _write_table(self.output_dir / "windows.csv", windows)
        predictions = self._predictions(units)
        _write_table(self.output_dir / "predictions.csv", predictions)
        _write_json(self.output_dir / "predictions.json", _plain_rows(predictions))
        lines = [] if self.pretraining_overlap is None else [f"pretraining overlap: {self.pretraining_overlap}"]
        if result is not None:
            _write_json(metrics, self._report(result, windows))
            lines += format_result(result, self.target, self.split)
        print(f"predictions of {len(units)} scoring units: {self.output_dir / 'predictions.csv'}", *lines, sep="\n")

    def _evaluate(self, units: pd.DataFrame) -> SubjectResult:
        return evaluate_units(
            units,
            self.target,
            threshold=self.threshold,
            baseline_value=self.baseline_value,
            bootstrap_samples=self.bootstrap_samples,
            seed=self.seed,
        )

    def _predictions(self, units: pd.DataFrame) -> pd.DataFrame:
        columns = score_columns(self.target)
        table = units[["subject", "session", "scans", "windows", *columns, "spread", "truth"]].copy()
        if self.target.kind != "regression":
            table["predicted"] = predicted_classes(units[columns].to_numpy(), self.target, self.threshold)
            table["truth"] = table["truth"].astype("Int64")
        return table

    def _report(self, result: SubjectResult, windows: pd.DataFrame) -> dict[str, Any]:
        return {
            "split": self.split,
            "target": {"name": self.target.name, "kind": self.target.kind, "class_names": [*self.target.class_names]},
            "threshold": self.threshold,
            "flat": self.flat,
            "pretraining_overlap": self.pretraining_overlap,
            "values": {name: _number(value) for name, value in result.values.items()},
            "intervals": {name: [_number(limit) for limit in limits] for name, limits in result.intervals.items()},
            "bootstrap": {"samples": self.bootstrap_samples, "seed": self.seed},
            "warnings": result.warnings,
            "counts": {
                "units": result.num_units,
                "subjects": result.num_subjects,
                "groups": result.num_groups,
                "scans": int(windows["scan"].nunique()),
                "windows": len(windows),
            },
        }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if math.isfinite(value) else None


def _plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as JSON can hold them: None for what is missing."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _write_json(path: Path, content: Any) -> None:
    with replaced_file(path) as file:
        file.write((json.dumps(content, indent=4, allow_nan=False) + "\n").encode())


def _write_table(path: Path, table: pd.DataFrame) -> None:
    with replaced_file(path) as file:
        file.write(table.to_csv(index=False, lineterminator="\n").encode())
