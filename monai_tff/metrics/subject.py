"""Numbers over scoring units, each with a 95 % interval, and what a reader must know about them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monai_tff.contract import Target
from monai_tff.metrics import intervals
from monai_tff.metrics.aggregation import score_columns
from monai_tff.metrics.intervals import Interval
from monai_tff.metrics.units import NumberOfUnits, check_truth, in_order, value_function
from monai_tff.metrics.values import weighted_auroc

FEW_SUBJECTS = 10
SEPARATED = "the scores separate the classes"


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
    threshold: NumberOfUnits = 0.5,
    baseline_value: NumberOfUnits | None = None,
    bootstrap_samples: int = 2000,
    seed: int = 0,
) -> SubjectResult:
    """Computes the numbers of a table of scoring units.

    `binary_values`, `multiclass_values` and `regression_values` say which numbers there are. One that is not defined
    (a class is absent, scores separate the classes) is NaN, and a warning says so.

    Intervals are percentiles of a bootstrap over groups (reflected at the value for the expected calibration error,
    which draws overstate), widened where needed to contain the value. Where every draw gives the same value, closed
    forms stand in: Wilson for accuracy, sensitivity, specificity and prevalence, Wilson limits by square and add for
    the balanced accuracy, Newcombe's score-type interval for the AUROC (for several classes the mean of the limits of
    each). They count groups, not units, as independent. Other numbers then have no interval, nor has a calibration
    slope that is infinite in more than 2.5 % of the draws.

    Args:
        units: table of `aggregate`.
        target: what is predicted.
        threshold: probability above which class 1 is predicted, one number or one per row of `units`.
        baseline_value: mean of a regression target over the training subjects, one number or one per row.
        bootstrap_samples: draws of the bootstrap, 0 for no intervals.
        seed: of the bootstrap.

    Returns:
        Values, intervals and warnings.

    Raises:
        DatalistError: without units, or for a unit whose truth is missing or no class.
    """
    check_truth(units, target)
    baseline_value = None if baseline_value is None else in_order(units, baseline_value)[1]
    units, threshold = in_order(units, threshold)
    truth = units["truth"].to_numpy(float)
    compute = value_function(units, target, threshold, baseline_value)
    found = {name: float(value[0]) for name, value in compute(np.ones((1, len(units)))).items()}
    values = {name: value if np.isfinite(value) else np.nan for name, value in found.items()}
    drawn, limits = {}, {}
    if bootstrap_samples > 0:
        drawn = intervals.bootstrap_intervals(compute, units["group"].tolist(), bootstrap_samples, seed)
        limits = _finish(drawn, values, units, target, units[score_columns(target)].to_numpy(float))
    known = _few_subjects(units, target) + _undefined(found, truth, target)
    warnings = known + _without_interval(values, drawn, limits)
    subjects, groups = units["subject"].nunique(), units["group"].astype(str).nunique()
    return SubjectResult(values, limits, warnings, len(units), subjects, groups)


def _finish(
    drawn: dict[str, Interval], values: dict[str, float], units: pd.DataFrame, target: Target, scores: NDArray
) -> dict[str, Interval]:
    """Replaces intervals without width by closed forms, and widens those that miss the value."""
    closed = {} if target.kind == "regression" else _closed_forms(values, units, target, scores)
    limits = {}
    for name, interval in drawn.items():
        if np.isnan(values[name]) or np.isinf(interval).any():
            limits[name] = intervals.UNDEFINED
        elif intervals.is_degenerate(interval):
            limits[name] = closed.get(name, intervals.UNDEFINED)
        else:
            if name == "expected_calibration_error":
                interval = _reflected(interval, values[name])
            limits[name] = (min(interval[0], values[name]), max(interval[1], values[name]))
    return limits


def _reflected(interval: Interval, value: float) -> Interval:
    """The basic bootstrap interval, at least 0.

    The noise of a draw adds to every distance between predicted and observed shares, as that of the sample did: the
    percentiles lie too high by about what the value lies too high (Davison and Hinkley 1997, section 5.2).
    """
    return max(0.0, 2 * value - interval[1]), max(0.0, 2 * value - interval[0])


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
    if target.kind == "binary":
        forms["prevalence"] = intervals.wilson(values["prevalence"], len(set(groups)))
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
    names = [name for name, value in values.items() if not np.isfinite(value)]
    if target.kind == "regression":
        reasons = {"nmse": "a true value is 0", "r2": "all true values are equal"}
        return [
            f"{name} is not defined: {reasons.get(name, 'true or predicted values are all equal')}." for name in names
        ]
    absent = [f"'{name}'" for index, name in enumerate(target.class_names) if not (truth == index).any()]
    if names and absent:
        return [f"{', '.join(names)} not defined: there is no subject of class {', '.join(absent)}."]
    # With both classes there only the slope can be undefined, and it is infinite where they are separated.
    return [f"{name} not defined: {SEPARATED if np.isinf(values[name]) else 'all scores are equal'}." for name in names]


def _without_interval(values: dict[str, float], drawn: dict[str, Interval], limits: dict[str, Interval]) -> list[str]:
    names = [name for name, interval in limits.items() if np.isnan(interval[0]) and not np.isnan(values[name])]
    unbounded = [name for name in names if np.isinf(drawn[name]).any()]
    same = [name for name in names if name not in unbounded]
    sentences = [
        f"no interval for {name}: in more than 2.5 % of the bootstrap draws {SEPARATED}." for name in unbounded
    ]
    if same:
        sentences.append(f"no interval for {', '.join(same)}: every bootstrap draw gives the same value.")
    return sentences
