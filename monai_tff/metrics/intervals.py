"""95 % intervals: the percentile bootstrap over groups, and closed forms for where it degenerates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from monai_tff.metrics.values import Values

Interval = tuple[float, float]

UNDEFINED: Interval = (float("nan"), float("nan"))
NORMAL_QUANTILE = 1.959963984540054
NUMBERS_AT_ONCE = 2_000_000
UNBOUNDED = 1e100


def bootstrap_intervals(
    compute: Callable[[NDArray], Values], groups: Sequence[str], samples: int = 2000, seed: int = 0
) -> dict[str, Interval]:
    """Percentile intervals from drawing whole groups with replacement.

    A draw takes as many groups as there are, each with all its units. Draws for which a value is not defined (a class
    is absent) are left out of that value's interval.

    Args:
        compute: gives the values for weights [draws, units], one value per draw under each name.
        groups: group of each unit.
        samples: number of draws.
        seed: of the draws.

    Returns:
        For each name the 2.5 and 97.5 percentiles, NaN where no draw defines the value.

    Reference:
        Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 3.8 (resampling of groups).
    """
    return {name: percentiles(draws) for name, draws in bootstrap_draws(compute, groups, samples, seed).items()}


def bootstrap_draws(
    compute: Callable[[NDArray], Values], groups: Sequence[str], samples: int = 2000, seed: int = 0
) -> Values:
    """The values behind `bootstrap_intervals`, which takes the same arguments.

    Returns:
        For each name the value of every draw, [samples]. The draws depend on the groups and the seed alone.
    """
    draws: dict[str, list[NDArray]] = {}
    for weights in _draw_weights(groups, samples, seed):
        for name, values in compute(weights).items():
            draws.setdefault(name, []).append(values)
    return {name: np.concatenate(parts) for name, parts in draws.items()}


def _draw_weights(groups: Sequence[str], samples: int, seed: int) -> Iterator[NDArray]:
    names, group_of_unit = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    generator = np.random.default_rng(seed)
    shares = np.full(len(names), 1 / len(names))
    at_once = max(1, NUMBERS_AT_ONCE // len(groups))
    for start in range(0, samples, at_once):
        counts = generator.multinomial(len(names), shares, size=min(at_once, samples - start))
        yield counts[:, group_of_unit].astype(float)


def percentiles(draws: NDArray) -> Interval:
    """The 2.5 and 97.5 percentiles of bootstrap draws.

    Args:
        draws: NaN where a draw does not define the value, infinite where it has no bound.

    Returns:
        The limits, infinite where more than 2.5 % of the draws are; NaN where no draw defines the value.
    """
    draws = draws[~np.isnan(draws)]
    if not draws.size:
        return UNDEFINED
    # Infinite draws take part as very large ones, since a percentile between two of them would be NaN.
    low, high = np.percentile(np.clip(draws, -UNBOUNDED, UNBOUNDED), [2.5, 97.5])
    beyond = UNBOUNDED**0.5
    return float(low) if low > -beyond else -np.inf, float(high) if high < beyond else np.inf


def is_degenerate(interval: Interval) -> bool:
    """Whether a bootstrap interval has no width, as it has where every draw gives the same value."""
    return not interval[1] - interval[0] > 1e-12


def wilson(proportion: float, count: int) -> Interval:
    """Wilson's score interval of a proportion.

    Args:
        proportion: observed share, 0 to 1.
        count: number of independent observations.

    Returns:
        Lower and upper limit, NaN without observations.

    Reference:
        Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if count == 0:
        return UNDEFINED
    squared = NORMAL_QUANTILE**2
    centre = (proportion + squared / (2 * count)) / (1 + squared / count)
    inside = proportion * (1 - proportion) / count + squared / (4 * count**2)
    half = NORMAL_QUANTILE * np.sqrt(inside) / (1 + squared / count)
    return float(min(max(0.0, centre - half), proportion)), float(max(min(1.0, centre + half), proportion))


def mean_of_proportions(proportions: Sequence[float], counts: Sequence[int]) -> Interval:
    """Interval of the mean of independent proportions, from the Wilson limits of each by square and add.

    Args:
        proportions: observed shares, one per class.
        counts: number of independent observations of each.

    Returns:
        Lower and upper limit, NaN if one of the proportions has no observations.

    Reference:
        Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10, with the
        mean in the place of the difference.
    """
    limits = np.array([wilson(*pair) for pair in zip(proportions, counts, strict=True)])
    centre = float(np.mean(proportions))
    distances = np.sqrt(((limits - np.asarray(proportions)[:, None]) ** 2).sum(axis=0)) / len(proportions)
    return float(centre - distances[0]), float(centre + distances[1])


def newcombe_auroc(auroc: float, positives: int, negatives: int) -> Interval:
    """Score-type interval of an area under the receiver operating characteristic, also at exactly 0 and 1.

    Solves |auroc - a| = 1.96 * sqrt(V(a)) for a, where V is Hanley and McNeil's variance with both class sizes in its
    numerator replaced by their mean.

    Args:
        auroc: observed area.
        positives: number of independent positive observations.
        negatives: number of independent negative observations.

    Returns:
        Lower and upper limit, NaN without observations in a class.

    Reference:
        Newcombe 2006, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2:
        asymptotic methods and evaluation", method 5.
    """
    if positives == 0 or negatives == 0:
        return UNDEFINED
    pairs = (positives + negatives) / 2 - 1

    def lower(area: float) -> float:
        def excess(value: float) -> float:
            spread = 1 + pairs * (1 - value) / (2 - value) + pairs * value / (1 + value)
            variance = value * (1 - value) * spread / (positives * negatives)
            return area - value - NORMAL_QUANTILE * np.sqrt(variance)

        return float(brentq(excess, 0.0, area * (1 - 1e-12))) if area > 0 else 0.0

    return lower(auroc), 1 - lower(1 - auroc)
