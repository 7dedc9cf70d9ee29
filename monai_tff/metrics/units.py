"""A table of scoring units: its check, its order, and the function that gives its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monai_tff.contract import Target
from monai_tff.errors import DatalistError
from monai_tff.metrics.aggregation import score_columns
from monai_tff.metrics.values import Values, binary_values, multiclass_values, regression_values

NumberOfUnits = float | NDArray | Sequence[float]
"""One number for all scoring units, or one for each (of pooled folds)."""


def check_truth(units: pd.DataFrame, target: Target) -> None:
    """Refuses units that have no usable truth.

    Args:
        units: table of `aggregate`.
        target: what is predicted.

    Raises:
        DatalistError: without units, or for a unit whose truth is missing or no class.
    """
    if units.empty:
        raise DatalistError(f"scores table: no unit to evaluate '{target.name}' on, expected at least one subject.")
    truth = units["truth"].to_numpy(float)
    wrong, expected = ~np.isfinite(truth), "a number"
    if target.kind != "regression":
        wrong |= ~np.isin(truth, np.arange(len(target.class_names)))
        expected = f"a class index from 0 to {len(target.class_names) - 1}"
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DatalistError(
            f"scores table: '{target.name}' of subject '{units['subject'].iloc[row]}' is {truth[row]:g}, expected "
            f"{expected}; leave out subjects without a label."
        )


def in_order(units: pd.DataFrame, threshold: NumberOfUnits) -> tuple[pd.DataFrame, NDArray]:
    """Sorts units by subject and session, so that no number depends on the order of rows.

    Args:
        units: table of `aggregate`.
        threshold: one number or one per row.

    Returns:
        The sorted table, and the threshold of each of its rows [units].

    Raises:
        ValueError: for another number of thresholds.
    """
    thresholds = np.asarray(threshold, dtype=float)
    if thresholds.shape not in ((), (len(units),)):
        raise ValueError(f"threshold has the shape {thresholds.shape}, expected one or one for each of {len(units)}.")
    order = units.reset_index(drop=True).sort_values(["subject", "session"], na_position="first").index
    return units.iloc[order].reset_index(drop=True), np.broadcast_to(thresholds, len(units))[order]


def value_function(
    units: pd.DataFrame, target: Target, threshold: NumberOfUnits = 0.5, baseline_value: NumberOfUnits | None = None
) -> partial[Values]:
    """The function of weights [draws, units] that gives the numbers of these units, see `metrics.values`.

    Args:
        units: table of `aggregate`.
        target: what is predicted.
        threshold: one number or one per row.
        baseline_value: mean of a regression target over the training subjects, one number or one per row.
    """
    truth = units["truth"].to_numpy(float)
    scores = units[score_columns(target)].to_numpy(float)
    if target.kind == "binary":
        subjects = units["subject"].nunique()
        return partial(binary_values, truth, scores[:, 0], threshold=np.asarray(threshold), subjects=subjects)
    if target.kind == "multiclass":
        return partial(multiclass_values, truth, scores, class_names=target.class_names)
    known = None if baseline_value is None else np.asarray(baseline_value, dtype=float)
    return partial(regression_values, truth, scores[:, 0], baseline_value=known)
