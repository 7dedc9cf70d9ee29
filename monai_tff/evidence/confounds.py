"""The confound report: scores by site, sex, age and motion, what the score follows, and what a covariate does alone."""

from __future__ import annotations

import dataclasses

from monai_tff.errors import DatalistError
from monai_tff.evidence.covariates import CovariateAlone, covariate_alone, usable_covariates
from monai_tff.evidence.facts import NUMBERS
from monai_tff.evidence.flags import RULE, Flag, raise_flags
from monai_tff.evidence.following import Following, follow
from monai_tff.evidence.levels import BANDS, LevelScores, levels_of, scores_by_level
from monai_tff.evidence.study import Study
from monai_tff.evidence.within import WithinStrata, within_strata

STRATA = ("site", "motion")


@dataclasses.dataclass(frozen=True)
class Confounds:
    """What is known of confounds.

    Attributes:
        motion_kind: what the motion is, `mean FD` or `mean relative RMS`; None where it is unknown.
        bands: how numbers were cut into bands, a sentence.
        scores_by: covariate to the scores at each of its levels.
        follows: covariate to how well the model's score predicts it.
        alone: covariate to what it predicts by itself, beside the model.
        within: `site` and `motion` to the main number within strata.
        flags: warnings.
        rule: when a flag is raised, and how often by chance.
        unknown: sentences on what could not be looked at.
    """

    motion_kind: str | None
    bands: str
    scores_by: dict[str, list[LevelScores]]
    follows: dict[str, Following]
    alone: dict[str, CovariateAlone]
    within: dict[str, WithinStrata]
    flags: list[Flag]
    rule: str
    unknown: list[str]


def look_for_confounds(study: Study, samples: int = 2000, seed: int = 0) -> Confounds:
    """Looks at the model's scores by everything that the datalist knows of the test units.

    Args:
        study: with the baselines of single covariates, as far as they were run.
        samples: draws of each bootstrap, and permutations.
        seed: of both.
    """
    units, target = study.model.units, study.target
    names, left_out = usable_covariates(study)
    unknown = [f"Scores are not looked at by {name}: {reason}." for name, reason in left_out.items()]
    follows = {name: follow(units, target, name, samples, seed) for name in names}
    alone = {}
    for name in names:
        try:
            found = covariate_alone(study, name, samples, seed)
        except DatalistError as error:
            unknown.append(f"What {name} alone predicts cannot be set beside the model: {error}")
            continue
        if found is None:
            unknown.append(f"What {name} alone predicts is not known: the baseline only_{name} was not run.")
        else:
            alone[name] = found
    strata = [name for name in STRATA if name in names]
    within = {name: within_strata(units, levels_of(units, name), target, name, samples, seed) for name in strata}
    kinds = units["motion_kind"].dropna().unique()
    return Confounds(
        motion_kind=str(kinds[0]) if len(kinds) == 1 else None,
        bands=f"Bands of {' and '.join(NUMBERS)} hold equal parts of the test units ({BANDS} bands, cut at quantiles).",
        scores_by={name: scores_by_level(units, name, target, samples, seed) for name in names},
        follows=follows,
        alone=alone,
        within=within,
        flags=raise_flags(target, alone, follows, within),
        rule=RULE,
        unknown=unknown,
    )
