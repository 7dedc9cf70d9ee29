"""The scores of the units of one site, one sex, one band of age or of motion."""

from __future__ import annotations

import dataclasses
from functools import partial

import numpy as np
import pandas as pd

from monai_tff.contract import Target
from monai_tff.evidence.facts import NUMBERS
from monai_tff.evidence.within import main_numbers
from monai_tff.metrics import score_columns
from monai_tff.metrics.intervals import Interval, bootstrap_intervals, is_degenerate, newcombe_auroc

BANDS = 3
"""Bands of a number: terciles of the units, as equal in size as ties allow."""


@dataclasses.dataclass(frozen=True)
class LevelScores:
    """What the units of one level have in common.

    Attributes:
        level: name of the site or sex, or the range of the band.
        units: scoring units.
        groups: groups that the bootstrap draws.
        value: main number among them, None where it is not defined (one class alone).
        interval: 95 % interval, None where there is none.
        mean_score: mean of each score column: what the model says of this level on average.
        mean_truth: share of class 1, or mean of the number; for several classes the share of each.
    """

    level: str
    units: int
    groups: int
    value: float | None
    interval: Interval | None
    mean_score: list[float]
    mean_truth: list[float]


def levels_of(units: pd.DataFrame, covariate: str) -> pd.Series:
    """The level of each unit: its text, or the tercile band of its number; None where it is not known.

    Args:
        units: with the covariate's column.
        covariate: `site`, `sex`, `age` or `motion`.

    Returns:
        Texts, aligned with the units.
    """
    if covariate not in NUMBERS:
        return units[covariate]
    values = units[covariate]
    known = values.dropna()
    if known.nunique() < 2:
        return pd.Series([None] * len(units), index=units.index, dtype=object)
    edges = np.unique(np.quantile(known, np.arange(1, BANDS) / BANDS))
    # an edge belongs to the band below
    band = np.searchsorted(edges, values.to_numpy(), side="left")
    limits = known.groupby(band[values.notna()]).agg(["min", "max"])
    names = _band_names(limits, digits=0 if covariate == "age" else 3)
    labels = [names[number] if is_known else None for number, is_known in zip(band, values.notna(), strict=True)]
    return pd.Series(labels, index=units.index, dtype=object)


def _band_names(limits: pd.DataFrame, digits: int) -> dict[int, str]:
    """Name of each band: the smallest and the largest number in it, as many digits as tell the bands apart."""
    names: dict[int, str] = {}
    for more in range(digits, 17):
        names = {
            int(band): f"{low:.{more}f} to {high:.{more}f}"
            for band, low, high in zip(limits.index, limits["min"], limits["max"], strict=True)
        }
        if len(set(names.values())) == len(names):
            break
    return names


def scores_by_level(
    units: pd.DataFrame, covariate: str, target: Target, samples: int = 2000, seed: int = 0
) -> list[LevelScores]:
    """The main number, its interval and the mean score at each level of a covariate.

    Args:
        units: of an `Evaluation`, sorted.
        covariate: `site`, `sex`, `age` or `motion`.
        target: what is predicted.
        samples: draws of the group bootstrap.
        seed: of the bootstrap.

    Returns:
        Levels in the order of their names, bands from low to high; units of unknown level are left out.
    """
    levels = levels_of(units, covariate)
    names = sorted(levels.dropna().unique())
    if covariate in NUMBERS:
        lowest = units[covariate].groupby(levels).min()
        names = list(lowest.sort_values().index)
    return [_level(str(name), units[levels == name], target, samples, seed) for name in names]


def _level(name: str, units: pd.DataFrame, target: Target, samples: int, seed: int) -> LevelScores:
    columns = score_columns(target)
    truth = units["truth"].to_numpy(float)
    compute = partial(
        main_numbers,
        truth=truth,
        scores=units[columns].to_numpy(float),
        levels=np.zeros(len(units), dtype=int),
        kind=target.kind,
    )
    value = float(compute(np.ones((1, len(units))))["pooled"][0])
    interval = None
    if np.isfinite(value):
        interval = bootstrap_intervals(compute, units["group"].tolist(), samples, seed)["pooled"]
        interval = _with_width(interval, value, units, target)
    means = [truth.mean()]
    if target.kind == "multiclass":
        means = [(truth == index).mean() for index in range(len(target.class_names))]
    return LevelScores(
        level=name,
        units=len(units),
        groups=units["group"].nunique(),
        value=value if np.isfinite(value) else None,
        interval=interval,
        mean_score=[float(units[column].mean()) for column in columns],
        mean_truth=[float(mean) for mean in means],
    )


def _with_width(interval: Interval, value: float, units: pd.DataFrame, target: Target) -> Interval | None:
    """The bootstrap's interval, a closed form where it has no width, None where there is none either."""
    if not is_degenerate(interval):
        return min(interval[0], value), max(interval[1], value)
    if target.kind != "binary":
        return None
    numbers = [units.loc[units["truth"] == index, "group"].nunique() for index in (1, 0)]
    return newcombe_auroc(value, *numbers)
