"""From a finished run, or a folder of folds, to one HTML file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from monai_tff.evidence import gather_evidence, read_study
from monai_tff.handlers.files import replaced_file
from monai_tff.report.material import Material, read_material
from monai_tff.report.numbers import count
from monai_tff.report.page import Section, write_page
from monai_tff.report.sections.attribution import attribution
from monai_tff.report.sections.comparison import comparison
from monai_tff.report.sections.confounds import confounds
from monai_tff.report.sections.folds import folds
from monai_tff.report.sections.learning import learning
from monai_tff.report.sections.main_numbers import main_numbers
from monai_tff.report.sections.opening import verdict, warnings
from monai_tff.report.sections.performance import performance
from monai_tff.report.sections.reconstruction import reconstruction
from monai_tff.report.sections.subjects import subjects
from monai_tff.report.sections.what_was_done import what_was_done
from monai_tff.report.sections.words import citing, footer, words

REPORT_FILE = "report.html"

SECTIONS: tuple[Callable[[Material], Section | None], ...] = (
    verdict,
    warnings,
    what_was_done,
    main_numbers,
    learning,
    performance,
    subjects,
    folds,
    comparison,
    confounds,
    reconstruction,
    attribution,
    words,
    citing,
)
"""In the order of the page; a section that does not apply is None."""


def write_report(folder: str | Path, against: Sequence[str | Path] = ()) -> Path:
    """Writes the report of a run or of a set of folds: one file that needs no network.

    Args:
        folder: the run folder of phase 3, or the folder of folds.
        against: folders of earlier runs on the same test units, to be compared with.

    Returns:
        The file, `report.html` in the folder; the same bytes for the same files.

    Raises:
        ConfigError: for a folder that was not evaluated, or with damaged files.
        WeightsError: for weights that cannot be read.
    """
    return write_material(gather_material(folder, against))


def gather_material(folder: str | Path, against: Sequence[str | Path] = ()) -> Material:
    """Gathers the evidence of a study (and writes its `evidence.json`), and reads what the report shows beside it.

    Args:
        folder: see `write_report`.
        against: likewise.

    Raises:
        ConfigError: see `write_report`.
        WeightsError: likewise.
    """
    evidence = gather_evidence(folder, against)
    return read_material(read_study(folder), evidence)


def write_material(material: Material) -> Path:
    """Writes the report of a material, in one step, and returns the file."""
    path = material.folder / REPORT_FILE
    text = report_text(material)
    with replaced_file(path) as file:
        file.write(text.encode())
    return path


def report_text(material: Material) -> str:
    """The HTML of a report."""
    study = material.study
    sections = [section for make in SECTIONS if (section := make(material)) is not None]
    kind = f"{count(len(study.members), 'training')} over folds or seeds" if study.is_pooled else "one training"
    place = "/".join(study.folder.parts[-2:])
    return write_page(f"Prediction of {study.target.name}", f"{place}, {kind}", sections, footer())
