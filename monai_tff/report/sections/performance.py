"""How the scores separate the classes, or follow the value: curves, calibration, errors."""

from __future__ import annotations

from monai_tff.report.figures.chart import captioned
from monai_tff.report.figures.ranking import DRAWS, precision_chart, roc_chart
from monai_tff.report.figures.scores import calibration_chart, strip_chart, truth_chart
from monai_tff.report.html import Child, Element, element, table
from monai_tff.report.material import Material, read_object
from monai_tff.report.numbers import number
from monai_tff.report.page import Section, absent


def performance(material: Material) -> Section:
    """The figures of the model's scores, by kind of target."""
    kind = material.study.target.kind
    draw = {"binary": _binary, "multiclass": _multiclass, "regression": _regression}[kind]
    return Section("performance", "Scores and errors", [*draw(material), *_fitted(material)])


def _fitted(material: Material) -> list[Child]:
    """What was fitted on the validation subjects."""
    content: list[Child] = []
    for member in material.study.members:
        found = read_object(member.folder / "calibration.json")
        if found is None:
            continue
        where = "" if len(material.study.members) == 1 else f"{member.name}: "
        if not found["fitted"]:
            content.append(element("li", f"{where}no temperature or threshold was fitted: {found['reason']}."))
            continue
        losses = found["cross_entropy"]
        source = (member.folder / "calibration.json").relative_to(material.folder).as_posix()
        content.append(
            element(
                "li",
                f"{where}temperature ",
                number(found["temperature"], f"{source}#temperature"),
                " and threshold ",
                number(found["threshold"], f"{source}#threshold"),
                f", fitted on {found['units']} {found['fitted_on']} units; their cross-entropy went from ",
                number(losses["before"], f"{source}#cross_entropy.before"),
                " to ",
                number(losses["after"], f"{source}#cross_entropy.after"),
                ".",
            )
        )
    return [element("h3", "What was fitted on the validation subjects"), element("ul", *content)] if content else []


def _bands_note(material: Material) -> str:
    return (
        f"Bands: 95 % over {DRAWS} bootstrap draws of groups, seed {material.study.model.metrics['bootstrap']['seed']}."
    )


def _binary(material: Material) -> list[Child]:
    study = material.study
    units, (first, second) = study.model.units, study.target.class_names
    positive, score = (units["truth"] == 1).to_numpy(), units["score"].to_numpy()
    if positive.all() or not positive.any():
        return [absent("All test subjects are of one class: there is nothing to separate.")]
    groups, seed = units["group"].tolist(), int(study.model.metrics["bootstrap"]["seed"])
    curve = (f"class {second}", positive, score)
    thresholds = sorted(set(units["threshold"]))
    strip = strip_chart(
        "scores",
        [(first, score[~positive]), (second, score[positive])],
        f"score (probability of {second})",
        thresholds,
    )
    marked = "the threshold" if len(thresholds) == 1 else "the thresholds of the folds"
    return [
        captioned(strip, f"Scores by true class; bars: medians; dashed: {marked}. Numbers in brackets: units."),
        element(
            "div",
            captioned(
                roc_chart("roc", [curve], groups, seed), "Receiver operating characteristic. ", _bands_note(material)
            ),
            captioned(precision_chart("precision", curve, groups, seed), "Precision against recall."),
            captioned(
                calibration_chart("calibration", positive, score, groups, second),
                f"Calibration: among units of about the same score, how many are {second}. Bars: Wilson's 95 % "
                "intervals; numbers: units in the bin.",
            ),
            _confusion(material),
            class_="figures halves",
        ),
    ]


def _multiclass(material: Material) -> list[Child]:
    study = material.study
    units, names = study.model.units, study.target.class_names
    truth = units["truth"].to_numpy()
    groups, seed = units["group"].tolist(), int(study.model.metrics["bootstrap"]["seed"])
    curves = [
        (name, truth == index, units[f"score_{index}"].to_numpy())
        for index, name in enumerate(names)
        if 0 < (truth == index).sum() < len(truth)
    ]
    figures: list[Element] = []
    if curves:
        roc = roc_chart("roc", curves, groups, seed)
        figures.append(captioned(roc, "Each class against the rest. ", _bands_note(material)))
    rows = [(name, units[f"score_{index}"].to_numpy()[truth == index]) for index, name in enumerate(names)]
    strip = strip_chart("scores", rows, "probability given to the true class", [1 / len(names)])
    caption = f"By true class; bars: medians; dashed: 1 / {len(names)}. Numbers in brackets: units."
    return [captioned(strip, caption), element("div", *figures, class_="figures halves"), _confusion(material)]


def _regression(material: Material) -> list[Child]:
    study = material.study
    units, label = study.model.units, study.target.name
    truth, score, spread = (units[name].to_numpy() for name in ("truth", "score", "spread"))
    residuals = strip_chart("scores", [("all units", score - truth)], "predicted - true value", [0.0], unit=False)
    return [
        element(
            "div",
            captioned(
                truth_chart("truth", truth, score, spread, label),
                "Predicted against true value. Error bars: standard deviation over the windows of the scan, which is "
                "not the uncertainty of the prediction.",
            ),
            captioned(residuals, "Errors; bar: median."),
            class_="figures",
        )
    ]


def _confusion(material: Material) -> Element:
    """Counts of true against predicted classes."""
    study = material.study
    names, units = study.target.class_names, study.model.units
    rows: list[list[Child]] = []
    for index, name in enumerate(names):
        part = units[units["truth"] == index]
        cells: list[Child] = []
        for other in names:
            units_there = int((part["predicted"] == other).sum())
            share = units_there / len(part) if len(part) else 0.0
            shade = f"background: color-mix(in srgb, var(--series-0) {round(45 * share)}%, transparent)"
            cells.append(element("td", f"{units_there}", style=shade))
        rows.append([f"true: {name}", *cells])
    head = ["", *(f"predicted: {name}" for name in names)]
    return element("figure", table(head, rows, caption="Units by true and predicted class", class_="confusion"))
