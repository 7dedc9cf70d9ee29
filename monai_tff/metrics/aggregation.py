"""From one row per window to one row per scoring unit."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monai_tff.contract import Target
from monai_tff.errors import ContractError, DatalistError

PROBABILITY_TOLERANCE = 1e-3


def score_columns(target: Target) -> list[str]:
    """Names of the columns that hold the scores: `score`, or `score_0`, `score_1` and so on for several classes."""
    if target.kind == "multiclass":
        return [f"score_{index}" for index in range(len(target.class_names))]
    return ["score"]


def aggregate(windows: pd.DataFrame, target: Target, flat: bool = False, unit: str | None = None) -> pd.DataFrame:
    """Averages the scores of windows to one score per scoring unit.

    Windows are averaged within each scan, then the scans (runs) within each unit, so that a long scan counts no more
    than a short one; `flat` averages over all windows of the unit at once, as published. Classes are averaged as
    probabilities. Rows of the same scan and window, with which a distributed sampler fills its last batch, count
    once. The order of the rows does not matter.

    Args:
        windows: one row per window with the columns `subject`, `session`, `group`, `scan`, `window` (start frame),
            `truth` (index of the class, or value in the target's units; missing where unknown) and the score columns
            (probability of class 1; probability of each class; or value in the target's units).
        target: what is predicted.
        flat: average over windows at once (the paper's recipe).
        unit: `subject` or `session`; None chooses the session if the target differs within any subject of the table,
            else the subject. Give it where several tables must be scored alike.

    Returns:
        One row per unit, sorted, with the columns `subject`, `session` (None for a unit of several sessions),
        `group`, `scans`, `windows`, the score columns, `spread` (standard deviation over windows, unbiased, 0 for one
        window; of the probability of the predicted class for several classes) and `truth`.

    Raises:
        DatalistError: for a missing column, no rows, or a unit of more than one truth or group.
        ContractError: for a score that is not a finite number, or not a probability.
    """
    columns = score_columns(target)
    table, keys = checked_windows(windows, target, unit)
    grouped = table.groupby(keys)
    units = mean_scores(table, keys, columns, flat)
    units["spread"] = _spread(table, units, keys, columns)
    units["scans"] = grouped["scan"].nunique()
    units["windows"] = grouped.size()
    units["group"] = grouped["group"].first()
    units["truth"] = grouped["truth"].first()
    if "session" not in keys:
        units["session"] = grouped["session"].first().where(grouped["session"].nunique() == 1, "")
    units = units.reset_index()
    units["session"] = units["session"].astype(object).where(units["session"] != "", None)
    return units[["subject", "session", "group", "scans", "windows", *columns, "spread", "truth"]]


def checked_windows(windows: pd.DataFrame, target: Target, unit: str | None = None) -> tuple[pd.DataFrame, list[str]]:
    """The part of `aggregate` before the averages, which takes the same arguments and raises the same errors.

    Returns:
        One row per window, in an order of its own, and the columns that name a scoring unit.
    """
    columns = score_columns(target)
    table = _prepare(windows, columns)
    _check_scores(table, columns, target)
    if unit not in (None, "subject", "session"):
        raise ValueError(f"unit is '{unit}', expected subject, session or None.")
    by_session = unit == "session" or (unit is None and (_distinct(table, ["subject"], "truth") > 1).any())
    keys = ["subject", "session"] if by_session else ["subject"]
    _check_one_value(table, keys, "truth", f"value of '{target.name}'")
    _check_one_value(table, ["subject"], "group", "group")
    return table, keys


def mean_scores(table: pd.DataFrame, keys: list[str], columns: list[str], flat: bool) -> pd.DataFrame:
    """Averages checked windows to units.

    Args:
        table: of `checked_windows`.
        keys: columns that name a unit.
        columns: to average.
        flat: over all windows of a unit at once, else within each scan first.

    Returns:
        The columns, sorted by unit, which is the index.
    """
    per_scan = table if flat else table.groupby([*keys, "scan"], as_index=False)[columns].mean()
    return per_scan.groupby(keys)[columns].mean()


def _prepare(windows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Checked copy of the columns that are needed, one row per window, in an order of its own."""
    names = ["subject", "session", "group", "scan"]
    wanted = [*names, "window", "truth", *columns]
    missing = [name for name in wanted if name not in windows.columns]
    if missing:
        raise DatalistError(
            f"scores table: there is no column {', '.join(missing)}, expected {', '.join(wanted)}; it was made for "
            "another kind of target or by another program."
        )
    if windows.empty:
        raise DatalistError("scores table: there are no rows, expected one per window; check that the split has scans.")
    table = windows[wanted].copy()
    for name in names:
        table[name] = table[name].astype(object).where(table[name].notna(), "").astype(str)
    try:
        table[[*columns, "truth"]] = table[[*columns, "truth"]].astype(float)
    except (TypeError, ValueError) as error:
        raise DatalistError(
            f"scores table: a score or truth is no number ({error}), expected numbers; a class is given by its index."
        ) from error
    table = table.sort_values([*names, "window", *columns], ignore_index=True)
    return table.groupby([*names, "window", "truth"], as_index=False, dropna=False)[columns].mean()


def _check_scores(table: pd.DataFrame, columns: list[str], target: Target) -> None:
    scores = table[columns].to_numpy()
    wrong, expected = ~np.isfinite(scores).all(axis=1), "finite numbers; check the scan and the weights"
    if target.kind != "regression" and not wrong.any():
        tolerance = PROBABILITY_TOLERANCE
        wrong = ((scores < -tolerance) | (scores > 1 + tolerance)).any(axis=1)
        if target.kind == "multiclass":
            wrong |= np.abs(scores.sum(axis=1) - 1) > tolerance
        expected = "probabilities; apply the sigmoid or softmax of the postprocessing to the outputs"
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        values = ", ".join(f"{value:g}" for value in scores[row])
        raise ContractError(
            f"{table['scan'][row]}: the score of the window at frame {table['window'][row]} is {values}, expected "
            f"{expected}."
        )


def _distinct(table: pd.DataFrame, keys: list[str], name: str) -> pd.Series:
    """Number of different values of a column within each unit; a missing value is one of its own."""
    return table.groupby(keys)[name].nunique(dropna=False)


def _check_one_value(table: pd.DataFrame, keys: list[str], name: str, what: str) -> None:
    distinct = _distinct(table, keys, name)
    if (distinct <= 1).all():
        return
    unit = distinct[distinct > 1].index[0]
    names = dict(zip(keys, unit if isinstance(unit, tuple) else (unit,), strict=True))
    rows = table[(table[keys] == pd.Series(names)).all(axis=1)]
    found = ", ".join(f"{value}" for value in rows[name].unique())
    who = " ".join(f"{key} '{value}'" for key, value in names.items())
    raise DatalistError(
        f"scores table: {who} has more than one {what} ({found}), expected one; correct the datalist, or name the "
        "sessions if the target changes between them."
    )


def _spread(table: pd.DataFrame, units: pd.DataFrame, keys: list[str], columns: list[str]) -> NDArray:
    """Standard deviation over the windows of each unit, of the score or of the predicted class's probability."""
    unit_of_row = table.groupby(keys).ngroup().to_numpy()
    predicted = units[columns].to_numpy().argmax(axis=1)
    values = table[columns].to_numpy()[np.arange(len(table)), predicted[unit_of_row]]
    return pd.Series(values).groupby(unit_of_row).std(ddof=1).fillna(0.0).to_numpy()
