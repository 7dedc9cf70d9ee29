"""Lineage: which subjects a set of weights has seen, in any phase. Private to the run folder, never exported."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tff.data.datalist import load_datalist
from monai_tff.errors import DatalistError

FILE_NAME = "lineage.json"


def read_lineage(weights: str | os.PathLike) -> list[dict[str, Any]] | None:
    """Reads the lineage beside a run folder's weights.

    Args:
        weights: a file in the `models` folder of a run.

    Returns:
        One entry per phase, or None where the weights come without a lineage.
    """
    path = Path(weights).resolve().parent.parent / FILE_NAME
    if not path.is_file():
        return None
    return json.loads(path.read_text(encoding="utf-8"))["phases"]


def lineage_entry(phase: str, datalist: Mapping[str, Any]) -> dict[str, Any]:
    """What a phase sees: every record of the training and the validation section."""
    records = [*datalist["training"], *datalist["validation"]]
    seen = [{key: record[key] for key in ("group", "subject", "image")} for record in records]
    return {"phase": phase, "cohort": datalist["name"], "split": datalist["split"]["hash"], "scans": seen}


def refuse_overlap(lineage: Sequence[Mapping[str, Any]], datalist: Mapping[str, Any], source: str) -> None:
    """Refuses weights that have seen a subject or group of the test section.

    Raises:
        DatalistError: naming the first subject and the phase that saw it.
    """
    for phase in lineage:
        if phase["cohort"] != datalist["name"]:
            continue
        subjects = {scan["subject"] for scan in phase["scans"]}
        groups = {scan["group"] for scan in phase["scans"]}
        for record in datalist["test"]:
            if record["subject"] in subjects or record["group"] in groups:
                raise DatalistError(
                    f"{source}: subject {record['subject']} (group {record['group']}) of the test set was seen in the "
                    f"phase '{phase['phase']}' of these weights, expected no overlap; use the split of that phase, "
                    "or weights that never saw the test subjects."
                )


def write_lineage(folder: Path, phases: Sequence[Mapping[str, Any]] | None) -> None:
    """Writes `lineage.json` with mode 0600; without phases the earlier ones are unknown and nothing is written."""
    if phases is None:
        return
    path = folder / FILE_NAME
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"phases": list(phases)}, file, indent=1)


def pretraining_overlap(weights: str | os.PathLike, datalist: str | os.PathLike, section: str = "test") -> str:
    """What is known of the overlap between what the weights have seen and the subjects that they are evaluated on.

    Args:
        weights: a file in the `models` folder of a run.
        datalist: path of the datalist.
        section: that is evaluated.

    Returns:
        `none` for a test set that was checked, `unknown` for weights without a lineage, `yes` for a section that the
        training used.

    Raises:
        DatalistError: if the weights have seen a test subject.
    """
    lineage = read_lineage(weights)
    if lineage is None:
        return "unknown"
    if section != "test":
        return "yes"
    refuse_overlap(lineage, load_datalist(datalist), str(weights))
    return "none"
