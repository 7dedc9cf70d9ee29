"""The score of every subject, as `predictions.csv` has it."""

from __future__ import annotations

import pandas as pd

from monai_tff.metrics import score_columns
from monai_tff.report.html import Child, element, folded, paragraph, table
from monai_tff.report.material import Material
from monai_tff.report.numbers import NOTHING, count, number
from monai_tff.report.page import Section

MOST = 2000
"""Rows of the table; more would make the file large, and nobody reads them here."""


def subjects(material: Material) -> Section:
    """The table of scoring units, folded, in the order of folds and subjects."""
    study = material.study
    units = study.model.units
    columns = score_columns(study.target)
    several = units["fold"].nunique() > 1
    sessions, seeds = bool((units["session"] != "").any()), "seed_spread" in units
    scores = [f"Score {name}" for name in study.target.class_names] if len(columns) > 1 else ["Score"]
    head = [
        "Subject",
        *(["Session"] if sessions else []),
        *(["Fold"] if several else []),
        *scores,
        "Spread over windows",
        *(["Spread over seeds"] if seeds else []),
        "Truth",
        *(["Predicted", ""] if study.target.kind != "regression" else ["Error"]),
    ]
    shown = units.head(MOST)
    rows = []
    for _, unit in shown.iterrows():
        middle: list[Child] = [unit["session"] or NOTHING] if sessions else []
        middle += [unit["fold"]] if several else []
        middle += [number(unit[name]) for name in [*columns, "spread", *(["seed_spread"] if seeds else [])]]
        rows.append([unit["subject"], *middle, *_outcome(unit, material)])
    note = "" if len(shown) == len(units) else f" The first {MOST} of {len(units)}; the others are in the file."
    summary = f"{count(len(units), 'scoring unit')}: scores, spread, truth"
    return Section(
        "subjects",
        "Every subject",
        [
            paragraph("From ", element("code", "evaluation/predictions.csv"), f"; the full numbers are there.{note}"),
            folded(
                summary,
                table(
                    head, rows, caption="Score of each unit", class_="rows", data_source="evaluation/predictions.csv"
                ),
            ),
        ],
    )


def _outcome(unit: pd.Series, material: Material) -> list[Child]:
    target = material.study.target
    if target.kind == "regression":
        return [number(unit["truth"]), number(unit["score"] - unit["truth"])]
    true = target.class_names[int(unit["truth"])]
    return [true, unit["predicted"], "" if unit["predicted"] == true else element("b", "wrong")]
