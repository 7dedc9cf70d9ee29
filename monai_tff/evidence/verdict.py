"""The headline of a study: above chance or not, better than its baselines or not, and what speaks against it."""

from __future__ import annotations

import dataclasses
from typing import Any

from monai_tff.contract import Target
from monai_tff.evidence.comparisons import CONTROL, Comparison, Comparisons, Permutations
from monai_tff.evidence.covariates import main_interval
from monai_tff.evidence.flags import Flag
from monai_tff.evidence.numbers import NAMES, chance, main_statistic, p_text, statistic_name, with_interval
from monai_tff.evidence.study import Evaluation, Study
from monai_tff.metrics.permutation import PermutationResult

LEVEL = 0.05
"""Permutation p below which scores count as above chance, where their interval lies above chance too."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a reader is told first.

    Attributes:
        above_chance: whether the model is; None where it cannot be tested.
        better_than: names of the baselines that the model is better than (Holm-corrected p < 0.05).
        not_better_than: names of the other baselines.
        headline: one sentence.
        sentences: what else must be said, in its order.
    """

    above_chance: bool | None
    better_than: list[str]
    not_better_than: list[str]
    headline: str
    sentences: list[str]


def judge(
    study: Study, comparisons: Comparisons, permutations: Permutations, flags: list[Flag], ledger: dict[str, Any]
) -> Verdict:
    """Puts the evidence into sentences.

    Args:
        study: that is judged.
        comparisons: of the model with baselines, control and earlier runs.
        permutations: of the model and the baselines.
        flags: of the confound report.
        ledger: of `read_ledger`.
    """
    above = is_above_chance(study.model, permutations.model, study.target)
    baselines = [row for row in comparisons.rows if row.kind == "baseline"]
    better = [row for row in baselines if is_better(row)]
    sentences = [_baselines(study.target, baselines)]
    if above is False:
        sentences += _few_exchanges(permutations.model, len(study.model.units))
    if not above:
        sentences += _baselines_above_chance(study, permutations)
    sentences += [_control(row) for row in comparisons.rows if row.name == CONTROL]
    sentences += [_earlier(row) for row in comparisons.rows if row.kind == "earlier run"]
    if flags:
        sentences.append(f"{len(flags)} warning{'s' if len(flags) > 1 else ''} of confounds: read them first.")
    return Verdict(
        above_chance=above,
        better_than=[row.name for row in better],
        not_better_than=[row.name for row in baselines if row not in better],
        headline=_headline(study, above, permutations.model),
        sentences=[*sentences, str(ledger["sentence"])],
    )


def is_above_chance(evaluation: Evaluation, test: PermutationResult, target: Target) -> bool | None:
    """Whether permutation p is below 0.05 and the 95 % interval lies above chance; None without a test or interval."""
    interval = main_interval(evaluation, target)
    if test.p is None or interval is None:
        return None
    return test.p < LEVEL and interval[0] > chance(target)


def is_better(row: Comparison) -> bool:
    """Whether the model is better than the other, at a corrected p below 0.05."""
    found = row.difference
    return found.p_holm is not None and found.difference is not None and found.p_holm < LEVEL and found.difference > 0


def is_worse(row: Comparison) -> bool:
    """Whether the model is worse than the other, at a corrected p below 0.05."""
    found = row.difference
    return found.p_holm is not None and found.difference is not None and found.p_holm < LEVEL and found.difference < 0


def _headline(study: Study, above: bool | None, test: PermutationResult) -> str:
    name, target = main_statistic(study.target), study.target.name
    value = study.model.metrics["values"].get(name)
    numbers = f"{statistic_name(study.target)} {with_interval(value, main_interval(study.model, study.target))}"
    counts = study.model.metrics["counts"]
    who = f"{counts['subjects']} subjects"
    if counts["units"] != counts["subjects"]:
        who = f"{counts['units']} units of {who}"
    if above is None:
        return f"Whether {target} is predicted above chance cannot be told: {numbers}, {who}. {test.exchangeable}"
    details = f"{numbers}, permutation {p_text(test.p)}, {who}"
    if above:
        return f"The model predicts {target} above chance: {details}."
    return f"Nothing above chance was found for {target}: {details}."


def _few_exchanges(test: PermutationResult, units: int) -> list[str]:
    """Says so where most labels cannot move: sites and folds of a few units, or of one class."""
    fixed = f"{test.fixed_units} of {units} units keep their label in every permutation"
    return [f"{fixed}: such a test can hardly find anything."] if 2 * test.fixed_units > units else []


def _baselines(target: Target, rows: list[Comparison]) -> str:
    if not rows:
        return "The model was not compared with any baseline, so that nothing says whether it was worth its training."
    parts = []
    for word, chosen in (
        ("better than", [row for row in rows if is_better(row)]),
        ("worse than", [row for row in rows if is_worse(row)]),
        ("neither better nor worse than", [row for row in rows if not is_better(row) and not is_worse(row)]),
    ):
        if chosen:
            parts.append(f"{word} " + ", ".join(_beside(row) for row in chosen))
    return f"By {statistic_name(target)} the model is {'; '.join(parts)}."


def _beside(row: Comparison) -> str:
    found = row.difference
    size = with_interval(found.difference, found.interval)
    return f"{row.called} (difference {size}, corrected {p_text(found.p_holm)})"


def _baselines_above_chance(study: Study, permutations: Permutations) -> list[str]:
    above = [
        NAMES[name]
        for name in NAMES
        if name in permutations.baselines
        and is_above_chance(study.baselines[name], permutations.baselines[name], study.target)
    ]
    return [f"Above chance on the same units: {', '.join(above)}."] if above else []


def _control(row: Comparison) -> str:
    if is_better(row):
        return f"The order of the frames matters: the model is better than {_beside(row)}."
    return f"That the order of the frames matters was not shown: the model is not better than {_beside(row)}."


def _earlier(row: Comparison) -> str:
    word = "better than" if is_better(row) else "worse than" if is_worse(row) else "neither better nor worse than"
    return f"The model is {word} {_beside(row)}."
