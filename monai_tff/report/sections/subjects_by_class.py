"""Who the subjects are: covariates by class, or below and above the median of a number. A paper's first table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from monai_tff.contract import Target
from monai_tff.data.splits import SECTIONS
from monai_tff.report.html import Element, element, paragraph, table
from monai_tff.report.numbers import NOTHING, rounded

NUMBERS = {"age": "Age (years)", "motion": "Motion"}
NAMES = {"sex": "Sex", "site": "Site"}
SITES_SHOWN = 12
"""Values of a covariate that get a row each; the most frequent ones."""

NOTE = (
    "Each labelled subject of the three sections once. Numbers: mean (standard deviation); names: subjects (share). "
    "Difference: the standardised difference of means or shares, without its sign, the largest over pairs of columns; "
    "above 0.1 a covariate is commonly called unbalanced, and a model may use it (Austin 2009, Statistics in Medicine "
    "28:3083-3107). That says nothing of whether it did: see the confounds."
)


def subjects_by_class(datalist: Mapping[str, Any], target: Target, caption: str) -> Element | None:
    """Covariates of the labelled subjects by class; of a number, below its median and from it on.

    Args:
        datalist: its content.
        target: what is predicted; a covariate of its name is left out.
        caption: of the table.

    Returns:
        The table with a note, None where no covariate is known.
    """
    subjects = labelled_subjects(datalist)
    if subjects.empty:
        return None
    columns = _columns(subjects, target)
    rows: list[list[str]] = []
    for name, title in NUMBERS.items():
        if name != target.name.casefold() and subjects[name].notna().any():
            rows.append(_number_row(_motion_title(subjects) if name == "motion" else title, name, columns))
    for name, title in NAMES.items():
        if name != target.name.casefold() and subjects[name].nunique() > 1:
            rows += _name_rows(title, name, columns)
    if not rows:
        return None
    head = ["Covariate", *(f"{title} ({len(part)})" for title, part in columns.items()), "Difference"]
    return element("div", table(head, rows, caption=caption), paragraph(NOTE, class_="small muted"))


def labelled_subjects(datalist: Mapping[str, Any]) -> pd.DataFrame:
    """One row per labelled subject: label and age of its first scan, sex, site, mean motion of its scans."""
    columns = ["subject", "label", "age", "sex", "site", "motion", "motion_kind"]
    records = [{key: record.get(key) for key in columns} for section in SECTIONS for record in datalist[section]]
    table_ = pd.DataFrame([record for record in records if record["label"] is not None], columns=columns)
    table_[["age", "motion"]] = table_[["age", "motion"]].astype(float)
    first = table_.groupby("subject", as_index=False).first()
    return first.assign(motion=table_.groupby("subject")["motion"].mean().to_numpy())


def standardised_difference(parts: Sequence[pd.Series], shares: bool = False) -> float | None:
    """The largest |difference of means| / root of the mean variance, over pairs of parts.

    Args:
        parts: values of a number, or 0 and 1 of a name; NaN where it is not known.
        shares: they are 0 and 1, whose variance is p (1 - p).

    Returns:
        None where no pair has two values each, or none varies.
    """
    known = [part.dropna().to_numpy(float) for part in parts]
    found = []
    for one, other in combinations([values for values in known if len(values) > 1], 2):
        spread = np.sqrt((one.var(ddof=1 - shares) + other.var(ddof=1 - shares)) / 2)
        if spread > 0:
            found.append(abs(one.mean() - other.mean()) / spread)
    return max(found, default=None)


def _columns(subjects: pd.DataFrame, target: Target) -> dict[str, pd.DataFrame]:
    if target.kind != "regression":
        return {name: subjects[subjects["label"] == name] for name in target.class_names}
    values = subjects["label"].astype(float)
    median = float(values.median())
    return {
        f"{target.name} below {median:g}": subjects[values < median],
        f"from {median:g} on": subjects[values >= median],
    }


def _motion_title(subjects: pd.DataFrame) -> str:
    kinds = subjects.loc[subjects["motion"].notna(), "motion_kind"].dropna().unique()
    return f"{NUMBERS['motion']}, {kinds[0]}" if len(kinds) == 1 else NUMBERS["motion"]


def _number_row(title: str, name: str, columns: Mapping[str, pd.DataFrame]) -> list[str]:
    parts = [part[name] for part in columns.values()]
    return [title, *map(_described, parts), rounded(standardised_difference(parts), 2)]


def _described(values: pd.Series) -> str:
    known = values.dropna()
    if known.empty:
        return NOTHING
    spread = f" ({rounded(float(known.std()), 2)})" if len(known) > 1 else ""
    missing = f", {len(values) - len(known)} not known" if len(known) < len(values) else ""
    return f"{rounded(float(known.mean()), 2)}{spread}{missing}"


def _name_rows(title: str, name: str, columns: Mapping[str, pd.DataFrame]) -> list[list[str]]:
    """One row per value, the most frequent first, and one for what is not known."""
    together = pd.concat([part[name] for part in columns.values()])
    rows = []
    for value in together.value_counts().index[:SITES_SHOWN]:
        indicators = [(part[name] == value).where(part[name].notna()).astype(float) for part in columns.values()]
        cells = [_share(int(part.sum()), int(part.count())) for part in indicators]
        rows.append([f"{title}: {value}", *cells, rounded(standardised_difference(indicators, shares=True), 2)])
    if together.isna().any():
        missing = [str(int(part[name].isna().sum())) for part in columns.values()]
        rows.append([f"{title}: not known", *missing, NOTHING])
    return rows


def _share(number: int, known: int) -> str:
    return f"{number} ({100 * number / known:.0f} %)" if known else NOTHING
