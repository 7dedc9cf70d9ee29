"""Learning curves of the three phases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import yaml

from monai_tff.report.figures.chart import captioned
from monai_tff.report.figures.curves import Line, learning_chart
from monai_tff.report.html import Child, Element, element, paragraph, table
from monai_tff.report.material import PHASES, Material, phase_folder
from monai_tff.report.numbers import NOTHING, number
from monai_tff.report.page import Section, absent

TITLES = {
    "autoencoder": "Phase 1, autoencoder: single frames are reconstructed",
    "transformer": "Phase 2, transformer: windows are reconstructed",
    "finetune": "Phase 3, finetune: the target is predicted",
}
SELECTION = ("val_selection", "val_total")
"""Number that the best weights were chosen by: of phase 3, and of phases 1 and 2."""

LOSSES: dict[str, list[Line]] = {
    "autoencoder": [("training", "loss", "training"), ("validation", "total", "validation")],
    "transformer": [("training", "loss", "training"), ("validation", "total", "validation")],
    "finetune": [("training", "loss", "training"), ("validation", "cross_entropy", "validation, subjects")],
}
SCORES: list[Line] = [
    ("validation", "auroc", "AUROC"),
    ("validation", "balanced_accuracy", "balanced accuracy"),
    ("validation", "pearson_r", "Pearson r"),
    ("validation", "r2", "R²"),
]


def learning(material: Material) -> Section:
    """One block for each phase: its losses, and in phase 3 the validation scores."""
    content: list[Child] = [
        paragraph(
            "Training values are means over the windows of an epoch, while the weights change; validation values are "
            "computed after it, on the validation subjects."
        )
    ]
    rows, figures, missing = [], [], []
    for phase in PHASES:
        if phase not in material.curves:
            missing.append(absent(_missing(material, phase)))
            continue
        tables, best = material.curves[phase], _best(material, phase)
        figures += _charts(phase, tables, [epoch for epoch, _ in best.values()])
        rows += [_row(phase, name, curve, best.get(name)) for name, curve in tables.items()]
    content += [element("div", *figures, class_="figures halves"), *missing]
    if rows:
        head = ("Training", "Epochs", "First training loss", "Last training loss", "Kept epoch", "Its validation value")
        content.append(table(head, rows, caption="Where each training began and ended (metrics.csv)"))
    return Section("learning", "Learning curves", content)


def _missing(material: Material, phase: str) -> str:
    folder = phase_folder(material.study.members[0], phase)
    return (
        f"There is no metrics.csv in {folder.parent.name}/{folder.name}: the phase was not run here (the weights came "
        "from elsewhere), or its folder was moved away."
    )


def _charts(phase: str, tables: Mapping[str, pd.DataFrame], best: list[int]) -> list[Element]:
    names = {pair for table in tables.values() for pair in zip(table["split"], table["name"], strict=True)}
    curves = [*tables.values()]
    losses = [line for line in LOSSES[phase] if line[:2] in names]
    charts = [captioned(learning_chart(f"curve-{phase}", curves, losses, "loss", best), TITLES[phase], ".")]
    if phase == PHASES[-1] and (scores := [line for line in SCORES if line[:2] in names]):
        chart = learning_chart(f"scores-{phase}", curves, scores, "validation", best)
        charts.append(captioned(chart, "Phase 3: numbers of the validation subjects."))
    return charts


def _best(material: Material, phase: str) -> dict[str, tuple[int, float]]:
    """By training the epoch whose weights were kept, and the value that they were chosen by."""
    found = {}
    for member in material.study.members:
        table = material.curves[phase].get(member.name)
        if table is None:
            continue
        rows = table[(table["split"] == "validation") & table["name"].isin(SELECTION)]
        if len(rows):
            values = rows["value"]
            larger = _larger_is_better(phase_folder(member, phase))
            position = int(values.argmax() if larger else values.argmin())
            found[member.name] = (int(rows["epoch"].iloc[position]), float(values.iloc[position]))
    return found


def _larger_is_better(folder: Path) -> bool:
    path = folder / "configs" / "train.yaml"
    if not path.is_file():
        return False
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("selection_mode") == "max"


def _row(phase: str, name: str, curve: pd.DataFrame, best: tuple[int, float] | None) -> list[Child]:
    losses = curve[(curve["split"] == "training") & (curve["name"] == "loss")]["value"]
    title = phase if name.startswith("single,") else f"{phase}, {name}"
    source = f"{phase}/metrics.csv"
    return [
        title,
        str(int(curve["epoch"].max())),
        number(losses.iloc[0] if len(losses) else None, source),
        number(losses.iloc[-1] if len(losses) else None, source),
        NOTHING if best is None else str(best[0]),
        number(None if best is None else best[1], source),
    ]
