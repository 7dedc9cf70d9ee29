"""What a covariate predicts without any scan: age, sex, site or motion alone, beside the model."""

from __future__ import annotations

import dataclasses

import pandas as pd

from monai_tff.bundle.baseline_folders import COVARIATES, SAME_NUMBER
from monai_tff.contract import Target
from monai_tff.evidence.numbers import chance, is_repeated, main_statistic, metric_units
from monai_tff.evidence.study import Evaluation, Study
from monai_tff.metrics.comparison import PairedDifference, paired_difference
from monai_tff.metrics.intervals import Interval
from monai_tff.metrics.permutation import permutation_test

BETTER = 0.05
"""The model counts as better than a covariate where p of their paired difference is below this."""

LEAST_KNOWN = 0.5
"""Share of the test units that a covariate must be known of."""


@dataclasses.dataclass(frozen=True)
class CovariateAlone:
    """The baseline of one covariate.

    Attributes:
        covariate: `age`, `sex`, `site` or `motion`.
        value: its main number on the test units.
        interval: 95 % interval.
        p: permutation p, one-sided.
        difference: model - covariate.
    """

    covariate: str
    value: float | None
    interval: Interval | None
    p: float | None
    difference: PairedDifference

    def predicts(self, target: Target) -> bool:
        """Whether its interval lies above chance."""
        return self.interval is not None and self.interval[0] > chance(target)

    @property
    def is_beaten(self) -> bool:
        """Whether the model is better."""
        found = self.difference
        return found.p is not None and found.difference is not None and found.difference > 0 and found.p < BETTER


def usable_covariates(study: Study) -> tuple[list[str], dict[str, str]]:
    """The covariates that scores can be looked at by.

    Args:
        study: with the facts of the model's units.

    Returns:
        Their names, and for each other name the reason in words.
    """
    used, left_out = [], {}
    units = study.model.units
    for name in COVARIATES:
        known = units[units[name].notna()]
        if name == study.target.name.casefold() or _is_target(known[name], known["truth"], study.target):
            left_out[name] = "it is what is predicted"
        elif len(known) < LEAST_KNOWN * len(units):
            left_out[name] = f"it is known of {len(known)} of {len(units)} test units, expected at least half"
        elif name == "motion" and known["motion_kind"].nunique() > 1:
            left_out[name] = "it is of several kinds, which cannot be compared"
        elif known[name].nunique() < 2:
            left_out[name] = "it is the same for all test units"
        else:
            used.append(name)
    return used, left_out


def _is_target(values: pd.Series, truth: pd.Series, target: Target) -> bool:
    """Whether a column holds the target under another name; a site that separates the classes is not the target."""
    if values.empty:
        return False
    if target.kind == "regression":
        close = SAME_NUMBER.get(str(values.name))
        return close is not None and bool((values.astype(float) - truth).abs().max() <= close)
    labels = [target.class_names[int(index)].casefold() for index in truth]
    texts = [str(value).casefold() for value in values]
    if values.name == "sex":
        labels, texts = [label[:1] for label in labels], [text[:1] for text in texts]
    return texts == labels


def covariate_alone(study: Study, covariate: str, samples: int = 2000, seed: int = 0) -> CovariateAlone | None:
    """Reads the baseline of one covariate and sets the model beside it.

    Args:
        study: with its baselines.
        covariate: `age`, `sex`, `site` or `motion`.
        samples: permutations, and draws of the bootstrap.
        seed: of both.

    Returns:
        None where that baseline was not run.
    """
    baseline = study.baselines.get(f"only_{covariate}")
    if baseline is None:
        return None
    units = metric_units(baseline.units)
    # within a fold, as for the model; not within sites, which are what is looked at
    strata = units["fold"] if units["fold"].nunique() > 1 and not is_repeated(units) else None
    found = permutation_test(units, study.target, strata, samples, seed)
    difference = paired_difference(metric_units(study.model.units), units, study.target, None, samples, seed)
    return CovariateAlone(covariate, found.observed, main_interval(baseline, study.target), found.p, difference)


def main_interval(evaluation: Evaluation, target: Target) -> Interval | None:
    """The interval of the main number as `metrics.json` has it.

    Args:
        evaluation: of the model or a baseline.
        target: what is predicted.
    """
    interval = evaluation.metrics.get("intervals", {}).get(main_statistic(target))
    if interval is None or any(limit is None for limit in interval):
        return None
    return float(interval[0]), float(interval[1])
