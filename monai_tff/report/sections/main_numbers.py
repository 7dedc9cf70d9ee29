"""The numbers of the evaluation with their intervals."""

from __future__ import annotations

from monai_tff.report.html import element, paragraph, table
from monai_tff.report.material import Material
from monai_tff.report.numbers import count, interval, number
from monai_tff.report.page import Section
from monai_tff.report.terms import label_of

SOURCE = "evaluation/metrics.json"


def main_numbers(material: Material) -> Section:
    """The table of numbers, and what they were computed from."""
    metrics = material.study.model.metrics
    counts = metrics["counts"]
    rows = [
        (
            label_of(name),
            number(value, f"{SOURCE}#values.{name}"),
            interval(metrics["intervals"].get(name), f"{SOURCE}#intervals.{name}"),
        )
        for name, value in metrics["values"].items()
    ]
    units = "" if counts["units"] == counts["subjects"] else f"{count(counts['units'], 'session')} of "
    scanned = ", ".join(count(counts[name], name.removesuffix("s")) for name in ("scans", "windows") if name in counts)
    draws = metrics["bootstrap"]
    return Section(
        "numbers",
        "Main numbers",
        [
            paragraph(
                f"{units}{count(counts['subjects'], 'subject')} of the section '{metrics['split']}' in "
                f"{count(counts['groups'], 'group')} ({scanned}). ",
                f"Intervals: 95 %, {draws['samples']} bootstrap draws of groups, seed {draws['seed']}. ",
                *_threshold(material),
            ),
            table(("Number", "Value", "95 % interval"), rows, caption="Numbers of the model on the test subjects"),
            paragraph("What each number means is said ", element("a", "below", href="#definitions"), "."),
        ],
    )


def _threshold(material: Material) -> list[str]:
    study = material.study
    if study.target.kind != "binary":
        return []
    thresholds = sorted(set(study.model.units["threshold"]))
    if len(thresholds) > 1:
        return [f"Class {study.target.class_names[1]} is named above the threshold of the fold."]
    return [f"Class {study.target.class_names[1]} is named above the threshold {thresholds[0]:.3g}."]
