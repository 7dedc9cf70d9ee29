"""What a reader sees first: the verdict, and what speaks against it."""

from __future__ import annotations

from monai_tff.report.caveats import Caveats, find_caveats
from monai_tff.report.html import Child, bullets, element, paragraph
from monai_tff.report.material import Material
from monai_tff.report.numbers import count
from monai_tff.report.page import Section


def verdict(material: Material) -> Section:
    """The headline of the evidence, and the sentences that belong to it."""
    found = material.evidence["verdict"]
    return Section(
        "verdict",
        "Verdict",
        [paragraph(found["headline"], class_="verdict"), bullets(found["sentences"])],
    )


def warnings(material: Material) -> Section:
    """Flags and warnings, then what was not run."""
    return Section("warnings", "Warnings", _content(find_caveats(material)))


def _content(caveats: Caveats) -> list[Child]:
    content: list[Child] = []
    if caveats.number:
        box: list[Child] = []
        if caveats.flags:
            box += [element("h3", f"{count(len(caveats.flags), 'flag')}: the score may be that of a confound")]
            box += [bullets(caveats.flags)]
        if caveats.warnings:
            box += [element("h3", count(len(caveats.warnings), "warning")), bullets(caveats.warnings)]
        content.append(element("div", *box, class_="warnings"))
    else:
        content.append(paragraph("No warning was raised by what was run."))
    if caveats.not_run:
        content += [element("h3", "Not run"), bullets(caveats.not_run)]
    if caveats.notes:
        content += [element("h3", "Not looked at"), bullets(caveats.notes)]
    return content
