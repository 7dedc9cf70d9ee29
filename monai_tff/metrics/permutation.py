"""Is it better than chance? A permutation test that exchanges the labels of whole groups."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from monai_tff.contract import Target
from monai_tff.metrics.aggregation import score_columns
from monai_tff.metrics.units import check_truth

ROUNDING = 1e-12
"""A permuted statistic this far below the observed one counts as equal: sums differ in their last digits."""


@dataclasses.dataclass(frozen=True)
class PermutationResult:
    """What `permutation_test` found.

    Attributes:
        statistic: name of the number, `auroc` (macro for several classes) or `pearson_r`.
        observed: its value, None where it is not defined.
        p: one-sided, for "better than chance"; None where the test cannot be made.
        samples: permutations drawn.
        seed: of the permutations.
        fixed_units: scoring units that keep their label in every permutation.
        exchangeable: a sentence that says what was permuted, or why nothing was.
    """

    statistic: str
    observed: float | None
    p: float | None
    samples: int
    seed: int
    fixed_units: int
    exchangeable: str


@dataclasses.dataclass(frozen=True)
class _Exchange:
    """Groups that may swap their labels: positions of their units, [groups, units of a group]."""

    positions: NDArray[np.intp]

    def changes(self, truth: NDArray) -> bool:
        """Whether a swap can change a label."""
        labels = truth[self.positions]
        return bool((labels != labels[0]).any())


def permutation_test(
    units: pd.DataFrame,
    target: Target,
    strata: Sequence[object] | NDArray | pd.Series | None = None,
    samples: int = 2000,
    seed: int = 0,
) -> PermutationResult:
    """Tests whether scores follow the labels better than by chance.

    The labels of a group (a family, or a subject with several sessions) move together and only to a group of the
    same number of units in the same strata: what is alike within groups and strata stays so under the hypothesis
    that scores and labels have nothing else to do with each other. p = (1 + permutations with at least the observed
    statistic) / (1 + permutations).

    Args:
        units: table of `aggregate`, with a truth for each unit.
        target: what is predicted; classes are tested by their AUROC, a number by Pearson's r.
        strata: label of each row of `units`, for example its site; labels are exchanged within a stratum only. A
            group whose units lie in several strata is exchanged with groups of the same composition.
        samples: number of random permutations.
        seed: of the permutations.

    Returns:
        The statistic, p and what was permuted. The order of the rows does not matter.

    Raises:
        DatalistError: without units, or for a unit whose truth is missing or no class.
        ValueError: if `strata` does not have one label per unit.

    Reference:
        Winkler, Webster, Vidaurre, Nichols, Smith 2015, "Multi-level block permutation" (whole-block
        exchangeability); Phipson and Smyth 2010, "Permutation p-values should never be zero".
    """
    check_truth(units, target)
    table = _sorted_units(units, strata)
    truth = table["truth"].to_numpy(float)
    scores = table[score_columns(target)].to_numpy(float)
    moving = [exchange for exchange in _exchanges(table) if exchange.changes(truth)]
    fixed = len(table) - sum(exchange.positions.size for exchange in moving)
    observed, p = float(_statistic(truth[None], scores, target)[0]), None
    if moving and np.isfinite(observed):
        permuted = _permuted(truth, moving, samples, np.random.default_rng(seed))
        p = (1 + int((_statistic(permuted, scores, target) >= observed - ROUNDING).sum())) / (1 + samples)
    sentence = _sentence(table, fixed, strata is not None, p is not None, bool(np.isfinite(observed)))
    name = "pearson_r" if target.kind == "regression" else "auroc"
    return PermutationResult(name, observed if np.isfinite(observed) else None, p, samples, seed, fixed, sentence)


def _sorted_units(units: pd.DataFrame, strata: Sequence[object] | NDArray | pd.Series | None) -> pd.DataFrame:
    if strata is not None and len(strata) != len(units):
        raise ValueError(f"strata has {len(strata)} labels, expected one for each of the {len(units)} units.")
    labels = [""] * len(units) if strata is None else [str(label) for label in np.asarray(strata, dtype=object)]
    table = units.assign(stratum=labels, group=units["group"].astype(str))
    return table.sort_values(["group", "stratum", "subject", "session"], na_position="first", ignore_index=True)


def _exchanges(table: pd.DataFrame) -> list[_Exchange]:
    """Groups by the strata of their units, which also gives their number."""
    alike: dict[tuple[str, ...], list[NDArray]] = defaultdict(list)
    strata = table["stratum"].to_numpy()
    groups = table["group"].to_numpy()
    for name in np.unique(groups):
        positions = np.flatnonzero(groups == name)
        alike[tuple(strata[positions])].append(positions)
    return [_Exchange(np.stack(alike[composition])) for composition in sorted(alike)]


def _permuted(truth: NDArray, exchanges: list[_Exchange], samples: int, generator: np.random.Generator) -> NDArray:
    """Labels after each permutation, [samples, units]."""
    permuted = np.tile(truth, (samples, 1))
    for exchange in exchanges:
        order = np.tile(np.arange(len(exchange.positions)), (samples, 1))
        sources = exchange.positions[generator.permuted(order, axis=1)]
        permuted[:, exchange.positions.ravel()] = truth[sources].reshape(samples, -1)
    return permuted


def _statistic(truths: NDArray, scores: NDArray, target: Target) -> NDArray:
    """AUROC or Pearson's r for each row of labels [samples, units], NaN where it is not defined."""
    if target.kind == "regression":
        return _pearson(truths, scores[:, 0])
    if target.kind == "binary":
        return _auroc(truths == 1, scores[:, 0])
    return np.mean([_auroc(truths == index, scores[:, index]) for index in range(scores.shape[1])], axis=0)


def _auroc(positive: NDArray, score: NDArray) -> NDArray:
    """The area from the sum of the positives' ranks (Mann and Whitney 1947); the ranks are the same in every row."""
    positives = positive.sum(axis=1)
    pairs = positives * (positive.shape[1] - positives)
    excess = positive @ rankdata(score) - positives * (positives + 1) / 2
    return excess / np.where(pairs == 0, np.nan, pairs)


def _pearson(truths: NDArray, score: NDArray) -> NDArray:
    centred, deviations = score - score.mean(), truths - truths.mean(axis=1, keepdims=True)
    scale = np.sqrt((centred**2).sum() * (deviations**2).sum(axis=1))
    rounding = ROUNDING * len(score) * np.abs(score).max() * np.abs(truths).max()
    return deviations @ centred / np.where(scale > rounding, scale, np.nan)


def _sentence(table: pd.DataFrame, fixed: int, stratified: bool, tested: bool, defined: bool) -> str:
    if not defined:
        return "No permutation test: the statistic is not defined, as all labels or all scores are equal."
    within = f" within {table['stratum'].nunique()} strata" if stratified else ""
    if not tested:
        return (
            f"No permutation test: no exchange of labels between whole groups of the same number of units{within} "
            "changes a label."
        )
    number = table["group"].nunique()
    sentence = (
        f"Labels of {len(table)} scoring units were exchanged as whole groups ({number} groups), between groups of the "
        f"same number of units{within}"
    )
    return f"{sentence}; {fixed} units keep their label in every permutation." if fixed else f"{sentence}."
