"""The files of an evaluation: predictions, window scores, and metrics with intervals; of a network or a baseline."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from monai_tff.contract import Target
from monai_tff.handlers.files import replaced_file
from monai_tff.handlers.ledger import Use, ledger_file, record_use
from monai_tff.metrics import SubjectResult, aggregate, evaluate_units, format_result, predicted_classes, score_columns


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """What the numbers of an evaluation depend on, besides the scores.

    Attributes:
        target: what is predicted.
        split: section of the datalist, for the files and the closing lines.
        threshold: probability above which class 1 is named.
        flat: average over all windows at once (the paper's recipe).
        baseline_value: mean of a regression target over the training subjects, to compare with.
        bootstrap_samples: draws of the group bootstrap behind the intervals, 0 for no intervals.
        seed: of the bootstrap.
        pretraining_overlap: what is known of it, `none`, `none (by content)` or `unknown`, to be said with the metrics;
            None says nothing.
        test_set: `monai_tff.data.test_set_hash` of what is evaluated, which the ledger then counts; None for a section
            that is no test set, which it does not.
        kind: what is evaluated: a `model`, a `baseline` or a `control`.
        model: `monai_tff.networks.weights_digest` of the weights, or the name of the baseline; None where it is not
            known.
    """

    target: Target
    split: str = "test"
    threshold: float = 0.5
    flat: bool = False
    baseline_value: float | None = None
    bootstrap_samples: int = 2000
    seed: int = 0
    pretraining_overlap: str | None = None
    test_set: str | None = None
    kind: str = "model"
    model: str | None = None


def write_evaluation(
    folder: Path, windows: pd.DataFrame, settings: EvaluationSettings, details: Mapping[str, Any] | None = None
) -> list[str]:
    """Aggregates window scores to scoring units, computes the numbers, and writes the files of an evaluation.

    Writes `windows.csv`, `predictions.csv`, `predictions.json` and, where every scan has a label, `metrics.json`,
    each in one step. Then the ledger of test sets counts the evaluation, and `metrics.json` is told.

    Args:
        folder: of the files, made if it is not there.
        windows: one row per window, see `monai_tff.metrics.aggregate`.
        settings: what the numbers depend on.
        details: further entries of `metrics.json`, which JSON can hold.

    Returns:
        The closing lines, for a person to read.

    Raises:
        DatalistError: if there was no scan, or a unit has several labels.
        ContractError: for scores that are not finite.
    """
    labelled = bool(windows["truth"].notna().all())
    units = aggregate(windows, settings.target, flat=settings.flat, unit=None if labelled else "session")
    result = _evaluated(units, settings) if labelled else None
    # The old numbers go first and the new ones come last: metrics.json never stands beside other predictions.
    metrics = folder / "metrics.json"
    metrics.unlink(missing_ok=True)
    write_table(folder / "windows.csv", windows)
    predictions = predictions_table(units, settings)
    write_table(folder / "predictions.csv", predictions)
    write_json(folder / "predictions.json", plain_rows(predictions))
    overlap = settings.pretraining_overlap
    lines = [] if overlap is None else [f"pretraining overlap: {overlap}"]
    if result is not None:
        counts = {"scans": int(windows["scan"].nunique()), "windows": len(windows)}
        content = {**metrics_content(result, settings, counts), **(details or {})}
        write_json(metrics, content)
        lines += _recorded(metrics, content, settings)
        lines += format_result(result, settings.target, settings.split)
    return [f"predictions of {len(units)} scoring units: {folder / 'predictions.csv'}", *lines]


def _recorded(path: Path, content: Mapping[str, Any], settings: EvaluationSettings) -> list[str]:
    """Enters the evaluation in the ledger, which counts only results that are there, and says what it holds."""
    if settings.test_set is None:
        return []
    uses = record_use(Use(settings.test_set, settings.kind, settings.model or "unknown", settings.target.name))
    warnings = [f"{sentence}: the uses of this test set are not counted in full." for sentence in uses.warnings]
    counts = {name: getattr(uses, name) for name in ("test_set", "evaluations", "models", "others")}
    write_json(path, {**content, "warnings": [*content["warnings"], *warnings], "ledger": counts})
    # where the ledger is stands on the console alone: metrics may be passed on
    where = f" It is {ledger_file()}; set MONAI_TFF_LEDGER to another file."
    return [*(f"warning ({settings.split}): {sentence}{where}" for sentence in warnings), uses.sentence()]


def _evaluated(units: pd.DataFrame, settings: EvaluationSettings) -> SubjectResult:
    return evaluate_units(
        units,
        settings.target,
        threshold=settings.threshold,
        baseline_value=settings.baseline_value,
        bootstrap_samples=settings.bootstrap_samples,
        seed=settings.seed,
    )


def predictions_table(units: pd.DataFrame, settings: EvaluationSettings) -> pd.DataFrame:
    """The rows of `predictions.csv`.

    Args:
        units: table of `aggregate`.
        settings: names the target and the threshold.

    Returns:
        One row per scoring unit.
    """
    columns = score_columns(settings.target)
    table = units[["subject", "session", "scans", "windows", *columns, "spread", "truth"]].copy()
    if settings.target.kind != "regression":
        table["predicted"] = predicted_classes(units[columns].to_numpy(), settings.target, settings.threshold)
        table["truth"] = table["truth"].astype("Int64")
    return table


def metrics_content(result: SubjectResult, settings: EvaluationSettings, counts: Mapping[str, int]) -> dict[str, Any]:
    """What `metrics.json` holds.

    Args:
        result: what `evaluate_units` found.
        settings: that it was found with.
        counts: numbers of scans and windows.
    """
    target = settings.target
    return {
        "split": settings.split,
        "kind": settings.kind,
        "model": settings.model,
        "target": {"name": target.name, "kind": target.kind, "class_names": [*target.class_names]},
        "threshold": settings.threshold,
        "flat": settings.flat,
        "pretraining_overlap": settings.pretraining_overlap,
        "values": {name: _number(value) for name, value in result.values.items()},
        "intervals": {name: [_number(limit) for limit in limits] for name, limits in result.intervals.items()},
        "bootstrap": {"samples": settings.bootstrap_samples, "seed": settings.seed},
        "warnings": result.warnings,
        "counts": {
            "units": result.num_units,
            "subjects": result.num_subjects,
            "groups": result.num_groups,
            **counts,
        },
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if math.isfinite(value) else None


def plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as JSON can hold them: None for what is missing."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file in one step; NaN is refused."""
    with replaced_file(path) as file:
        file.write((json.dumps(content, indent=4, allow_nan=False) + "\n").encode())


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes a CSV file in one step."""
    with replaced_file(path) as file:
        file.write(table.to_csv(index=False, lineterminator="\n").encode())
