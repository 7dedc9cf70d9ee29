"""What every test of the evidence shares: the main number of a target, its units as a table of metrics, plain JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from monai_tff.bundle.folds import FOLDS_JOINED_BY
from monai_tff.contract import Target

SAMPLES = 2000
"""Draws of each bootstrap and of each permutation test."""

NAMES = {
    "covariates": "covariates alone",
    "mean_image": "the mean image",
    "connectivity": "functional connectivity",
    "shuffled_frames": "the model on shuffled frames",
}
"""How a baseline or control is called in a sentence."""


def main_statistic(target: Target) -> str:
    """Name of the number that a study is judged by: `auroc` (macro for several classes) or `pearson_r`."""
    return "pearson_r" if target.kind == "regression" else "auroc"


def statistic_name(target: Target) -> str:
    """The main number, for a person."""
    return {"binary": "AUROC", "multiclass": "macro AUROC", "regression": "Pearson r"}[target.kind]


def chance(target: Target) -> float:
    """The main number of scores that know nothing."""
    return 0.0 if target.kind == "regression" else 0.5


def metric_units(units: pd.DataFrame) -> pd.DataFrame:
    """Units as `monai_tff.metrics` takes them, where `subject` and `session` alone name a unit.

    With repeated folds a subject has a row for each repeat; the fold is then put beside the session.

    Args:
        units: of an `Evaluation`.
    """
    if not units.duplicated(["subject", "session"]).any():
        return units
    return units.assign(session=(units["session"] + " " + units["fold"]).str.strip())


def is_repeated(units: pd.DataFrame) -> bool:
    """Whether units of one group were scored in several folds.

    Args:
        units: of an `Evaluation`; the `fold` of a unit that several folds scored has the names of all.
    """
    several = units["fold"].str.contains(FOLDS_JOINED_BY, regex=False).any()
    return bool(several or (units.groupby("group")["fold"].nunique() > 1).any())


def plain(value: Any) -> Any:
    """The same value of lists, dictionaries, texts and numbers that JSON can hold; None for what is not finite."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def with_interval(value: float | None, interval: Any, digits: int = 2) -> str:
    """A number with its 95 % interval, for a sentence: `0.71 [0.62, 0.80]`."""
    if value is None or not math.isfinite(value):
        return "not defined"
    text = f"{value:.{digits}f}"
    if interval is None or any(limit is None or not math.isfinite(limit) for limit in interval):
        return text
    return f"{text} [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"


def p_text(p: float | None) -> str:
    """A p value for a sentence: `p = 0.013`."""
    if p is None:
        return "no p value"
    return f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"
