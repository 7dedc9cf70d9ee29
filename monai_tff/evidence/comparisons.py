"""Is the model better than its baselines, its control and earlier runs, and is each of them better than chance?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from monai_tff.data.strata import UNKNOWN_SITE
from monai_tff.errors import UserError
from monai_tff.evidence.numbers import NAMES, is_repeated, main_statistic, metric_units
from monai_tff.evidence.study import Study, read_study
from monai_tff.metrics.comparison import PairedDifference, holm, paired_difference
from monai_tff.metrics.permutation import PermutationResult, permutation_test

BASELINES = ("covariates", "mean_image", "connectivity")
"""Those that the model has to beat; a single covariate is looked at by `monai_tff.evidence.covariates`."""

CONTROL = "shuffled_frames"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The model beside one other method on the same units.

    Attributes:
        name: of the baseline or control; of an earlier run its folder as it was given.
        kind: `baseline`, `control` or `earlier run`.
        called: how a sentence calls it.
        difference: model - other, with p corrected over all comparisons of the list.
    """

    name: str
    kind: str
    called: str
    difference: PairedDifference


@dataclasses.dataclass(frozen=True)
class Comparisons:
    """All comparisons of a study.

    Attributes:
        statistic: number that is compared.
        correction: what p was corrected for, a sentence.
        rows: one for each comparison, in a fixed order.
        not_compared: a sentence for each that could not be made.
    """

    statistic: str
    correction: str
    rows: list[Comparison]
    not_compared: list[str]


def compare(study: Study, against: Sequence[str | Path] = (), samples: int = 2000, seed: int = 0) -> Comparisons:
    """Compares the model with its baselines, its control and earlier runs by a paired bootstrap over groups.

    Args:
        study: with the model's scores.
        against: run folders or folders of folds that were evaluated on the same test units.
        samples: draws of the bootstrap.
        seed: of the bootstrap.

    Returns:
        The differences. What does not exist, or has other units, is named instead.
    """
    found: list[Comparison] = []
    missing: list[str] = []
    for name, kind, units in _others(study, against, missing):
        try:
            difference = paired_difference(
                metric_units(study.model.units), metric_units(units), study.target, None, samples, seed
            )
            found.append(Comparison(name, kind, NAMES.get(name, name), difference))
        except UserError as error:
            missing.append(f"not comparable with {NAMES.get(name, name)}: {error}")
    corrected = holm({f"{row.kind} {row.name}": row.difference.p for row in found})
    rows = [
        dataclasses.replace(
            row, difference=dataclasses.replace(row.difference, p_holm=corrected[f"{row.kind} {row.name}"])
        )
        for row in found
    ]
    names = ", ".join(row.called for row in rows)
    correction = f"p is corrected by Holm's procedure over {len(rows)} comparisons ({names})." if rows else ""
    return Comparisons(main_statistic(study.target), correction, rows, missing)


def _others(study: Study, against: Sequence[str | Path], missing: list[str]) -> list[tuple[str, str, pd.DataFrame]]:
    """Name, kind and units of every other method; what is missing is added to the sentences."""
    others = []
    for name, kind, evaluations in (
        *((name, "baseline", study.baselines) for name in BASELINES),
        (CONTROL, "control", study.controls),
    ):
        if name in evaluations:
            others.append((name, kind, evaluations[name].units))
        else:
            missing.append(f"not compared with {NAMES[name]}: the {kind} was not run.")
    for folder in dict.fromkeys(map(str, against)):
        try:
            earlier = read_study(folder)
            if (earlier.target.kind, earlier.target.class_names) != (study.target.kind, study.target.class_names):
                missing.append(f"not comparable with {folder}: it predicts '{earlier.target.name}' with other classes.")
                continue
            others.append((folder, "earlier run", earlier.model.units))
        except UserError as error:
            missing.append(f"not comparable with {folder}: {error}")
    return others


@dataclasses.dataclass(frozen=True)
class Permutations:
    """Whether the model and each baseline are better than chance.

    Attributes:
        strata: columns within which labels were exchanged.
        model: the test of the model.
        baselines: the test of each baseline, by name.
    """

    strata: list[str]
    model: PermutationResult
    baselines: dict[str, PermutationResult]


def permute(study: Study, samples: int = 2000, seed: int = 0) -> Permutations:
    """Tests the model and each baseline against chance, labels exchanged within sites and folds.

    Labels are exchanged within a site because a site may have its own scanner and its own share of patients, and
    within a fold because the trainings of two folds differ and the classes of one are not drawn without the other.

    Args:
        study: with the scores.
        samples: permutations.
        seed: of the permutations.
    """
    columns = strata_columns(study.model.units, study.target.name)

    def test(units: pd.DataFrame) -> PermutationResult:
        table = metric_units(units)
        strata = table[columns].fillna(UNKNOWN_SITE).agg(" / ".join, axis=1) if columns else None
        found = permutation_test(table, study.target, strata, samples, seed)
        within = f" The strata are those of {' and '.join(columns)}." if columns else ""
        if columns and table[columns].isna().any(axis=None):
            within += " Units of unknown site are a stratum of their own."
        return dataclasses.replace(found, exchangeable=found.exchangeable + within)

    baselines = {name: test(evaluation.units) for name, evaluation in study.baselines.items()}
    return Permutations(columns, test(study.model.units), baselines)


def strata_columns(units: pd.DataFrame, target_name: str) -> list[str]:
    """What labels are exchanged within: the site where it is known and not the target, and the fold.

    A few units of unknown site are no reason to exchange the labels of the others between sites. The fold is left out
    where repeated folds score a group in several.

    Args:
        units: of the model.
        target_name: of the study.
    """
    columns = []
    if target_name.casefold() != "site" and units["site"].nunique() > 1:
        columns.append("site")
    if units["fold"].nunique() > 1 and not is_repeated(units):
        columns.append("fold")
    return columns
