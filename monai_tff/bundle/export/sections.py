"""Sections of the model card that only the run knows: its data, its training and its numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tff.bundle.export.card_data import data_section
from monai_tff.bundle.export.card_performance import performance_section
from monai_tff.bundle.export.card_training import training_section
from monai_tff.contract import InputContract
from monai_tff.data.datalist import load_datalist
from monai_tff.errors import DatalistError


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """What a run folder says of itself.

    Attributes:
        folder: the run folder.
        train: its training configuration.
        checkpoint: its best weights, and when they were saved.
        versions: of the packages that it ran with.
        split: hash of its split, None where it is not known.
        lineage: what the weights have seen, None where that is not known.
        contract: of the weights.
        stopped: that the training ended before its last epoch, None where it did not.
    """

    folder: Path
    train: Mapping[str, Any]
    checkpoint: Mapping[str, Any]
    versions: Mapping[str, str]
    split: str | None
    lineage: Sequence[Mapping[str, Any]] | None
    contract: InputContract
    stopped: str | None = None


def run_sections(facts: RunFacts, cohort_name: str | None) -> dict[str, str]:
    """Writes them from the files of a run folder.

    Args:
        facts: of the run.
        cohort_name: what the cohort is called in public.

    Returns:
        Markdown by the name of the section, without headings.

    Raises:
        BundleError: for a file of metrics that is damaged.
    """
    datalist = _datalist(facts.train, facts.split)
    return {
        "Data": data_section(datalist, facts.split, facts.lineage, facts.contract.target, cohort_name),
        "Training configuration": training_section(
            facts.train, facts.checkpoint, facts.versions, facts.contract, facts.stopped
        ),
        "Performance": performance_section(facts.folder, facts.contract.target, facts.contract.threshold),
    }


def _datalist(train: Mapping[str, Any], split: str | None) -> dict[str, Any] | None:
    """The datalist that the run was trained with, where it is still there and the same."""
    path = train.get("datalist")
    if not isinstance(path, str) or not Path(path).is_file():
        return None
    try:
        content = load_datalist(path)
    except DatalistError:
        return None
    return content if content["split"]["hash"] == split else None
