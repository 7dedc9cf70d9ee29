"""The model on top of every baseline's features: logistic or ridge regression of a strength that training chooses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

STRENGTHS = (100.0, 10.0, 1.0, 0.1, 0.01, 0.001, 0.0001)
"""Penalties that are tried, strongest first. Features come with rows of a squared norm of about 1, so that the same
values suit a few covariates and thousands of connections."""

FIXED_STRENGTH = 1.0
FOLDS = 5
FEWEST_FOLDS = 3
MOST_STEPS = 5000

Folds = list[tuple[NDArray[np.intp], NDArray[np.intp]]]


@dataclasses.dataclass(frozen=True)
class LinearModel:
    """A fitted model.

    Attributes:
        model: the logistic or ridge regression.
        strength: its penalty: of the squared coefficients, beside the sum of the losses over the scans.
        folds: of the inner cross-validation that chose the strength, 0 if none could be made.
    """

    model: LogisticRegression | Ridge
    strength: float
    folds: int

    def scores(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predicts scans.

        Args:
            features: [scans, features].

        Returns:
            [scans, 1] probability of class 1, or value in the target's units; [scans, classes] probabilities.
        """
        if isinstance(self.model, Ridge):
            return self.model.predict(features)[:, None]
        probabilities = self.model.predict_proba(features)
        return probabilities[:, 1:] if probabilities.shape[1] == 2 else probabilities


def fit_linear(
    features: NDArray[np.float64],
    truth: NDArray[np.float64],
    groups: NDArray[np.str_],
    weights: NDArray[np.float64],
    *,
    classes: bool,
    seed: int,
) -> LinearModel:
    """Fits on training scans alone; the strength is chosen by cross-validation over their groups.

    The strength is that of the least weighted loss (cross-entropy, or squared error) over all held-out scans, the
    stronger of two that are equal. With fewer than 3 groups of any class it is `FIXED_STRENGTH`.

    Args:
        features: [scans, features], rows of a squared norm of about 1.
        truth: [scans], index of the class or value.
        groups: [scans], what is never split.
        weights: [scans], with mean 1.
        classes: whether the truth is a class.
        seed: of the folds.

    Returns:
        The model, fitted on all scans given.
    """
    folds = list(_folds(features, truth, groups, classes, seed))
    strength = FIXED_STRENGTH
    if folds:
        losses = [_held_out_loss(features, truth, weights, folds, tried, classes) for tried in STRENGTHS]
        strength = STRENGTHS[int(np.argmin(losses))]
    return LinearModel(_fitted(features, truth, weights, strength, classes), strength, len(folds))


def _fitted(
    features: NDArray[np.float64],
    truth: NDArray[np.float64],
    weights: NDArray[np.float64],
    strength: float,
    classes: bool,
) -> LogisticRegression | Ridge:
    if classes:
        model = LogisticRegression(C=1 / strength, max_iter=MOST_STEPS)
        return model.fit(features, truth.astype(int), sample_weight=weights)
    return Ridge(alpha=strength, solver="svd").fit(features, truth, sample_weight=weights)


def _folds(
    features: NDArray[np.float64], truth: NDArray[np.float64], groups: NDArray[np.str_], classes: bool, seed: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Folds over groups whose training parts hold every class; none where there are too few groups."""
    labels = truth.astype(int) if classes else np.zeros(len(truth), int)
    number = min(FOLDS, *(len(set(groups[labels == label])) for label in np.unique(labels)))
    if number < FEWEST_FOLDS:
        return
    kind = StratifiedGroupKFold if classes else GroupKFold
    folds: Folds = list(kind(number, shuffle=True, random_state=seed).split(features, labels, groups))
    every = set(labels)
    if all(set(labels[train]) == every and len(held_out) for train, held_out in folds):
        yield from folds


def _held_out_loss(
    features: NDArray[np.float64],
    truth: NDArray[np.float64],
    weights: NDArray[np.float64],
    folds: Folds,
    strength: float,
    classes: bool,
) -> float:
    """Mean loss of every scan by the model that did not see it."""
    predicted: list[NDArray[np.float64]] = []
    for train, held_out in folds:
        model = _fitted(features[train], truth[train], weights[train], strength, classes)
        predicted.append(model.predict_proba(features[held_out]) if classes else model.predict(features[held_out]))
    order = np.concatenate([held_out for _, held_out in folds])
    values = np.concatenate(predicted)
    if classes:
        labels = np.unique(truth.astype(int))
        return float(log_loss(truth[order].astype(int), values, sample_weight=weights[order], labels=labels))
    return float(mean_squared_error(truth[order], values, sample_weight=weights[order]))
