"""What each fold and each seed gave, and how far they differ."""

from __future__ import annotations

import pandas as pd

from monai_tff.report.figures.chart import captioned
from monai_tff.report.figures.forest import ForestRow, forest_chart
from monai_tff.report.html import Child, Element, paragraph, table
from monai_tff.report.material import Material
from monai_tff.report.numbers import count, number
from monai_tff.report.page import Section, absent
from monai_tff.report.terms import chance, label_of, main_number

SPREADS = {
    "mean_over_folds": "mean over splits",
    "std_over_folds": "standard deviation over splits",
    "std_over_seeds": "standard deviation over seeds",
}
SHOWN = ("auroc", "balanced_accuracy", "cross_entropy", "brier", "mae", "pearson_r", "r2")


def folds(material: Material) -> Section | None:
    """Numbers by fold and seed beside those of the pooled scores; no section for a single run."""
    study = material.study
    if not study.is_pooled:
        return None
    path = study.folder / "folds.csv"
    title = "Folds and seeds"
    if not path.is_file():
        return Section("folds", title, [absent("There is no folds.csv: run the experiment to its end with --resume.")])
    # as texts first: a split may be called 1, and Python reads back the very number that was written
    values = pd.read_csv(path, dtype=str).astype({"seed": int, "value": float})
    names = [name for name in SHOWN if name in set(values["name"])]
    seeds = values["seed"].nunique()
    content: list[Child] = [
        paragraph(
            f"{count(values['split'].nunique(), 'split')} and {count(seeds, 'seed')}: every training with its own test "
            "units. The pooled numbers (first row) are those of the main table: each unit is scored by networks that "
            "have not seen it, a unit's score is its mean over seeds, and the numbers are computed over all units at "
            "once. They are not the mean of the rows below."
        ),
        table(["Training", *map(label_of, names)], _rows(material, values, names), caption="Numbers by fold and seed"),
    ]
    main = main_number(study.target)
    if main in names:
        content.append(captioned(_chart(material, values, main), f"{label_of(main)} of each training, and pooled."))
    return Section("folds", title, content)


def _rows(material: Material, values: pd.DataFrame, names: list[str]) -> list[list[Child]]:
    metrics = material.study.model.metrics["values"]
    rows: list[list[Child]] = [
        ["pooled", *(number(metrics.get(name), f"evaluation/metrics.json#values.{name}") for name in names)]
    ]
    for (split, seed), part in values.groupby(["split", "seed"], sort=True):
        found = part.set_index("name")["value"]
        rows.append(
            [f"{split}, seed {seed}", *(number(found.get(name), f"folds.csv#{split}.{seed}.{name}") for name in names)]
        )
    for key, label in SPREADS.items():
        found_spread = material.study.model.metrics.get(key) or {}
        if any(found_spread.get(name) is not None for name in names):
            source = f"evaluation/metrics.json#{key}"
            rows.append([label, *(number(found_spread.get(name), f"{source}.{name}") for name in names)])
    return rows


def _chart(material: Material, values: pd.DataFrame, name: str) -> Element:
    metrics = material.study.model.metrics
    low, high = metrics["intervals"].get(name, (None, None))
    rows = [ForestRow("pooled", metrics["values"][name], low, high)] if metrics["values"].get(name) is not None else []
    part = values[(values["name"] == name) & values["value"].notna()].sort_values(["split", "seed"])
    rows += [ForestRow(f"{r.split}, seed {r.seed}", float(str(r.value)), None, None, 1) for r in part.itertuples()]
    return forest_chart("folds", rows, label_of(name), chance(name))
