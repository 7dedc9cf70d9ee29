"""How well a score predicts motion, site and the other covariates: overall, and within the classes of the target."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monai_tff.contract import Target
from monai_tff.evidence.exchange import exchanged_rows
from monai_tff.evidence.facts import NUMBERS
from monai_tff.evidence.ranks import centred_ranks, correlation, ranks_within, share_between
from monai_tff.metrics import score_columns
from monai_tff.metrics.intervals import Interval, bootstrap_intervals
from monai_tff.metrics.values import Values

RHO, SHARE = "Spearman rho", "share of the ranks' variance between levels"


@dataclasses.dataclass(frozen=True)
class Following:
    """How well the score predicts one covariate.

    Attributes:
        covariate: `site`, `sex`, `age` or `motion`.
        statistic: Spearman's rho with a number (for several classes the mean over classes of its size); with levels
            the share of the variance of the score's ranks that lies between them (Kruskal and Wallis' H over n - 1).
        units: that the covariate is known of.
        value: overall.
        interval: 95 % of a group bootstrap, for rho only: a share, or a mean of sizes over several classes, cannot be
            negative, and its draws lie above it.
        p: permutation p, two-sided; None where it cannot be told.
        within: the same number within the classes of the target; for a number the partial one, given the target.
        within_interval: of `within`.
        within_p: of `within`; the covariate is exchanged within classes.
    """

    covariate: str
    statistic: str
    units: int
    value: float | None
    interval: Interval | None
    p: float | None
    within: float | None
    within_interval: Interval | None
    within_p: float | None


def follow(units: pd.DataFrame, target: Target, covariate: str, samples: int = 2000, seed: int = 0) -> Following:
    """Tests whether a score follows a covariate.

    Args:
        units: of an `Evaluation`, sorted; those whose covariate is unknown are left out.
        target: what the score is for.
        covariate: `site`, `sex`, `age` or `motion`; it must be known of some units, with two values or more.
        samples: draws of the bootstrap, and permutations.
        seed: of both.
    """
    known = units[units[covariate].notna()]
    is_rho = covariate in NUMBERS
    values = known[covariate].to_numpy(float) if is_rho else np.unique(known[covariate], return_inverse=True)[1]
    found = []
    for within in (False, True):
        ranked = partial(_ranks, truth=known["truth"].to_numpy(float), target=target, within=within)
        scores = [known[column].to_numpy(float) for column in score_columns(target)]
        strata = known["truth"].to_numpy() if within and target.kind != "regression" else None
        rows = exchanged_rows(known["group"].to_numpy(str), strata, samples, seed)
        limits: Interval | None = None
        if is_rho:
            value, p = _rho_test(scores, values, ranked, rows)
        else:
            value, p = _share_test(scores, values, ranked, rows)
        if is_rho and len(scores) == 1:
            compute = partial(_rhos, scores=scores, values=values, ranked=ranked)
            limits = bootstrap_intervals(compute, known["group"].tolist(), samples, seed)["rho"]
        found.append((value, limits if limits is not None and np.isfinite(limits).all() else None, p))
    return Following(covariate, RHO if is_rho else SHARE, len(known), *found[0], *found[1])


def _ranks(values: NDArray, weights: NDArray, *, truth: NDArray, target: Target, within: bool) -> NDArray:
    if not within:
        return centred_ranks(values, weights)
    return ranks_within(values, weights, truth, target.kind == "regression")


def _rhos(weights: NDArray, *, scores: list[NDArray], values: NDArray, ranked: partial[NDArray]) -> Values:
    second = ranked(values, weights)
    rhos = [correlation(ranked(score, weights), second, weights) for score in scores]
    return {"rho": rhos[0] if len(rhos) == 1 else np.mean(np.abs(rhos), axis=0)}


def _rho_test(
    scores: list[NDArray], values: NDArray, ranked: partial[NDArray], rows: NDArray
) -> tuple[float | None, float | None]:
    """Rho and its p: the covariate's ranks trade places, what the target explains stays where it is."""
    once = np.ones((1, len(values)))
    second = ranked(values, once)[0]
    sizes = []
    for score in scores:
        first = ranked(score, once)[0]
        scale = np.sqrt((first**2).sum() * (second**2).sum())
        sizes.append(np.abs(second[rows] @ first) / (scale if scale > 0 else np.nan))
    value = float(_rhos(once, scores=scores, values=values, ranked=ranked)["rho"][0])
    return _with_p(value, np.mean(sizes, axis=0))


def _share_test(
    scores: list[NDArray], levels: NDArray, ranked: partial[NDArray], rows: NDArray
) -> tuple[float | None, float | None]:
    once = np.ones((1, len(levels)))
    ranks = [ranked(score, once)[0] for score in scores]
    value = float(np.mean([share_between(one, levels[None])[0] for one in ranks]))
    return _with_p(value, np.mean([share_between(one, levels[rows]) for one in ranks], axis=0))


def _with_p(value: float, permuted: NDArray) -> tuple[float | None, float | None]:
    if not np.isfinite(value):
        return None, None
    # where no exchange changes anything, nothing can be told
    if np.ptp(permuted) < 1e-12:
        return value, None
    return value, float((1 + (permuted >= abs(value) - 1e-12).sum()) / (1 + len(permuted)))
