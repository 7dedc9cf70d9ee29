"""The numbers of a table of units, for many weightings of the units at once.

A bootstrap draw is a weighting: how often each unit was drawn. Each function takes the weights of all draws,
[draws, units], and returns one value per draw under each name, so that the estimate (every weight 1) and its interval
come from the same lines. scikit-learn's functions, which the tests compare with, take one weighting at a time.
A value that is not defined for a draw is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monai_tff.metrics.values_calibration import CLIP, calibration_error, recalibration

Values = dict[str, NDArray[np.float64]]

LEAST_FOR_CALIBRATION_ERROR = 200
"""With fewer units a binned calibration error is mostly noise, and always above 0."""


def binary_values(
    truth: NDArray,
    score: NDArray,
    weights: NDArray,
    threshold: float | NDArray = 0.5,
    subjects: int | None = None,
) -> Values:
    """Numbers of a target of two classes.

    Args:
        truth: class index 0 or 1 [units].
        score: probability of class 1 [units].
        weights: [draws, units].
        threshold: class 1 is predicted where the score is greater; one number, or one per unit [units].
        subjects: that the units come from; None where each unit is a subject of its own.

    Returns:
        `accuracy`, `balanced_accuracy`, `sensitivity` (class 1), `specificity` (class 0), `auroc`, `auprc` (average
        precision), `prevalence` (share of class 1), `cross_entropy` (natural logarithm), `brier` (mean squared error
        of the probability), `calibration_intercept` and `calibration_slope` (see `recalibration`; the slope is
        infinite where the scores separate the classes), and from 200 subjects on `expected_calibration_error`.
    """
    positive = truth == 1
    correct = (score > threshold) == positive
    sensitivity = _mean(correct, weights * positive)
    specificity = _mean(correct, weights * ~positive)
    intercept, slope = recalibration(positive, score, weights)
    values = {
        "accuracy": _mean(correct, weights),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "auroc": weighted_auroc(positive, score, weights),
        "auprc": weighted_auprc(positive, score, weights),
        "prevalence": _mean(positive, weights),
        "cross_entropy": _mean(log_losses(truth, score), weights),
        "brier": _mean((score - positive) ** 2, weights),
        "calibration_intercept": intercept,
        "calibration_slope": slope,
    }
    if (len(truth) if subjects is None else subjects) >= LEAST_FOR_CALIBRATION_ERROR:
        values["expected_calibration_error"] = calibration_error(positive, score, weights)
    return values


def multiclass_values(truth: NDArray, score: NDArray, weights: NDArray, class_names: Sequence[str]) -> Values:
    """Numbers of a target of several classes; the class of the highest probability is predicted.

    Args:
        truth: class index [units].
        score: probabilities [units, classes].
        weights: [draws, units].
        class_names: name of each class.

    Returns:
        `accuracy`, `balanced_accuracy` (mean of the sensitivities), `auroc` (mean over classes of one class against
        the rest), `auprc` (likewise the average precision), `cross_entropy`, `brier` (sum over classes of the squared
        error of the probability, 0 to 2; Brier 1950) and `sensitivity_<class name>` for each class.
    """
    truth = truth.astype(int)
    correct = score.argmax(axis=1) == truth
    classes = range(len(class_names))
    sensitivities = [_mean(correct, weights * (truth == index)) for index in classes]
    error = score - (truth[:, None] == np.arange(len(class_names)))
    return {
        "accuracy": _mean(correct, weights),
        "balanced_accuracy": np.mean(sensitivities, axis=0),
        "auroc": np.mean([weighted_auroc(truth == index, score[:, index], weights) for index in classes], axis=0),
        "auprc": np.mean([weighted_auprc(truth == index, score[:, index], weights) for index in classes], axis=0),
        "cross_entropy": _mean(log_losses(truth, score), weights),
        "brier": _mean((error**2).sum(axis=1), weights),
        **{f"sensitivity_{class_names[index]}": sensitivities[index] for index in classes},
    }


def regression_values(
    truth: NDArray, score: NDArray, weights: NDArray, baseline_value: float | NDArray | None = None
) -> Values:
    """Numbers of a target that is a number, in its own units.

    Args:
        truth: [units].
        score: predicted values [units].
        weights: [draws, units].
        baseline_value: mean of the training subjects, of all units or of each; None to leave the baseline out.

    Returns:
        `mae`, `mse`, `nmse` (mean of squared error over squared truth, as published), `pearson_r`, `r2` (against the
        mean of these units), `calibration_intercept` (mean of truth - prediction, above 0 where predictions are too
        low on the whole), `calibration_slope` (of the regression of the truth on the prediction, below 1 where
        predictions are too extreme), and with a baseline `baseline_mae` and `baseline_mse`, those of predicting it
        for all.
    """
    error = score - truth
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(truth == 0, np.nan, error / truth)
    truth_variance, score_variance, covariance = _moments(truth, score, weights)
    mse = _mean(error**2, weights)
    values = {
        "mae": _mean(np.abs(error), weights),
        "mse": mse,
        "nmse": _mean(relative**2, weights),
        "pearson_r": np.clip(covariance / np.sqrt(truth_variance * score_variance), -1, 1),
        "r2": 1 - mse / truth_variance,
        "calibration_intercept": _mean(-error, weights),
        "calibration_slope": np.where(np.isnan(truth_variance), np.nan, covariance / score_variance),
    }
    if baseline_value is not None:
        values["baseline_mae"] = _mean(np.abs(truth - baseline_value), weights)
        values["baseline_mse"] = _mean((truth - baseline_value) ** 2, weights)
    return values


def log_losses(truth: NDArray, score: NDArray) -> NDArray[np.float64]:
    """Negative natural logarithm of the probability of each unit's own class, the terms of the cross-entropy.

    Args:
        truth: class index [units].
        score: probability of class 1 [units] or [units, 1], or of each of several classes [units, classes].

    Returns:
        [units]; probabilities are kept `CLIP` away from 0 and 1.
    """
    table = score.reshape(len(truth), -1)
    if table.shape[1] == 1:
        table = np.concatenate([1 - table, table], axis=1)
    return -np.log(np.clip(table[np.arange(len(truth)), truth.astype(int)], CLIP, 1 - CLIP))


def weighted_auroc(positive: NDArray, score: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """Area under the receiver operating characteristic, as the share of ordered pairs (ties count one half).

    Args:
        positive: booleans [units].
        score: [units].
        weights: [draws, units].

    Returns:
        [draws], NaN where a draw has no positive or no negative units.
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    positives = np.add.reduceat((weights * positive)[:, order], starts, axis=1)
    negatives = np.add.reduceat((weights * ~positive)[:, order], starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    return _ratio((positives * below).sum(axis=1), pairs)


def weighted_auprc(positive: NDArray, score: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """Area under the curve of precision and recall as average precision: the sum of precision times gain in recall.

    Args:
        positive: booleans [units].
        score: [units].
        weights: [draws, units].

    Returns:
        [draws], NaN where a draw has no positive or no negative units.
    """
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.diff(-score[order], prepend=-np.inf))
    positives = np.add.reduceat((weights * positive)[:, order], starts, axis=1)
    named = np.cumsum(np.add.reduceat(weights[:, order], starts, axis=1), axis=1)
    precision = np.cumsum(positives, axis=1) / np.maximum(named, 1e-300)
    found = positives.sum(axis=1)
    both = (found > 0) & (found < weights.sum(axis=1))
    return np.where(both, _ratio((precision * positives).sum(axis=1), found), np.nan)


def _mean(values: NDArray, weights: NDArray) -> NDArray[np.float64]:
    return _ratio(weights @ values.astype(float), weights.sum(axis=1))


def _ratio(numerator: NDArray, denominator: NDArray) -> NDArray[np.float64]:
    """The quotient, NaN where the denominator is 0."""
    return numerator / np.where(denominator == 0, np.nan, denominator)


def _moments(truth: NDArray, score: NDArray, weights: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Weighted variances of truth and score (NaN where constant) and their covariance, each [draws]."""
    # Centred first: a variance from squares of large values would lose its digits.
    centred = [values - np.median(values) for values in (truth, score)]
    means = [_mean(values, weights) for values in centred]
    variances = []
    for values, mean in zip(centred, means, strict=True):
        variance = _mean(values**2, weights) - mean**2
        rounding = 1e-12 * np.abs(values).max() ** 2
        variances.append(np.where(variance > rounding, variance, np.nan))
    covariance = _mean(centred[0] * centred[1], weights) - means[0] * means[1]
    return variances[0], variances[1], covariance
