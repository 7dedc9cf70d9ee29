"""Rank correlations for many weightings of the units at once, overall and within the classes of the target.

A weighting says how often a bootstrap draw holds each unit, as in `monai_tff.metrics.values`. Ranks are taken anew in
every draw.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TINY = 1e-12


def centred_ranks(values: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """Midranks as shares of the draw, from -1/2 to 1/2, with a weighted mean of exactly 0.

    Args:
        values: [units].
        weights: [draws, units].

    Returns:
        [draws, units]; units of equal value have equal ranks. 0 where a draw holds no unit.

    Example:
        >>> centred_ranks(np.array([3.0, 1.0, 2.0]), np.ones((1, 3))).round(3).tolist()
        [[0.333, -0.333, 0.0]]
    """
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf))
    blocks = np.add.reduceat(weights[:, order], starts, axis=1)
    middle = np.cumsum(blocks, axis=1) - blocks / 2
    total = weights.sum(axis=1, keepdims=True)
    shares = middle / np.where(total == 0, 1, total) - np.where(total == 0, 0, 0.5)
    ranks = np.empty(weights.shape)
    ranks[:, order] = np.repeat(shares, np.diff(np.append(starts, len(values))), axis=1)
    return ranks


def ranks_within(values: NDArray, weights: NDArray, truth: NDArray, is_number: bool) -> NDArray[np.float64]:
    """Ranks without what the target explains.

    Classes: midranks within each class. A number: what is left of the ranks after a straight line in the ranks of the
    target, so that a correlation of two of these is the partial rank correlation.

    Args:
        values: [units].
        weights: [draws, units].
        truth: of the target, [units].
        is_number: whether the target is a number.

    Returns:
        [draws, units], with a weighted mean of 0.
    """
    if is_number:
        ranks, explained = centred_ranks(values, weights), centred_ranks(truth, weights)
        square = (weights * explained**2).sum(axis=1, keepdims=True)
        slope = (weights * explained * ranks).sum(axis=1, keepdims=True) / np.where(square > TINY, square, np.inf)
        return ranks - slope * explained
    ranks = np.zeros(weights.shape)
    for index in np.unique(truth):
        inside = truth == index
        ranks[:, inside] = centred_ranks(values[inside], weights[:, inside])
    return ranks


def correlation(first: NDArray, second: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """Correlation of centred ranks, NaN where one of them is constant.

    Args:
        first: of `centred_ranks` or `ranks_within`, [draws, units].
        second: likewise.
        weights: [draws, units].

    Returns:
        Of each draw, [draws].
    """
    covariance = (weights * first * second).sum(axis=1)
    variances = (weights * first**2).sum(axis=1) * (weights * second**2).sum(axis=1)
    return covariance / np.sqrt(np.where(variances > TINY, variances, np.nan))


def share_between(ranks: NDArray, levels: NDArray) -> NDArray[np.float64]:
    """Share of the variance of ranks that lies between levels, eta squared: 0 none, 1 all of it.

    For ranks of all units it is Kruskal and Wallis' H over the number of units minus 1.

    Args:
        ranks: centred, [units].
        levels: level of each unit after each permutation, as a whole number from 0, [draws, units].

    Returns:
        Of each draw, [draws]; NaN for constant ranks.

    Reference:
        Kruskal and Wallis 1952, "Use of ranks in one-criterion variance analysis".
    """
    square = float((ranks**2).sum())
    between = np.zeros(len(levels))
    for level in range(int(levels.max()) + 1):
        inside = levels == level
        number = inside.sum(axis=1)
        between += (inside @ ranks) ** 2 / np.where(number == 0, 1, number)
    return between / (square if square > TINY else np.nan)
