"""What the numbers mean, how to cite, and what the page is not."""

from __future__ import annotations

from monai_tff import __version__
from monai_tff.report.html import Child, element, paragraph
from monai_tff.report.material import Material
from monai_tff.report.page import Section
from monai_tff.report.sections.what_was_done import definitions
from monai_tff.report.terms import meanings

SEED_SPREAD = (
    "Spread over seeds",
    "Standard deviation of a unit's score over trainings that differ in the seed alone.",
)
PAPER = (
    "Malkiel I., Rosenman G., Wolf L., Hendler T. Self-Supervised Transformers for fMRI representation. "
    "arXiv:2112.05761, 2021."
)


def words(material: Material) -> Section:
    """One sentence for each number of the report."""
    found: list[tuple[str, Child]] = [*meanings(material.values)]
    if "seed_spread" in material.study.model.units:
        found.append(SEED_SPREAD)
    return Section("definitions", "What the numbers mean", [definitions(found)])


def citing(material: Material) -> Section:
    """How to cite, and with what the run was made."""
    return Section(
        "citing",
        "How to cite",
        [
            paragraph("The method: ", PAPER),
            paragraph(
                f"The program: monai_tff {__version__}, an application of MONAI (Cardoso M. J. and others. MONAI: An "
                "open-source framework for deep learning in healthcare. arXiv:2211.02701, 2022)."
            ),
            paragraph(
                "Name the hash of the split and the versions that stand under ",
                element("a", "What was done", href="#done"),
                ".",
            ),
        ],
    )


def footer() -> list[Child]:
    """What stands at the end of every report."""
    return [
        paragraph(
            element("strong", "For research only. "),
            "This is no medical device, and its output is no diagnosis.",
        ),
        paragraph(
            "This file holds scores of single subjects and is as private as the run folder that it lies in: do not "
            "publish it or send it to anybody who may not see the cohort."
        ),
        paragraph(f"Written by monai_tff {__version__}. It needs no network and runs no program."),
    ]
