"""Out-of-fold scores: each unit is scored by weights that never saw it, and all folds are evaluated as one test set."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monai_tff.bundle.folds_numbers import numbers_of, over_folds, per_fold
from monai_tff.bundle.lineage import BY_CONTENT, UNKNOWN
from monai_tff.bundle.study_folder import Member, StudyFolder, read_study_folder
from monai_tff.bundle.written_result import METRICS, read_metrics, target_of_metrics
from monai_tff.contract import Target
from monai_tff.data.label_statistics import target_statistics
from monai_tff.handlers.evaluation_files import (
    EvaluationSettings,
    metrics_content,
    plain_rows,
    predictions_table,
    write_json,
    write_table,
)
from monai_tff.handlers.window_rows import read_windows
from monai_tff.metrics import aggregate, evaluate_units, predicted_classes, score_columns

BASELINES = "baselines/"
"""Parts that do not depend on the seed of a training: they lie with the first seed of each split."""

OVERLAPPING = (
    "the intervals of pooled folds take their units as independent, but the folds share most of their training scans: "
    "they are too narrow by an amount that cannot be estimated from the folds (Bengio and Grandvalet 2004)."
)
KEYS = ["subject", "session"]

FOLDS_JOINED_BY = ";"
"""Between the names of the folds that scored a unit, of which repeated folds have several."""


def pool_evaluations(folder: str | Path, part: str) -> Path:
    """Evaluates the test sections of all folds as one, and writes the files of an evaluation.

    A unit's score is the mean over the members that tested it: over seeds, and over repeats of the folds. Its threshold
    is the mean of theirs. `predictions.csv` has the further columns `fold` (name of the split; of several repeats all
    names, separated by `;`), `threshold`, and `seed_spread` (unbiased standard deviation over the seeds of the mean
    over the repeats, of the predicted class's probability for several classes; empty for one seed). `windows.csv` has
    the rows of all members with `fold` and `seed`. `metrics.json` has the numbers of all units together with their
    intervals, and further `folds` (see `folds_numbers.per_fold`), `mean_over_folds`, `std_over_folds` and
    `std_over_seeds` (see `folds_numbers.over_folds`); its `threshold` is the mean over the members, its `ledger` that
    of the test section that was used most.

    Args:
        folder: of the folds.
        part: `evaluation`, `baselines/<name>` (of the first seed of each split) or `controls/shuffled_frames`.

    Returns:
        The folder of the files, `<folder>/<part>`.

    Raises:
        ConfigError: where a member has no such files.
        DatalistError: for a unit with several labels.

    Reference:
        Bengio and Grandvalet 2004, "No unbiased estimator of the variance of k-fold cross-validation", Journal of
        Machine Learning Research 5, on why no interval of pooled folds can be right.
    """
    folder = Path(folder).resolve()
    study = read_study_folder(folder)
    members = _first_seeds(study.members) if part.startswith(BASELINES) else list(study.members)
    metrics = [read_metrics(member.folder / part) for member in members]
    target = target_of_metrics(metrics[0])
    windows = [read_windows(member.folder / part / "windows.csv", target) for member in members]
    units = _pooled_units(members, metrics, windows, target)
    settings = EvaluationSettings(
        target=target,
        split=metrics[0]["split"],
        threshold=float(np.mean([each["threshold"] for each in metrics])),
        flat=metrics[0]["flat"],
        bootstrap_samples=metrics[0]["bootstrap"]["samples"],
        seed=metrics[0]["bootstrap"]["seed"],
        pretraining_overlap=_worst([each["pretraining_overlap"] for each in metrics]),
        kind=metrics[0]["kind"],
        model=metrics[0]["model"] if len({each["model"] for each in metrics}) == 1 else None,
    )
    details = {**_details(study, members, part), **_most_used([each.get("ledger") for each in metrics])}
    _write(folder / part, units, _all_windows(members, windows), settings, details)
    return folder / part


def _first_seeds(members: Sequence[Member]) -> list[Member]:
    first: dict[str, Member] = {}
    for member in members:
        first.setdefault(member.split, member)
    return list(first.values())


def _all_windows(members: Sequence[Member], windows: Sequence[pd.DataFrame]) -> pd.DataFrame:
    labelled = [table.assign(fold=m.split, seed=m.seed) for m, table in zip(members, windows, strict=True)]
    return pd.concat(labelled, ignore_index=True)


def _pooled_units(
    members: Sequence[Member], metrics: Sequence[dict[str, Any]], windows: Sequence[pd.DataFrame], target: Target
) -> pd.DataFrame:
    """One row per unit: the columns of `aggregate`, `fold`, `threshold`, `seed_spread`, and `baseline` for a number."""
    together = pd.concat(windows, ignore_index=True)
    # one choice for all folds, although only some of them may have a subject whose sessions differ
    changes = (together.groupby("subject")["truth"].nunique() > 1).any()
    unit = "session" if changes else "subject"
    rows, parts = [], []
    for member, content, table in zip(members, metrics, windows, strict=True):
        found = aggregate(table, target, flat=content["flat"], unit=unit)
        # a subject may be a unit of its own at each of several sites, each with other sessions
        session = table["session"] if changes else table["subject"].map(found.set_index("subject")["session"])
        parts.append(table.assign(session=session))
        own = {"fold": member.split, "seed": member.seed, "threshold": content["threshold"]}
        rows.append(found.assign(**own, baseline=_baseline(member, target)))
    scored = pd.concat(rows, ignore_index=True)
    scored["session"] = scored["session"].astype(object).where(scored["session"].notna(), "")
    columns = score_columns(target)
    grouped = scored.groupby(KEYS)
    units = grouped[[*columns, "spread", "threshold", "baseline"]].mean()
    units["group"], units["truth"] = grouped["group"].first(), grouped["truth"].first()
    units["fold"] = grouped["fold"].agg(lambda names: FOLDS_JOINED_BY.join(dict.fromkeys(names)))
    units["seed_spread"] = _seed_spread(scored, units, columns)
    units = units.reset_index().merge(_counts(pd.concat(parts, ignore_index=True)), on=KEYS, validate="one_to_one")
    units["session"] = units["session"].astype(object).where(units["session"] != "", None)
    return units.sort_values(KEYS, na_position="first", ignore_index=True)


def _counts(windows: pd.DataFrame) -> pd.DataFrame:
    """Scans of each unit and windows of them, each once, however many members scored it."""
    session = windows["session"].astype(object).where(windows["session"].notna(), "")
    grouped = windows.assign(session=session).drop_duplicates([*KEYS, "scan", "window"]).groupby(KEYS)["scan"]
    return pd.DataFrame({"scans": grouped.nunique(), "windows": grouped.size()}).reset_index()


def _seed_spread(scored: pd.DataFrame, units: pd.DataFrame, columns: list[str]) -> NDArray[np.float64]:
    """Standard deviation over the seeds, [units]; NaN for one seed."""
    chosen = units[columns].to_numpy().argmax(axis=1)
    per_seed = scored.groupby([*KEYS, "seed"])[columns].mean()
    spread = per_seed.groupby(KEYS).std(ddof=1).loc[units.index, columns].to_numpy()
    return spread[np.arange(len(units)), chosen]


def _baseline(member: Member, target: Target) -> float:
    """Mean of a number over the training subjects of the member's split, NaN for classes."""
    if target.kind != "regression" or member.datalist is None:
        return np.nan
    return float(target_statistics(member.datalist)[0])


def _write(
    folder: Path, units: pd.DataFrame, windows: pd.DataFrame, settings: EvaluationSettings, details: dict[str, Any]
) -> None:
    """The numbers come last: they never stand beside other predictions."""
    target = settings.target
    thresholds: Any = units["threshold"].to_numpy(float)
    baseline = units["baseline"].to_numpy(float) if target.kind == "regression" else None
    result = evaluate_units(
        units,
        target,
        threshold=thresholds,
        baseline_value=baseline,
        bootstrap_samples=settings.bootstrap_samples,
        seed=settings.seed,
    )
    result = dataclasses.replace(result, warnings=[*result.warnings, *details.pop("warnings")])
    (folder / METRICS).unlink(missing_ok=True)
    predictions = predictions_table(units, settings)
    if target.kind == "binary":
        predictions["predicted"] = predicted_classes(units[score_columns(target)].to_numpy(), target, thresholds)
    predictions[["fold", "threshold", "seed_spread"]] = units[["fold", "threshold", "seed_spread"]]
    write_table(folder / "windows.csv", windows)
    write_table(folder / "predictions.csv", predictions)
    write_json(folder / "predictions.json", plain_rows(predictions))
    counts = {"scans": int(units["scans"].sum()), "windows": int(units["windows"].sum())}
    write_json(folder / METRICS, {**metrics_content(result, settings, counts), **details})


def _details(study: StudyFolder, members: Sequence[Member], part: str) -> dict[str, Any]:
    numbers = numbers_of(members, part)
    splits = list(dict.fromkeys(member.split for member in members))
    warnings = []
    if len(splits) > 1:
        warnings.append(OVERLAPPING)
    if len(splits) < study.splits:
        warnings.append(f"{len(splits)} of {study.splits} folds were run: the other subjects are not tested here.")
    if study.plan.get("repeats", 1) > 1:
        warnings.append("units that were tested in several repeats of the folds have the mean over the repeats.")
    return {"warnings": warnings, "folds": per_fold(numbers, members, part), **over_folds(numbers)}


def _most_used(ledgers: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    """What the ledger says of the test section that was used most; each fold has its own."""
    known = [ledger for ledger in ledgers if ledger is not None]
    most = max(known, key=lambda ledger: ledger["evaluations"] or 0, default=None)
    return {} if most is None else {"ledger": most}


def _worst(overlaps: Sequence[str | None]) -> str | None:
    """The pretraining overlap that is true of all members."""
    for word in (UNKNOWN, BY_CONTENT):
        if word in overlaps:
            return word
    return next((word for word in overlaps if word is not None), None)
