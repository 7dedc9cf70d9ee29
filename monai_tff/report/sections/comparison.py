"""The model beside its baselines, its control and earlier runs, and each of them beside chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_tff.bundle.baseline_folders import BASELINES
from monai_tff.evidence import Evaluation
from monai_tff.report.figures.chart import captioned
from monai_tff.report.figures.forest import ForestRow, forest_chart
from monai_tff.report.html import Child, Element, bullets, code, element, paragraph, table
from monai_tff.report.material import Material
from monai_tff.report.numbers import count, interval, number, p_value
from monai_tff.report.page import Section, absent
from monai_tff.report.terms import chance, label_of

KINDS = ("baseline", "control", "earlier run")


def comparison(material: Material) -> Section:
    """The forest plot, paired differences and permutation tests."""
    found = material.evidence["comparisons"]
    content: list[Child] = []
    if not material.study.baselines:
        content.append(
            absent(
                "No baseline was run, so nothing says what simpler methods reach on this split: ",
                code(material.command("baseline")),
                ".",
            )
        )
    content.append(_forest(material))
    if found["rows"]:
        content += _differences(material, found)
    if found["not_compared"]:
        content += [
            paragraph("Not in the table:"),
            bullets(sentence[:1].upper() + sentence[1:] for sentence in found["not_compared"]),
        ]
    content += _permutations(material)
    return Section("comparison", "Beside baselines, controls and chance", content)


def _forest(material: Material) -> Element:
    study, statistic = material.study, str(material.evidence["study"]["statistic"])
    called = {row["name"]: row["called"] for row in material.evidence["comparisons"]["rows"]}
    rows = [_row("the model", study.model.metrics, statistic, 0)]
    rows += [
        _row(called.get(name, name.replace("only_", "only ").replace("_", " ")), found.metrics, statistic, 1)
        for name, found in _in_order(study.baselines)
    ]
    rows += [
        _row(called.get(name, name.replace("_", " ")), found.metrics, statistic, 2)
        for name, found in study.controls.items()
    ]
    rows += [
        ForestRow(row["called"], row["difference"]["second"], None, None, 3)
        for row in material.evidence["comparisons"]["rows"]
        if row["kind"] == "earlier run"
    ]
    known = [row for row in rows if row is not None and row.value is not None]
    chart = forest_chart("forest", known, label_of(statistic), chance(statistic))
    return captioned(
        chart,
        f"{label_of(statistic)} on the same test units, with 95 % intervals. Blue: the model; orange: baselines; "
        "green: controls; purple: earlier runs. Overlapping intervals do not mean that two methods are equal: the "
        "differences below are paired.",
    )


def _in_order(baselines: Mapping[str, Evaluation]) -> list[tuple[str, Evaluation]]:
    """Those that the model has to beat first."""
    order = sorted(BASELINES, key=lambda name: (name.startswith("only_"), BASELINES.index(name)))
    return [(name, baselines[name]) for name in order if name in baselines]


def _row(label: str, metrics: dict[str, Any], statistic: str, series: int) -> ForestRow | None:
    value = metrics["values"].get(statistic)
    low, high = metrics["intervals"].get(statistic) or (None, None)
    return None if value is None else ForestRow(label, float(value), low, high, series)


def _differences(material: Material, found: dict[str, Any]) -> list[Child]:
    rows: list[list[Child]] = []
    for position, row in enumerate(found["rows"]):
        difference, source = row["difference"], f"evidence.json#comparisons.rows.{position}.difference"
        rows.append(
            [
                row["called"],
                row["kind"],
                number(difference["second"], f"{source}.second"),
                number(difference["difference"], f"{source}.difference"),
                interval(difference["interval"], f"{source}.interval"),
                p_value(difference["p"], f"{source}.p"),
                p_value(difference["p_holm"], f"{source}.p_holm"),
            ]
        )
    head = ("Compared with", "Kind", label_of(found["statistic"]), "Model minus it", "95 % interval", "p", "p, Holm")
    first = found["rows"][0]["difference"]
    note = (
        f"Paired bootstrap over {count(first['groups'], 'group')}, {first['samples']} draws, seed {first['seed']}; p "
        f"is two-sided. {found['correction']}"
    )
    return [table(head, rows, caption="Paired differences on the same units"), paragraph(note, class_="small muted")]


def _permutations(material: Material) -> list[Child]:
    found = material.evidence["permutation"]
    tests = [("the model", found["model"], "evidence.json#permutation.model")]
    tests += [
        (name.replace("_", " "), found["baselines"][name], f"evidence.json#permutation.baselines.{name}")
        for name, _ in _in_order(material.study.baselines)
    ]
    rows: list[list[Child]] = [
        [name, number(test["observed"], f"{source}.observed"), p_value(test["p"], f"{source}.p")]
        for name, test, source in tests
    ]
    model = found["model"]
    head = ("Scores of", label_of(model["statistic"]), "Permutation p")
    drawn = f"{model['samples']} permutations, seed {model['seed']}; p is one-sided, for better than chance."
    return [
        element("h3", "Better than chance?"),
        table(head, rows, caption="Permutation tests"),
        paragraph(f"{drawn} {model['exchangeable']}", class_="small muted"),
    ]
