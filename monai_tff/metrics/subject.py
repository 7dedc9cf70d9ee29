"""Numbers over scoring units, each with a 95 % interval, and what a reader must know about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monai_tff.contract import Target
from monai_tff.errors import DatalistError
from monai_tff.metrics import intervals
from monai_tff.metrics.aggregation import score_columns
from monai_tff.metrics.intervals import Interval
from monai_tff.metrics.values import Values, binary_values, multiclass_values, regression_values, weighted_auroc

Threshold = float | NDArray | Sequence[float]
"""Probability above which class 1 is predicted: one number, or one per scoring unit (of pooled folds)."""

FEW_SUBJECTS = 10


@dataclasses.dataclass(frozen=True)
class SubjectResult:
    """What `evaluate_units` found.

    Attributes:
        values: name of a number to its value, NaN where it is not defined.
        intervals: name to lower and upper 95 % limit, NaN where there is none; empty without a bootstrap.
        warnings: sentences that every output has to repeat.
        num_units: scoring units.
        num_subjects: subjects they come from; fewer where a unit is a session.
        num_groups: groups that the bootstrap draws.
    """

    values: dict[str, float]
    intervals: dict[str, Interval]
    warnings: list[str]
    num_units: int
    num_subjects: int
    num_groups: int


def evaluate_units(
    units: pd.DataFrame,
    target: Target,
    *,
    threshold: Threshold = 0.5,
    baseline_value: float | None = None,
    bootstrap_samples: int = 2000,
    seed: int = 0,
) -> SubjectResult:
    """Computes the numbers of a table of scoring units.

    Two classes: accuracy, balanced_accuracy, sensitivity, specificity, auroc, cross_entropy. Several classes:
    accuracy, balanced_accuracy, auroc (one class against the rest, mean over classes), cross_entropy,
    sensitivity_<class name>. A number: mae, mse, nmse, pearson_r, r2 in the target's units, and baseline_mae and
    baseline_mse of predicting `baseline_value`. A number that is not defined (a class is absent) is NaN, and a
    warning says so.

    Intervals are percentiles of a bootstrap over groups, widened where needed to contain the value. Where every draw
    gives the same value, closed forms stand in: Wilson for accuracy, sensitivity and specificity, Wilson limits by
    square and add for the balanced accuracy, Newcombe's score-type interval for the AUROC (for several classes the
    mean of the limits of each). They count groups, not units, as independent. Other numbers then have no interval.

    Args:
        units: table of `aggregate`.
        target: what is predicted.
        threshold: probability above which class 1 is predicted, one number or one per row of `units`.
        baseline_value: mean of a regression target over the training subjects.
        bootstrap_samples: draws of the bootstrap, 0 for no intervals.
        seed: of the bootstrap.

    Returns:
        Values, intervals and warnings.

    Raises:
        DatalistError: without units, or for a unit whose truth is missing or no class.
    """
    check_truth(units, target)
    units, threshold = in_order(units, threshold)
    truth = units["truth"].to_numpy(float)
    scores = units[score_columns(target)].to_numpy(float)
    compute = value_function(units, target, threshold, baseline_value)
    values = {name: float(value[0]) for name, value in compute(np.ones((1, len(units)))).items()}
    limits: dict[str, Interval] = {}
    if bootstrap_samples > 0:
        drawn = intervals.bootstrap_intervals(compute, units["group"].tolist(), bootstrap_samples, seed)
        limits = _finish(drawn, values, units, target, scores)
    warnings = [*_few_subjects(units, target), *_undefined(values, truth, target), *_without_interval(values, limits)]
    return SubjectResult(
        values, limits, warnings, len(units), units["subject"].nunique(), units["group"].astype(str).nunique()
    )


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


def in_order(units: pd.DataFrame, threshold: Threshold) -> tuple[pd.DataFrame, NDArray]:
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
    units: pd.DataFrame, target: Target, threshold: Threshold = 0.5, baseline_value: float | None = None
) -> partial[Values]:
    """The function of weights [draws, units] that gives the numbers of these units, see `metrics.values`.

    Args:
        units: table of `aggregate`.
        target: what is predicted.
        threshold: one number or one per row.
        baseline_value: mean of a regression target over the training subjects.
    """
    truth = units["truth"].to_numpy(float)
    scores = units[score_columns(target)].to_numpy(float)
    if target.kind == "binary":
        return partial(binary_values, truth, scores[:, 0], threshold=np.asarray(threshold, dtype=float))
    if target.kind == "multiclass":
        return partial(multiclass_values, truth, scores, class_names=target.class_names)
    return partial(regression_values, truth, scores[:, 0], baseline_value=baseline_value)


def _finish(
    drawn: dict[str, Interval], values: dict[str, float], units: pd.DataFrame, target: Target, scores: NDArray
) -> dict[str, Interval]:
    """Replaces intervals without width by closed forms, and widens those that miss the value."""
    closed = {} if target.kind == "regression" else _closed_forms(values, units, target, scores)
    limits = {}
    for name, interval in drawn.items():
        if np.isnan(values[name]):
            limits[name] = intervals.UNDEFINED
        elif intervals.is_degenerate(interval):
            limits[name] = closed.get(name, intervals.UNDEFINED)
        else:
            limits[name] = (min(interval[0], values[name]), max(interval[1], values[name]))
    return limits


def _closed_forms(
    values: dict[str, float], units: pd.DataFrame, target: Target, scores: NDArray
) -> dict[str, Interval]:
    groups = units["group"].astype(str).to_numpy()
    truth = units["truth"].to_numpy(int)
    classes = range(len(target.class_names))
    counts = [len(set(groups[truth == index])) for index in classes]
    names = [f"sensitivity_{name}" for name in target.class_names]
    if target.kind == "binary":
        names = ["specificity", "sensitivity"]
    proportions = [values[name] for name in names]
    forms = {name: intervals.wilson(values[name], count) for name, count in zip(names, counts, strict=True)}
    forms["accuracy"] = intervals.wilson(values["accuracy"], len(set(groups)))
    forms["balanced_accuracy"] = intervals.mean_of_proportions(proportions, counts)
    others = [len(set(groups[truth != index])) for index in classes]
    if target.kind == "binary":
        forms["auroc"] = intervals.newcombe_auroc(values["auroc"], counts[1], counts[0])
    elif all(counts):
        limits = [
            intervals.newcombe_auroc(_one_against_the_rest(truth == index, scores[:, index]), *sizes)
            for index, sizes in enumerate(zip(counts, others, strict=True))
        ]
        low, high = np.mean(limits, axis=0)
        forms["auroc"] = (float(low), float(high))
    return forms


def _one_against_the_rest(positive: NDArray, score: NDArray) -> float:
    return float(weighted_auroc(positive, score, np.ones((1, len(score))))[0])


def _few_subjects(units: pd.DataFrame, target: Target) -> list[str]:
    if target.kind == "regression":
        number = units["subject"].nunique()
        few = f"only {number} subjects (fewer than {FEW_SUBJECTS}): these numbers are uncertain."
        return [few] if number < FEW_SUBJECTS else []
    numbers = {
        name: units.loc[units["truth"] == index, "subject"].nunique() for index, name in enumerate(target.class_names)
    }
    return [
        f"only {number} subjects of class '{name}' (fewer than {FEW_SUBJECTS}): these numbers are uncertain."
        for name, number in numbers.items()
        if number < FEW_SUBJECTS
    ]


def _undefined(values: dict[str, float], truth: NDArray, target: Target) -> list[str]:
    names = [name for name, value in values.items() if np.isnan(value)]
    if not names:
        return []
    if target.kind == "regression":
        reasons = {"nmse": "a true value is 0", "r2": "all true values are equal"}
        return [
            f"{name} is not defined: {reasons.get(name, 'true or predicted values are all equal')}." for name in names
        ]
    absent = [f"'{name}'" for index, name in enumerate(target.class_names) if not (truth == index).any()]
    return [f"{', '.join(names)} not defined: there is no subject of class {', '.join(absent)}."]


def _without_interval(values: dict[str, float], limits: dict[str, Interval]) -> list[str]:
    names = [name for name, interval in limits.items() if np.isnan(interval[0]) and not np.isnan(values[name])]
    return [f"no interval for {', '.join(names)}: every bootstrap draw gives the same value."] if names else []
