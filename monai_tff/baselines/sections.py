"""The records of a run's sections, with what every baseline needs of them: truth, groups and weights."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monai_tff.bundle.finished_run import FinishedRun
from monai_tff.contract import Target
from monai_tff.data.datalist import load_records
from monai_tff.data.label_statistics import class_weights
from monai_tff.data.records import Record
from monai_tff.handlers.window_rows import RECORD_COLUMNS
from monai_tff.metrics import score_columns


@dataclasses.dataclass(frozen=True)
class Section:
    """Scans of one section, sorted by their path, so that no number depends on the order of a datalist.

    Attributes:
        name: `training`, `validation` or `test`.
        records: of `load_records`.
    """

    name: str
    records: list[Record]

    @property
    def truth(self) -> NDArray[np.float64]:
        """Index of the class, or value in the target's units, [scans]."""
        return np.array([record["label"] for record in self.records], dtype=float)

    @property
    def groups(self) -> NDArray[np.str_]:
        """What is never split, [scans]."""
        return np.array([record["group"] for record in self.records])

    @property
    def num_subjects(self) -> int:
        """Subjects that the scans are of."""
        return len({record["subject"] for record in self.records})


def read_section(run: FinishedRun, name: str) -> Section:
    """Reads one section of a run's datalist.

    Args:
        run: the run.
        name: `training`, `validation` or `test`.

    Raises:
        DatalistError: for a datalist that is not right, an empty section, or a scan that is not there.
    """
    records = load_records(run.datalist, run.dataset_dir, name, packed_dir=run.packing["packed_dir"])
    return Section(name, sorted(records, key=lambda record: record["scan"]))


def training_weights(run: FinishedRun, training: Section) -> NDArray[np.float64]:
    """Weights that count every training subject once and balance the classes, as the network's training does.

    Args:
        run: the run, whose datalist the weights of the classes are counted from.
        training: its training section.

    Returns:
        [scans], with mean 1.

    Raises:
        DatalistError: for a class without training subjects.
    """
    scans = Counter(record["subject"] for record in training.records)
    weights = np.array([1 / scans[record["subject"]] for record in training.records])
    if run.target.kind != "regression":
        of_classes = class_weights(run.datalist)
        balance = np.array(of_classes if isinstance(of_classes, list) else [1.0, of_classes])
        weights *= balance[training.truth.astype(int)]
    return weights / weights.mean()


def score_rows(section: Section, scores: NDArray[np.float64], target: Target) -> pd.DataFrame:
    """The scores as an evaluation takes them: one row per scan, which counts as one window.

    Args:
        section: the scans.
        scores: [scans, score columns].
        target: what is predicted.
    """
    table = pd.DataFrame([{name: record[name] for name in RECORD_COLUMNS} for record in section.records])
    table = table.assign(window=0, truth=section.truth)
    table[score_columns(target)] = scores
    return table.sort_values(["subject", "session", "run", "scan"], ignore_index=True)
