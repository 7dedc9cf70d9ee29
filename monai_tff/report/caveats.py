"""What a reader must know before the numbers: flags, warnings, and steps that were not run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from monai_tff.report.html import Child, code
from monai_tff.report.material import Material, read_object

KNOWN_OVERLAP = ("none", "none (by content)")


@dataclasses.dataclass(frozen=True)
class Caveats:
    """What speaks against the numbers, or is missing beside them.

    Attributes:
        flags: sentences of the confound report: the score may be that of a confound.
        warnings: sentences of the evaluation, the calibration and the attribution.
        not_run: steps that were not run, each a sentence with its command.
        notes: sentences on what could not be looked at.
    """

    flags: list[str]
    warnings: list[str]
    not_run: list[tuple[Child, ...]]
    notes: list[str]

    @property
    def number(self) -> int:
        """Flags and warnings; steps that were not run are none."""
        return len(self.flags) + len(self.warnings)


def find_caveats(material: Material) -> Caveats:
    """Collects the caveats of a study, each once.

    Args:
        material: of the report.
    """
    evidence = material.evidence
    warnings = [*_evaluation(material), *_comparisons(evidence), *_calibration(material), *_explanation(material)]
    return Caveats(
        flags=[flag["sentence"] for flag in evidence["flags"]],
        warnings=list(dict.fromkeys(warnings)),
        not_run=_not_run(material),
        notes=list(dict.fromkeys([*evidence["remarks"], *_not_looked_at(evidence)])),
    )


def _evaluation(material: Material) -> Iterator[str]:
    metrics = material.study.model.metrics
    overlap = metrics.get("pretraining_overlap")
    if overlap not in KNOWN_OVERLAP:
        yield (
            f"Pretraining overlap: {overlap or 'not recorded'}. The weights may have seen test subjects before, and "
            "then the numbers are too good."
        )
    yield from metrics["warnings"]
    for name, control in material.study.controls.items():
        yield from (f"Control {name}: {sentence}" for sentence in control.metrics["warnings"])


def _comparisons(evidence: dict[str, Any]) -> Iterator[str]:
    for row in evidence["comparisons"]["rows"]:
        yield from (f"Compared with {row['called']}: {sentence}" for sentence in row["difference"]["warnings"])


def _calibration(material: Material) -> Iterator[str]:
    for member in material.study.members:
        where = "" if len(material.study.members) == 1 else f" ({member.name})"
        found = read_object(member.folder / "calibration.json") or {}
        yield from (f"Calibration{where}: {sentence}" for sentence in found.get("warnings", []))


def _explanation(material: Material) -> Iterator[str]:
    yield from (material.explanation or {}).get("warnings", [])


def _not_looked_at(evidence: dict[str, Any]) -> list[str]:
    """What could not be compared or looked at though it is there; what was not run has a sentence of its own."""
    sentences = [*evidence["comparisons"]["not_compared"], *evidence["confounds"]["unknown"]]
    return [sentence[:1].upper() + sentence[1:] for sentence in sentences if "was not run" not in sentence]


def _not_run(material: Material) -> list[tuple[Child, ...]]:
    study = material.study
    found: list[tuple[Child, ...]] = []
    missing = [name for name in ("covariates", "mean_image", "connectivity") if name not in study.baselines]
    if missing:
        named = "No baseline was run" if len(missing) == 3 else f"Baselines that were not run: {', '.join(missing)}"
        found.append((f"{named}: ", code(material.command("baseline")), "."))
    if "shuffled_frames" not in study.controls:
        sentence = "The control with frames in random order was not run: "
        found.append((sentence, "it is made by ", code("python -m monai_tff run"), " after the evaluation."))
    if any(not (member.folder / "calibration.json").is_file() for member in study.members):
        sentence = "Temperature and threshold were not fitted on the validation subjects: "
        found.append((sentence, "train again with ", code("python -m monai_tff run"), "."))
    if material.explanation is None:
        found.append(("No attribution map was made: ", code(material.command("explain")), "."))
    if not study.is_pooled:
        sentence = "One split and one seed: the spread over splits and seeds is not known. "
        found.append((sentence, code("python -m monai_tff run EXPERIMENT --folds all"), " repeats the study."))
    return found
