"""Flags: where a score may be that of a confound, a sentence with its numbers; how often by chance is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from monai_tff.contract import Target
from monai_tff.evidence.covariates import CovariateAlone
from monai_tff.evidence.following import Following
from monai_tff.evidence.numbers import p_text, statistic_name, with_interval
from monai_tff.evidence.within import WithinStrata
from monai_tff.metrics.comparison import holm

LEVEL = 0.01
"""Holm-corrected p below which a flag is raised."""

RULE = (
    "A covariate is flagged where it predicts the target by itself (its interval lies above chance, and its "
    "permutation p is below 0.01) and the model is either not better than it (paired p of 0.05 or more) or follows it "
    "within the classes (p below 0.01). A stratum is flagged where the model is above chance over all units but not "
    "within the strata, and the difference has p below 0.01. These p values are corrected by Holm's procedure over "
    "all covariates and strata of the study, so that a study without a confound is flagged in at most about 1 of 100 "
    "cases. No flag is no proof: a weak confound, or one that is not listed here, is not seen in a small test set."
)

CALLED = {"age": "age", "sex": "sex", "site": "the site", "motion": "motion"}


@dataclasses.dataclass(frozen=True)
class Flag:
    """One warning.

    Attributes:
        name: `covariate:<name>` or `within:<name>`.
        p: Holm-corrected.
        sentence: with the numbers.
    """

    name: str
    p: float
    sentence: str


def raise_flags(
    target: Target,
    alone: Mapping[str, CovariateAlone],
    following: Mapping[str, Following],
    within: Mapping[str, WithinStrata],
) -> list[Flag]:
    """Applies `RULE`.

    Args:
        target: what is predicted.
        alone: baseline of each covariate.
        following: how the model's score follows each covariate.
        within: the model within strata.

    Returns:
        The flags, covariates first, each in the order given.
    """
    corrected = holm(
        {f"covariate:{name}": found.p for name, found in alone.items()}
        | {f"within:{name}": found.p for name, found in within.items()}
    )
    flags = []
    for name, found in alone.items():
        p, follows = corrected[f"covariate:{name}"], following.get(name)
        is_followed = follows is not None and follows.within_p is not None and follows.within_p < LEVEL
        if p is not None and p < LEVEL and found.predicts(target) and (is_followed or not found.is_beaten):
            sentence = _covariate_sentence(target, found, follows if is_followed else None)
            flags.append(Flag(f"covariate:{name}", p, sentence))
    for name, strata in within.items():
        p = corrected[f"within:{name}"]
        if p is not None and p < LEVEL and strata.falls_to_chance(target):
            flags.append(Flag(f"within:{name}", p, _within_sentence(target, strata, p)))
    return flags


def _covariate_sentence(target: Target, alone: CovariateAlone, follows: Following | None) -> str:
    called = CALLED[alone.covariate]
    parts = [
        f"{called[0].upper()}{called[1:]} alone predicts {target.name}: {statistic_name(target)} "
        f"{with_interval(alone.value, alone.interval)}, permutation {p_text(alone.p)}."
    ]
    if not alone.is_beaten:
        size = with_interval(alone.difference.difference, alone.difference.interval)
        parts.append(f"The model is not better than that (difference {size}, {p_text(alone.difference.p)}).")
    if follows is not None:
        size = with_interval(follows.within, follows.within_interval)
        given = "within the classes" if target.kind != "regression" else f"at equal {target.name}"
        numbers = f"{follows.statistic} {size}, {p_text(follows.within_p)}"
        parts.append(f"The model's score follows {called} {given} ({numbers}).")
    return " ".join([*parts, f"What a model learns of {target.name} in this cohort may be {called}."])


def _within_sentence(target: Target, strata: WithinStrata, p: float) -> str:
    one, several = ("one site", "sites") if strata.by == "site" else ("one band of motion", "bands of motion")
    pooled = f"{statistic_name(target)} {with_interval(strata.pooled, strata.pooled_interval)}"
    within = with_interval(strata.within, strata.within_interval)
    return (
        f"The score is above chance over all units ({pooled}) but not among units of {one} ({within}; corrected "
        f"{p_text(p)} of the difference): it tells {several} apart rather than {target.name}."
    )
