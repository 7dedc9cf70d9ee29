"""Scores by site, sex, age and motion; what the score follows; what each covariate predicts by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from monai_tff.metrics import score_columns
from monai_tff.report.figures.chart import captioned
from monai_tff.report.figures.scores import against_chart, strip_chart
from monai_tff.report.html import Child, Element, bullets, element, paragraph, table
from monai_tff.report.material import Material
from monai_tff.report.numbers import interval, number, p_value
from monai_tff.report.page import Section, absent
from monai_tff.report.terms import label_of

NUMBERS = ("age", "motion")
MOST_SITES = 12
"""Rows of dots; more sites are in the table alone."""


def confounds(material: Material) -> Section:
    """The confound report of the evidence, with figures."""
    found = material.evidence["confounds"]
    content: list[Child] = []
    if not found["scores_by"]:
        content.append(
            absent(
                "Neither site nor sex, age or motion of the test units is known and differs between them: add them "
                "to the cohort's table, and build the datalist again."
            )
        )
    else:
        content.append(element("div", *_figures(material), class_="figures halves"))
        content += [*_follows(found), *_alone(material, found), *_within(material, found), *_by_level(material, found)]
        content.append(paragraph(found["bands"], class_="small muted"))
    if found["unknown"]:
        content += [paragraph("Not looked at:"), bullets(found["unknown"])]
    content.append(paragraph("When a flag is raised: ", found["rule"], class_="small muted"))
    return Section("confounds", "Confounds", content)


def name_of(material: Material, covariate: str) -> str:
    """What a covariate is called: motion by its kind."""
    if covariate == "motion" and material.evidence["confounds"]["motion_kind"]:
        return f"{material.evidence['confounds']['motion_kind']} (mm)"
    return covariate


def _figures(material: Material) -> Iterator[Element]:
    study = material.study
    units, target = study.model.units, study.target
    column = score_columns(target)[-1]
    score = f"probability of {target.class_names[-1]}" if target.class_names else f"predicted {target.name}"
    classes = range(len(target.class_names))
    for name in material.evidence["confounds"]["scores_by"]:
        known = units[units[name].notna()]
        if name in NUMBERS:
            parts = [(target.class_names[index], known[known["truth"] == index]) for index in classes]
            series = [(label, part[name].to_numpy(), part[column].to_numpy()) for label, part in parts or [("", known)]]
            yield captioned(against_chart(f"by-{name}", series, name_of(material, name), score), f"Score and {name}.")
        elif known[name].nunique() <= MOST_SITES:
            rows = [(str(level), part[column].to_numpy()) for level, part in known.groupby(name)]
            chart = strip_chart(f"by-{name}", rows, score, unit=target.kind != "regression")
            yield captioned(chart, f"Scores by {name}; bars: medians.")


def _follows(found: dict[str, Any]) -> list[Child]:
    rows: list[list[Child]] = []
    for name, row in found["follows"].items():
        source = f"evidence.json#confounds.follows.{name}"
        rows.append(
            [
                name,
                row["statistic"],
                str(row["units"]),
                number(row["value"], f"{source}.value"),
                interval(row["interval"], f"{source}.interval"),
                p_value(row["p"], f"{source}.p"),
                number(row["within"], f"{source}.within"),
                interval(row["within_interval"], f"{source}.within_interval"),
                p_value(row["within_p"], f"{source}.within_p"),
            ]
        )
    head = ("Covariate", "Number", "Units", "Over all", "95 % interval", "p", "Within classes", "95 % interval", "p")
    return [
        element("h3", "Does the score follow a covariate?"),
        paragraph(
            "Over all units it may, where the covariate differs between the classes; within the classes (for a number: "
            "at equal truth) it should not. p values of this table are not corrected."
        ),
        table(head, rows, caption="How well the score predicts each covariate"),
    ]


def _alone(material: Material, found: dict[str, Any]) -> list[Child]:
    if not found["alone"]:
        return []
    statistic = label_of(material.evidence["study"]["statistic"])
    rows: list[list[Child]] = []
    for name, row in found["alone"].items():
        source = f"evidence.json#confounds.alone.{name}"
        difference = row["difference"]
        rows.append(
            [
                name,
                number(row["value"], f"{source}.value"),
                interval(row["interval"], f"{source}.interval"),
                p_value(row["p"], f"{source}.p"),
                number(difference["difference"], f"{source}.difference.difference"),
                interval(difference["interval"], f"{source}.difference.interval"),
                p_value(difference["p"], f"{source}.difference.p"),
            ]
        )
    head = ("Covariate", statistic, "95 % interval", "Permutation p", "Model minus it", "95 % interval", "p")
    title = element("h3", "What does a covariate predict without any scan?")
    return [title, table(head, rows, caption="Baselines of a single covariate")]


def _within(material: Material, found: dict[str, Any]) -> list[Child]:
    if not found["within"]:
        return []
    rows: list[list[Child]] = []
    for name, row in found["within"].items():
        source = f"evidence.json#confounds.within.{name}"
        rows.append(
            [
                "one site" if name == "site" else "one band of motion",
                str(row["units"]),
                number(row["pooled"], f"{source}.pooled"),
                interval(row["pooled_interval"], f"{source}.pooled_interval"),
                number(row["within"], f"{source}.within"),
                interval(row["within_interval"], f"{source}.within_interval"),
                p_value(row["p"], f"{source}.p"),
            ]
        )
    statistic = label_of(material.evidence["study"]["statistic"])
    head = ("Among units of", "Units", f"{statistic}, all", "95 % interval", "Within", "95 % interval", "p, falls")
    title = element("h3", "Does the score still work among units that are alike?")
    return [title, table(head, rows, caption=f"{statistic} over all pairs of units, and within strata")]


def _by_level(material: Material, found: dict[str, Any]) -> list[Child]:
    statistic = label_of(material.evidence["study"]["statistic"])
    names = material.study.target.class_names
    scored = [f"Mean score {name}" for name in names] if len(names) > 2 else ["Mean score"]
    share = [f"Share of {name}" for name in names] if len(names) > 2 else ["Mean truth"]
    if len(names) == 2:
        share = [f"Share of {names[1]}"]
    content: list[Child] = [element("h3", "Numbers by site, sex, age and motion")]
    for covariate, levels in found["scores_by"].items():
        rows: list[list[Child]] = []
        for position, level in enumerate(levels):
            source = f"evidence.json#confounds.scores_by.{covariate}.{position}"
            means = [
                number(value, f"{source}.{key}.{index}")
                for key in ("mean_score", "mean_truth")
                for index, value in enumerate(level[key])
            ]
            rows.append(
                [
                    level["level"],
                    str(level["units"]),
                    number(level["value"], f"{source}.value"),
                    interval(level["interval"], f"{source}.interval"),
                    *means,
                ]
            )
        called = name_of(material, covariate)
        head = (called[:1].upper() + called[1:], "Units", statistic, "95 % interval", *scored, *share)
        content.append(table(head, rows, caption=f"By {covariate}"))
    return content
