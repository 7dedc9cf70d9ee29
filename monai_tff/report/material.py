"""Everything that the sections read, read once: the study, its evidence, datalists, learning curves and maps."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd

from monai_tff.bundle.finished_run import FinishedRun, read_finished_run
from monai_tff.bundle.study_folder import Member
from monai_tff.data.datalist import load_datalist
from monai_tff.errors import ConfigError, user_error_in
from monai_tff.evidence import Study
from monai_tff.handlers.metrics_table import COLUMNS, read_rows

PHASES = ("autoencoder", "transformer", "finetune")


@dataclasses.dataclass(frozen=True)
class Material:
    """What a report is made of.

    Attributes:
        study: the run, or the folds.
        evidence: what `monai_tff.evidence.gather_evidence` found.
        runs: the finished run and the datalist's content of each split, by the split's name; None where the
            datalist cannot be read any more.
        curves: `metrics.csv` of each member that has it, by phase and the member's name.
        explanation: content of `explain/explain.json`, None if there is none.
    """

    study: Study
    evidence: dict[str, Any]
    runs: dict[str, tuple[FinishedRun, dict[str, Any]] | None]
    curves: dict[str, dict[str, pd.DataFrame]]
    explanation: dict[str, Any] | None

    @property
    def folder(self) -> Path:
        """The run folder, or the folder of folds."""
        return self.study.folder

    @property
    def values(self) -> dict[str, float | None]:
        """The numbers of the model's evaluation."""
        return self.study.model.metrics["values"]

    def command(self, name: str) -> str:
        """A command on this folder, to be typed where it lies."""
        return f"python -m monai_tff {name} {self.folder.name}"


def read_material(study: Study, evidence: dict[str, Any]) -> Material:
    """Reads what a report shows beside the evidence; what is not there is left out, and its section says so.

    Args:
        study: the run, or the folds.
        evidence: of the same study.

    Raises:
        ConfigError: for a file that is damaged.
    """
    first: dict[str, Member] = {}
    for member in study.members:
        first.setdefault(member.split, member)
    return Material(
        study=study,
        evidence=evidence,
        runs={split: _run(member) for split, member in first.items()},
        curves={phase: curves for phase in PHASES if (curves := _curves(study.members, phase))},
        explanation=read_object(study.folder / "explain" / "explain.json"),
    )


def phase_folder(member: Member, phase: str) -> Path:
    """Where the run folder of a phase lies: beside that of the last phase."""
    return member.folder if phase == PHASES[-1] else member.folder.parent / phase


def _run(member: Member) -> tuple[FinishedRun, dict[str, Any]] | None:
    try:
        run = read_finished_run(member.folder)
        return run, load_datalist(run.datalist)
    except Exception as error:
        # what a configuration raises arrives wrapped
        if user_error_in(error) is None:
            raise
        return None  # the study's remarks say which and why


def _curves(members: list[Member], phase: str) -> dict[str, pd.DataFrame]:
    curves = {}
    for member in members:
        rows = read_rows(phase_folder(member, phase) / "metrics.csv")
        if rows:
            table = pd.DataFrame(rows, columns=list(COLUMNS))
            numbers = {"epoch": int, "iteration": int, "value": float}
            curves[member.name] = table.astype(numbers)
    return curves


def read_object(path: Path) -> dict[str, Any] | None:
    """The object of a JSON file, None without the file.

    Raises:
        ConfigError: for a file that is damaged.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("no object")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}), expected a JSON object; make it again.") from error
    return content
