"""The numbers of an evaluation as its `metrics.json` holds them, read back into words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai_tff.contract import Target
from monai_tff.errors import ConfigError, ContractError
from monai_tff.handlers.ledger import Uses
from monai_tff.metrics import SubjectResult, format_result

METRICS = "metrics.json"


def read_metrics(folder: Path) -> dict[str, Any]:
    """What the `metrics.json` of an evaluation holds.

    Raises:
        ConfigError: for a file that is missing or damaged.
    """
    path = folder / METRICS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({type(error).__name__}: {error}), expected the numbers of an evaluation; start "
            "the run again with --resume."
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds a {type(content).__name__}, expected the numbers of an evaluation.")
    return content


def target_of_metrics(metrics: Mapping[str, Any]) -> Target:
    """The target that the numbers are of.

    Raises:
        ConfigError: for numbers without one, as those of a reconstruction.
    """
    try:
        return Target(**metrics["target"])
    except (KeyError, TypeError, ContractError) as error:
        raise ConfigError(f"{METRICS}: has no target ({error}), expected the numbers of a prediction.") from error


def closing_lines(folder: Path) -> list[str]:
    """The lines with which an evaluation of a prediction ends, from its files.

    Args:
        folder: of the evaluation.

    Returns:
        Where the predictions are, the pretraining overlap, how often the test set was used, the warnings, and the
        numbers.

    Raises:
        ConfigError: for files that are missing or damaged.
    """
    metrics = read_metrics(folder)
    target = target_of_metrics(metrics)
    counts = metrics["counts"]
    result = SubjectResult(
        {name: _number(value) for name, value in metrics["values"].items()},
        {name: (_number(low), _number(high)) for name, (low, high) in metrics["intervals"].items()},
        list(metrics["warnings"]),
        counts["units"],
        counts["subjects"],
        counts["groups"],
    )
    overlap = metrics["pretraining_overlap"]
    return [
        f"predictions of {counts['units']} scoring units: {folder / 'predictions.csv'}",
        *([] if overlap is None else [f"pretraining overlap: {overlap}"]),
        *([Uses(**metrics["ledger"]).sentence()] if "ledger" in metrics else []),
        *format_result(result, target, metrics["split"]),
    ]


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
