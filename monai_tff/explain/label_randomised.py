"""The run's third phase once more, with labels that mean nothing: what maps look like then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monai_tff.bundle.experiment import quiet_workflow, run_workflow
from monai_tff.bundle.finished_run import FinishedRun
from monai_tff.bundle.layout import sha256_of
from monai_tff.data.datalist import load_datalist, write_datalist
from monai_tff.data.splits import SECTIONS, split_hash
from monai_tff.errors import WeightsError
from monai_tff.handlers.evaluation_files import write_json

PERMUTED = ("training", "validation")
SHARE_OF_EPOCHS = 5


def permuted_datalist(content: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A datalist whose labels are dealt out anew within training and within validation; test stays as it is.

    Whole subjects swap their labels; sessions do where labels differ within subjects.

    Args:
        content: of the datalist.
        seed: of the permutation.

    Returns:
        The datalist, with a hash of its own.
    """
    permuted = {**content, "name": f"{content['name']} with permuted labels"}
    random = np.random.default_rng(seed)
    for section in PERMUTED:
        permuted[section] = _permuted(content[section], random)
    sections = {section: permuted[section] for section in (*SECTIONS, "unlabelled")}
    return {**permuted, "split": {**content["split"], "hash": split_hash(sections)}}


def _permuted(records: list[dict[str, Any]], random: np.random.Generator) -> list[dict[str, Any]]:
    labels: dict[tuple[str, ...], Any] = {}
    by_session = len({(r["subject"], r["label"]) for r in records}) > len({r["subject"] for r in records})

    def unit(record: Mapping[str, Any]) -> tuple[str, ...]:
        return (record["subject"], str(record["session"])) if by_session else (record["subject"],)

    for record in sorted(records, key=lambda record: record["image"]):
        labels[unit(record)] = record["label"]
    units = sorted(labels)
    dealt = {units[i]: labels[units[j]] for i, j in enumerate(random.permutation(len(units)))}
    return [{**record, "label": dealt[unit(record)]} for record in records]


def label_randomised_weights(
    run: FinishedRun, folder: Path, epochs: int | None, seed: int, say: Callable[[str], object]
) -> Path:
    """Trains the third phase with permuted labels, from the weights that the run itself began with.

    All settings are those of the run but the number of epochs. A training that was interrupted is continued; one that
    is finished, for the same run, epochs and seed, is not done again. Nothing of it is evaluated on test subjects.

    Args:
        run: the run.
        folder: for the datalist and the weights.
        epochs: of the training; None for a fifth of the run's own.
        seed: of the permutation.
        say: told that the training begins.

    Returns:
        The weights.

    Raises:
        WeightsError: if the weights that the run began with are not there any more.
    """
    parser = quiet_workflow([str(run.folder / "configs" / "train.yaml")], "train", {}).parser
    initial, own = (parser.get_parsed_content(name) for name in ("initial_weights", "max_epochs"))
    if initial is not None and not Path(initial).is_file():
        raise WeightsError(f"{initial}: the run began with these weights, but they are not there any more.")
    epochs = max(1, own // SHARE_OF_EPOCHS) if epochs is None else min(epochs, own)
    made_with = {"weights": sha256_of(run.weights), "epochs": epochs, "seed": seed}
    weights, note = folder / "model.pt", folder / "made_with.json"
    if not note.is_file() or json.loads(note.read_text(encoding="utf-8")) != made_with:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(note, made_with)
    if weights.is_file():
        return weights
    say(f"label check: training phase 3 with permuted labels for {epochs} of {own} epochs -> {folder}")
    datalist, training = folder / "datalist.json", folder / "training"
    write_datalist(permuted_datalist(load_datalist(run.datalist), seed), datalist, overwrite=True)
    places = {"run_dir": str(training), "datalist": str(datalist), "resume": True}
    if "mlflow_uri" in parser:
        places["mlflow_uri"] = None  # its numbers are of no use beside those of real trainings
    run_workflow(
        [str(run.folder / "configs" / "train.yaml")],
        "train",
        {**places, "max_epochs": epochs, "use_tensorboard": False, "calibrate": False},
    )
    (training / "models" / "model.pt").replace(weights)
    shutil.rmtree(training)  # optimiser, lineage: nobody continues this training
    return weights
