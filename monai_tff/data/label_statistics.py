"""Numbers about the training labels of a datalist: mean and spread of a regression, weights of classes."""

from __future__ import annotations

import os
from collections import defaultdict

import numpy as np

from monai_tff.contract import Target
from monai_tff.data.datalist import load_datalist
from monai_tff.data.targets import encode_label
from monai_tff.errors import DatalistError


def target_statistics(datalist: str | os.PathLike[str]) -> tuple[float, float]:
    """Mean and standard deviation of a regression target over the training subjects.

    Every subject counts once, whatever its number of sessions and runs: its value is the mean over its sessions,
    and a session's the mean over its runs.

    Args:
        datalist: path of the JSON file.

    Returns:
        Mean and standard deviation (of the population, divisor n) in the units of the target.

    Raises:
        DatalistError: for a target that is not a regression, no training records, or values that are all equal.
    """
    target, labels = _training_labels(datalist)
    if target.kind != "regression":
        raise DatalistError(
            f"{datalist}: the target '{target.name}' is {target.kind}, expected a regression for a mean and a standard "
            "deviation; use class weights."
        )
    values = [float(np.mean([np.mean(runs) for runs in sessions])) for sessions in labels]
    mean, std = float(np.mean(values)), float(np.std(values))
    if std <= 1e-12 * max(1.0, abs(mean)):
        raise DatalistError(
            f"{datalist}: all {len(values)} training subjects have the same {target.name} ({mean:g}), "
            "expected values that differ; choose another target."
        )
    return mean, std


def class_weights(datalist: str | os.PathLike[str]) -> float | list[float]:
    """Weights that balance the classes, counted over the training subjects.

    Every subject counts once; where its sessions are of several classes, it counts in parts.

    Args:
        datalist: path of the JSON file.

    Returns:
        For two classes the weight of the positive one, n0 / n1 (`pos_weight` of BCEWithLogitsLoss); for C classes
        the list n / (C * n_c) (`weight` of CrossEntropyLoss).

    Raises:
        DatalistError: for a regression, no training records, or a class without training subjects.
    """
    target, labels = _training_labels(datalist)
    if target.kind == "regression":
        raise DatalistError(
            f"{datalist}: the target '{target.name}' is a regression, expected classes for class weights; "
            "use its mean and standard deviation."
        )
    shares = [
        np.mean(
            [
                np.bincount(np.asarray(runs, dtype=np.int64), minlength=len(target.class_names)) / len(runs)
                for runs in sessions
            ],
            0,
        )
        for sessions in labels
    ]  # each [C], sums to 1
    counts = np.sum(shares, axis=0)
    if not counts.all():
        absent = target.class_names[int(np.argmin(counts))]
        raise DatalistError(
            f"{datalist}: no training subject is of class '{absent}', expected each class; "
            "build the datalist again with more subjects."
        )
    if target.kind == "binary":
        return float(counts[0] / counts[1])
    return [float(weight) for weight in counts.sum() / (len(counts) * counts)]


def _training_labels(datalist: str | os.PathLike[str]) -> tuple[Target, list[list[list[float]]]]:
    """Target, and encoded labels by training subject, session and run."""
    content = load_datalist(datalist)
    target = Target(**content["target"])
    labels: dict[str, dict[str | None, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in content["training"]:
        labels[record["subject"]][record["session"]].append(encode_label(record["label"], target))
    if not labels:
        raise DatalistError(f"{datalist}: the section 'training' is empty, expected records; use another datalist.")
    return target, [list(sessions.values()) for sessions in labels.values()]
