"""A finished study as its reader sees it: the evaluations of model, baselines and controls, side by side."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd

from monai_tff.bundle.baseline_folders import FOLDER as BASELINES
from monai_tff.bundle.finished_run import WEIGHTS
from monai_tff.bundle.study_folder import Member, is_folds_folder, read_members
from monai_tff.bundle.weights_contract import read_contract
from monai_tff.contract import InputContract, Target
from monai_tff.errors import ConfigError
from monai_tff.evidence.facts import join_facts, test_records

EVALUATION, CONTROLS = "evaluation", "controls"
SINGLE = "single"
"""Name of the split of a run that is no member of a folder of folds."""

TEXTS = ("subject", "session", "group", "scan", "run", "predicted", "fold")
KEYS = ("fold", "subject", "session")
"""What names a scoring unit."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The scores of one model, baseline or control on the test units, and the numbers that were computed from them.

    Attributes:
        name: `model`, or of the baseline or control.
        folder: of the files.
        metrics: content of `metrics.json`.
        units: one row per scoring unit, sorted by `fold`, `subject` and `session`: the columns of `predictions.csv`
            (`subject`, `session` as text, empty for a unit of several sessions) with `group`, `threshold`, `fold`, and
            `site`, `sex`, `age`, `motion`, `motion_kind`, see `monai_tff.evidence.facts`.
    """

    name: str
    folder: Path
    metrics: dict[str, Any]
    units: pd.DataFrame


@dataclasses.dataclass(frozen=True)
class Study:
    """A run, or an experiment that was run over folds or seeds.

    Attributes:
        folder: the run folder of phase 3, or the folder of folds, absolute.
        target: what is predicted.
        contract: the input contract of the weights; of the first member's where there are several.
        model: the evaluation of the network; pooled out of folds where there are several.
        baselines: by name.
        controls: by name.
        members: the runs that it consists of; a run is its only member.
        remarks: sentences on what could not be read.
    """

    folder: Path
    target: Target
    contract: InputContract
    model: Evaluation
    baselines: dict[str, Evaluation]
    controls: dict[str, Evaluation]
    members: list[Member]
    remarks: list[str]

    @property
    def is_pooled(self) -> bool:
        """Whether the units were scored by several trainings."""
        return len(self.members) > 1


def read_study(folder: str | Path) -> Study:
    """Reads a run folder of phase 3, or a folder of folds.

    Args:
        folder: with its `evaluation`, and `baselines` and `controls` where they were made.

    Returns:
        The study.

    Raises:
        ConfigError: for a folder without an evaluation that has numbers, or with damaged files.
        WeightsError: for weights that cannot be read.
    """
    folder = Path(folder).resolve()
    _check_evaluated(folder)
    members = read_members(folder) if is_folds_folder(folder) else [Member(SINGLE, _seed(folder), folder)]
    contract = read_contract(members[0].folder / WEIGHTS)
    if contract is None or contract.target is None:
        raise ConfigError(
            f"{members[0].folder / WEIGHTS}: carries no input contract with a target, expected a run of phase 3."
        )
    section = _read_json(folder / EVALUATION / "metrics.json")["split"]
    records, remarks = test_records(members, section)

    def read(name: str, place: Path) -> Evaluation:
        evaluation = read_evaluation(name, place)
        return dataclasses.replace(evaluation, units=join_facts(evaluation.units, records))

    return Study(
        folder=folder,
        target=contract.target,
        contract=contract,
        model=read("model", folder / EVALUATION),
        baselines={place.name: read(place.name, place) for place in _evaluated(folder / BASELINES)},
        controls={place.name: read(place.name, place) for place in _evaluated(folder / CONTROLS)},
        members=members,
        remarks=remarks,
    )


def read_evaluation(name: str, folder: Path) -> Evaluation:
    """Reads the files of one evaluation, without what the datalist knows of the units.

    Args:
        name: that it shall have.
        folder: holds `predictions.csv`, `windows.csv` and `metrics.json`.

    Raises:
        ConfigError: for a file that is missing or damaged.
    """
    metrics = _read_json(folder / "metrics.json")
    units, windows = read_table(folder / "predictions.csv"), read_table(folder / "windows.csv")
    try:
        groups = windows.groupby("subject")["group"].first()
        units["group"] = units["subject"].map(groups)
        units["threshold"] = units["threshold"] if "threshold" in units else float(metrics["threshold"])
        units["fold"] = units.get("fold", SINGLE)
        units = units.sort_values(list(KEYS), ignore_index=True)
    except KeyError as error:
        raise ConfigError(
            f"{folder}: its files have no {error}, expected those of an evaluation; make it again."
        ) from error
    if units["group"].isna().any():
        subject = units.loc[units["group"].isna(), "subject"].iloc[0]
        raise ConfigError(
            f"{folder}: predictions.csv has the subject '{subject}' and windows.csv has not, expected the files of one "
            "evaluation; make it again."
        )
    return Evaluation(name, folder, metrics, units)


def read_table(path: Path) -> pd.DataFrame:
    """Reads a table of an evaluation: subject `007` stays a text, and every number is the one that was written.

    Args:
        path: `predictions.csv` or `windows.csv`.

    Raises:
        ConfigError: for a file that is missing or damaged.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        numbers = [column for column in table.columns if column not in TEXTS]
        table[numbers] = table[numbers].replace("", "nan").astype(float)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({error}), expected a table of an evaluation; make it again."
        ) from error
    return table


def _seed(run: Path) -> int:
    """The seed of a run, with which its evaluation drew the bootstrap."""
    return int(_read_json(run / EVALUATION / "metrics.json")["bootstrap"]["seed"])


def _check_evaluated(folder: Path) -> None:
    metrics = Path(EVALUATION) / "metrics.json"
    if not (folder / metrics).is_file():
        inside = sorted(path.parents[1].name for path in folder.glob(f"*/{metrics}"))
        way_out = f"name its phase ({', '.join(inside)})" if inside else "evaluate it first"
        raise ConfigError(
            f"{folder}: there is no {metrics}, expected a run folder of phase 3 or a folder of folds whose test "
            f"subjects have labels and were evaluated; {way_out}."
        )


def _evaluated(folder: Path) -> list[Path]:
    """Folders of evaluations that are complete."""
    return sorted(path.parent for path in folder.glob("*/metrics.json"))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("no object")
        return content
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({error}), expected the numbers of an evaluation; make it again."
        ) from error
