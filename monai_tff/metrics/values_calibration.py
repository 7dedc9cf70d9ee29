"""How far probabilities can be taken at their word, for many weightings of the units at once (see `values`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1 where their logarithm is taken."""

DECIMALS = 6
"""Logits of float32 probabilities carry no more; scores that are equal but for rounding have to count as equal."""

NEWTON_STEPS = 500
CONVERGED = 1e-10
BINS = 10


def recalibration(positive: NDArray, score: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """Intercept and slope of a logistic regression of the truth on the logit of the probability.

    The slope b is that of logit P(truth = 1) = a + b * logit(score); below 1 the scores are too extreme. The
    intercept is calibration in the large, that of logit P(truth = 1) = a + logit(score); above 0 the scores are too
    low on the whole. Both maximise the likelihood, by damped Newton steps.

    A finite slope exists where, and only where, the scores of the classes overlap: the highest negative lies above
    the lowest positive, and the highest positive above the lowest negative. Where the scores separate the classes,
    which this comparison tells without a fit, the slope is infinite, with the sign of their order.

    Args:
        positive: booleans [units].
        score: probability of class 1 [units].
        weights: [draws, units].

    Returns:
        Intercepts and slopes, each [draws]; NaN where a draw has one class only, and slopes also where all scores of
        a draw are equal.

    Reference:
        Cox 1958, "Two further applications of a model for binary regression"; Van Calster, McLernon, van Smeden,
        Wynants, Steyerberg 2019, "Calibration: the Achilles heel of predictive analytics"; for the existence of the
        slope Albert and Anderson 1984, "On the existence of maximum likelihood estimates in logistic regression
        models".
    """
    logits = logit(np.clip(score, CLIP, 1 - CLIP)).round(DECIMALS)
    both = ((weights @ positive) > 0) & ((weights @ ~positive) > 0)
    intercepts, slopes = np.full(len(weights), np.nan), np.full(len(weights), np.nan)
    constant = np.ones((len(logits), 1))
    intercepts[both] = _logistic(constant, logits, positive, weights[both])[:, 0]

    lowest, highest = _ranges(logits, positive, weights)
    forward, backward = lowest[1] >= highest[0], lowest[0] >= highest[1]
    slopes[both & forward & ~backward] = np.inf
    slopes[both & backward & ~forward] = -np.inf
    overlap = both & ~forward & ~backward
    columns = np.stack([constant[:, 0], logits], axis=1)
    slopes[overlap] = _logistic(columns, np.zeros(len(logits)), positive, weights[overlap])[:, 1]
    return intercepts, slopes


def _ranges(logits: NDArray, positive: NDArray, weights: NDArray) -> tuple[list[NDArray], list[NDArray]]:
    """Lowest and highest logits of negatives and positives among the units of each draw."""
    order = np.argsort(logits)
    lowest, highest = [], []
    for members in (~positive, positive):
        chosen = order[members[order]]
        drawn, values = weights[:, chosen] > 0, logits[chosen]
        none = ~drawn.any(axis=1)
        first, last = (np.argmax(rows, axis=1) if rows.size else 0 for rows in (drawn, drawn[:, ::-1]))
        lowest.append(np.where(none, np.inf, np.append(values, 0)[first]))
        highest.append(np.where(none, -np.inf, np.append(0, values)[-1 - last]))
    return lowest, highest


def _logistic(columns: NDArray, offset: NDArray, positive: NDArray, weights: NDArray) -> NDArray:
    """Coefficients [draws, columns] of logistic regressions on the same columns [units, columns] and offset [units]."""
    start = np.zeros((1, columns.shape[1]))
    if not len(weights):
        return start[:0]
    # all draws taken together lie close to each of them
    start = _newton(start, columns, offset, positive, weights.sum(axis=0, keepdims=True))
    return _newton(np.tile(start, (len(weights), 1)), columns, offset, positive, weights)


def _newton(start: NDArray, columns: NDArray, offset: NDArray, positive: NDArray, weights: NDArray) -> NDArray:
    """Damped Newton's method from a start [draws, columns]; a draw that does not converge is NaN.

    With a step that changes no logit by more than b, log(1 + b) / b of it never lowers the likelihood and converges
    from any start.

    Reference:
        Sun and Tran-Dinh 2019, "Generalized self-concordant functions: a recipe for Newton-type methods", the case
        nu = 2, to which the logistic loss belongs.
    """
    size = columns.shape[1]
    squares = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)
    # a step changes the logit of the lowest or of the highest score most
    ends = columns[[columns[:, -1].argmin(), columns[:, -1].argmax()]]
    found, active = start.copy(), np.arange(len(weights))
    for _ in range(NEWTON_STEPS):
        logits, chosen = offset + found[active] @ columns.T, weights[active]
        # of the sign that does not overflow; several times faster than scipy's expit
        decay = np.exp(-np.abs(logits))
        larger = 1 / (1 + decay)
        smaller = decay * larger
        gradient = (chosen * (positive - np.where(logits > 0, larger, smaller))) @ columns
        curvature = ((chosen * larger * smaller) @ squares).reshape(-1, size, size)
        # so little of its own size that it moves no step, but keeps the matrix from being singular
        curvature += 1e-13 * np.trace(curvature, axis1=1, axis2=2)[:, None, None] * np.eye(size)
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        largest = np.abs(step @ ends.T).max(axis=1, keepdims=True)
        found[active] += step * np.log1p(largest) / np.maximum(largest, 1e-300)
        # Newton's decrement, twice what the likelihood could gain before this step
        active = active[~((step * gradient).sum(axis=1) <= CONVERGED * chosen.sum(axis=1))]
        if not active.size:
            return found
    found[active] = np.nan
    return found


def calibration_error(positive: NDArray, score: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """Expected calibration error: mean distance of predicted and observed shares of class 1, in bins of the score.

    The bins hold a tenth of the units each (units of equal scores stay together) and are the same for every draw.

    Args:
        positive: booleans [units].
        score: probability of class 1 [units].
        weights: [draws, units].

    Returns:
        [draws], 0 to 1.

    Reference:
        Naeini, Cooper, Hauskrecht 2015, "Obtaining well calibrated probabilities using Bayesian binning", with bins
        of equal numbers in the place of equal widths, as in Nguyen and O'Connor 2015, "Posterior calibration and
        exploratory analysis for natural language processing models".
    """
    edges = np.quantile(score, np.arange(1, BINS) / BINS)
    members = np.searchsorted(edges, score)[:, None] == np.arange(BINS)
    # weights times (share observed - share predicted), summed in each bin
    return np.abs((weights * (positive - score)) @ members).sum(axis=1) / weights.sum(axis=1)
