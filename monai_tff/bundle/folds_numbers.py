"""The numbers of the members of a folder of folds, one by one, and their mean and spread over folds and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from monai_tff.bundle.study_folder import Member, read_members
from monai_tff.bundle.written_result import read_metrics
from monai_tff.handlers.evaluation_files import write_table

NUMBERS_FILE = "folds.csv"
COLUMNS = ("split", "seed", "name", "value")
CLASS_NAMES = {"auroc": "AUROC", "balanced_accuracy": "balanced accuracy"}


def numbers_of(members: Sequence[Member], part: str) -> pd.DataFrame:
    """Every number of every member.

    Args:
        members: that have been evaluated.
        part: folder of the evaluation in the run folder, for example `evaluation`.

    Returns:
        One row per member and number: `split`, `seed`, `name`, `value` (NaN where it is not defined).

    Raises:
        ConfigError: for a member without numbers.
    """
    rows = [
        (member.split, member.seed, name, np.nan if value is None else float(value))
        for member in members
        for name, value in read_metrics(member.folder / part)["values"].items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_numbers(folder: Path) -> Path:
    """Writes `folds.csv`: the test numbers of every member.

    Args:
        folder: of the folds.

    Returns:
        The file.
    """
    write_table(folder / NUMBERS_FILE, numbers_of(read_members(folder), "evaluation"))
    return folder / NUMBERS_FILE


def over_folds(numbers: pd.DataFrame) -> dict[str, Any]:
    """What folds and seeds say of the stability of each number.

    Args:
        numbers: of `numbers_of`.

    Returns:
        `mean_over_folds`: mean over the splits of the mean over the seeds. `std_over_folds`: unbiased standard
        deviation over the splits of the mean over the seeds. `std_over_seeds`: root mean square over the splits of the
        unbiased standard deviation over the seeds, what another seed alone would change. Each by name of the number,
        None where there are too few members; numbers that are not defined (a class is absent) are left out.
    """
    per_split = numbers.groupby(["name", "split"], sort=False)["value"]
    means = per_split.mean().dropna().groupby("name", sort=False)
    variances = per_split.var(ddof=1).groupby("name", sort=False).mean()
    names = list(dict.fromkeys(numbers["name"]))
    return {
        "mean_over_folds": _by_name(names, means.mean()),
        "std_over_folds": _by_name(names, means.std(ddof=1)),
        "std_over_seeds": _by_name(names, variances**0.5),
    }


def per_fold(numbers: pd.DataFrame, members: Sequence[Member], part: str) -> list[dict[str, Any]]:
    """The numbers of each split, for `metrics.json`.

    Args:
        numbers: of `numbers_of`.
        members: the same.
        part: the same.

    Returns:
        For each split in the order of the members its name, `units`, `threshold` (mean over the seeds), and `values`:
        mean over the seeds of each number, None where it is not defined.
    """
    found = []
    for split, rows in numbers.groupby("split", sort=False):
        metrics = [read_metrics(member.folder / part) for member in members if member.split == split]
        names = list(dict.fromkeys(rows["name"]))
        found.append(
            {
                "split": split,
                "seeds": [member.seed for member in members if member.split == split],
                "units": metrics[0]["counts"]["units"],
                "threshold": float(np.mean([each["threshold"] for each in metrics])),
                "values": _by_name(names, rows.groupby("name")["value"].mean()),
            }
        )
    return found


def _by_name(names: Sequence[str], values: pd.Series | Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN."""
    found = {name: float(values.get(name, np.nan)) for name in names}
    return {name: value if np.isfinite(value) else None for name, value in found.items()}


def fold_lines(metrics: Mapping[str, Any]) -> list[str]:
    """One line for each fold, and one for their mean and spread.

    Args:
        metrics: of a pooled evaluation; another one gives no lines.

    Example:
        What a person reads::

            fold-1: AUROC 0.91, balanced accuracy 0.84 (47 units, 3 seeds)
            fold-2: AUROC 0.88, balanced accuracy 0.80 (47 units, 3 seeds)
            over 2 folds: AUROC 0.90 ± 0.02, balanced accuracy 0.82 ± 0.03; over seeds ± 0.01, ± 0.02
    """
    if "folds" not in metrics:
        return []
    kind = metrics["target"]["kind"]
    names = {"mae": "MAE", "pearson_r": "Pearson r"} if kind == "regression" else CLASS_NAMES
    lines = []
    for fold in metrics["folds"]:
        shown = ", ".join(f"{word} {_shown(fold['values'].get(name))}" for name, word in names.items())
        seeds = f", {len(fold['seeds'])} seeds" if len(fold["seeds"]) > 1 else ""
        lines.append(f"{fold['split']}: {shown} ({fold['units']} units{seeds})")
    spread, seed_spread = metrics["std_over_folds"], metrics["std_over_seeds"]
    means = ", ".join(
        f"{word} {_shown(metrics['mean_over_folds'].get(name))}{_plus_minus(spread.get(name))}"
        for name, word in names.items()
    )
    over_seeds = ",".join(_plus_minus(seed_spread.get(name)) for name in names) if any(seed_spread.values()) else ""
    count = len(metrics["folds"])
    lines.append(f"over {count} fold{'s'[: count != 1]}: {means}" + (f"; over seeds{over_seeds}" if over_seeds else ""))
    return lines


def _shown(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3g}"


def _plus_minus(value: float | None) -> str:
    return "" if value is None else f" ± {value:.2g}"
