"""What the model card says of the numbers: metrics with their intervals, and what to compare with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_tff.bundle.baseline_folders import BASELINES, baseline_folder
from monai_tff.bundle.export.card_text import bullets, paragraph, table
from monai_tff.contract import Target
from monai_tff.errors import BundleError
from monai_tff.handlers.ledger import Uses

METRICS = "evaluation/metrics.json"
"""File of a run folder."""

BESIDE_CLASSES = ("balanced_accuracy", "auroc")
BESIDE_VALUES = ("mae", "pearson_r")
"""What the card says of each baseline."""

CLASS_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "auroc": "AUROC",
    "auprc": "AUPRC (average precision)",
    "prevalence": "prevalence of the positive class",
    "cross_entropy": "cross-entropy",
    "brier": "Brier score",
    "calibration_intercept": "calibration intercept",
    "calibration_slope": "calibration slope",
    "expected_calibration_error": "expected calibration error",
}
VALUE_NAMES = {
    "mae": "MAE",
    "baseline_mae": "MAE of predicting the training mean",
    "mse": "MSE",
    "nmse": "NMSE",
    "pearson_r": "Pearson r",
    "r2": "R2",
    "calibration_intercept": "calibration intercept",
    "calibration_slope": "calibration slope",
}
LOSS_NAMES = {
    "total": "total loss",
    "reconstruction": "reconstruction (L1)",
    "intensity": "intensity loss",
    "perceptual": "perceptual loss",
}
SECTION_NAMES = ("training", "validation", "test")
OVERLAPS = ("none", "none (by content)", "yes", "unknown")


def performance_section(run: Path, target: Target | None, threshold: float = 0.5) -> str:
    """Writes the section `Performance`.

    Args:
        run: the run folder.
        target: what is predicted, None for a reconstruction.
        threshold: of the bundle's contract, which may have been set after the evaluation.

    Returns:
        Markdown without the heading.

    Raises:
        BundleError: for a file of metrics that is damaged.
    """
    report = _read(run / METRICS)
    if report is None:
        first = "The run was not evaluated when the bundle was exported: there are no numbers on test subjects."
        return f"{paragraph(first)}\n\n{_baselines(run, target)}"
    parts = [paragraph(_heading(report, target)), _table(report, target)]
    if target is not None:
        warnings = [str(sentence) for sentence in report.get("warnings", ())]
        overlap = report.get("pretraining_overlap")
        known = overlap if overlap in OVERLAPS else "unknown"
        more = [*_other_threshold(report, target, threshold), f"pretraining overlap: {known}", *_uses(report)]
        parts.append(bullets([*warnings, *more]))
    return "\n\n".join([*parts, _baselines(run, target)])


def _other_threshold(report: Mapping[str, Any], target: Target, threshold: float) -> list[str]:
    evaluated = report.get("threshold")
    if target.kind != "binary" or not isinstance(evaluated, (int, float)) or evaluated == threshold:
        return []
    return [
        f"Accuracies, sensitivity and specificity are for the threshold {evaluated:g}; the bundle's is {threshold:g}"
    ]


def _uses(report: Mapping[str, Any]) -> list[str]:
    """How often the test set had been used, as the evaluation noted it."""
    found = report.get("ledger") or {}
    test_set, *counts = (found.get(key) for key in ("test_set", "evaluations", "models", "others"))
    if not isinstance(test_set, str) or not all(isinstance(count, int | None) for count in counts):
        return []
    evaluations, models, others = counts
    return [f"when it was evaluated: {Uses(test_set, evaluations, models, others).sentence()}"]


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        dict(content["values"])
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"{path}: cannot be read as metrics ({type(error).__name__}), expected JSON with 'values'; evaluate the "
            "run again."
        ) from error
    return dict(content)


def _heading(report: Mapping[str, Any], target: Target | None) -> str:
    section = report.get("split") if report.get("split") in SECTION_NAMES else "an unknown"
    if target is None:
        return f"Mean losses over the windows of the {section} section:"
    counts = {key: value for key, value in report.get("counts", {}).items() if isinstance(value, int)}
    who = (
        f", {counts['subjects']} subjects in {counts['groups']} groups" if {"subjects", "groups"} <= set(counts) else ""
    )
    draws = report.get("bootstrap", {}).get("samples")
    how = f" with 95 % intervals (bootstrap over groups, {draws} draws)" if isinstance(draws, int) and draws else ""
    return f"Subject-level numbers on the {section} section{who}{how}:"


def _table(report: Mapping[str, Any], target: Target | None) -> str:
    values, intervals = report["values"], report.get("intervals") or {}
    names = _names(target)
    rows = [
        [title, *_cells(key, values[key], intervals.get(key), names)] for key, title in names.items() if key in values
    ]
    return table(["metric", "value", "95 % interval"], rows)


def _names(target: Target | None) -> dict[str, str]:
    """The metrics that the card shows; a file may hold others."""
    if target is None:
        return LOSS_NAMES
    if target.kind == "regression":
        return VALUE_NAMES
    if target.kind == "binary":
        return CLASS_NAMES
    of_classes = {f"sensitivity_{name}": f"sensitivity of {name}" for name in target.class_names}
    macro = {key: f"macro {CLASS_NAMES[key]}" for key in ("auroc", "auprc")}
    return {**CLASS_NAMES, **of_classes, **macro}


def _cells(key: str, value: Any, interval: Any, names: Mapping[str, str]) -> list[str]:
    """Value and interval with the digits of an evaluation's closing lines."""
    of_classes = names.keys() >= CLASS_NAMES.keys()
    digits = ".2f" if of_classes or key in ("pearson_r", "calibration_slope") else ".4g"
    numbers = [value, *(interval if isinstance(interval, (list, tuple)) and len(interval) == 2 else ())]
    texts = [f"{number:{digits}}" if isinstance(number, (int, float)) else None for number in numbers]
    limits = texts[1:]
    between = f"{limits[0]} to {limits[1]}" if limits and None not in limits else "-"
    return [texts[0] or "not defined", between]


def _baselines(run: Path, target: Target | None) -> str:
    if target is None:
        return paragraph("A low reconstruction loss does not show that the codes hold what a later target needs.")
    names, rows = _names(target), []
    for name in BASELINES:
        report = _read(baseline_folder(run, name) / "metrics.json")
        for key in BESIDE_VALUES if target.kind == "regression" else BESIDE_CLASSES:
            if report is not None and key in report["values"]:
                interval = (report.get("intervals") or {}).get(key)
                rows.append([name.replace("_", " "), names[key], *_cells(key, report["values"][key], interval, names)])
    if not rows:
        return paragraph("No baseline was run on this split: how well simpler methods do on it is not known.")
    heading = paragraph("Baselines on the same split, fitted on the same training subjects:")
    return f"{heading}\n\n{table(['baseline', 'metric', 'value', '95 % interval'], rows)}"
