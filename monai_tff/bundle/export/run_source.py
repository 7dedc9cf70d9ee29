"""Reads a run folder for the export: which of it goes into the bundle, and which must not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from monai_tff.bundle import layout
from monai_tff.bundle.checks import check_config_files
from monai_tff.bundle.export.card_data import PHASES
from monai_tff.bundle.export.details import ExportSource
from monai_tff.bundle.export.private import private_strings
from monai_tff.bundle.export.sections import RunFacts, run_sections
from monai_tff.bundle.lineage import read_lineage
from monai_tff.bundle.run_folder import PACKAGES
from monai_tff.contract import InputContract
from monai_tff.errors import BundleError, WeightsError
from monai_tff.networks.checkpoints import read_checkpoint, read_state_dict

PREDICTION, RECONSTRUCTION = "tff_fmri_prediction", "tff_fmri_reconstruction"
BEST, LAST = "models/model.pt", "models/last.pt"
VERSIONS = "versions.json"
VERSION = re.compile(r"\d+(\.\d+)*([ab.]|rc|post|dev|\d)*(\+[a-z]+\d*)?")
HASH = re.compile(r"[0-9a-f]{64}")
INFERENCE_IDS = ("reader", "stride")
"""Ids of a run's inference.yaml that change what comes out, beside contract and network."""

CALIBRATION = ("threshold", "temperature")
"""Values of the contract that may be set after the training."""


def read_run(run: Path, *, inference_only: bool = False, cohort_name: str | None = None) -> ExportSource:
    """Reads what is exported of a run folder.

    Args:
        run: a finished run folder of one phase.
        inference_only: leave out the configurations of training and evaluation.
        cohort_name: what the cohort is called in public; None does not name it.

    Returns:
        The source of the bundle.

    Raises:
        BundleError: for a folder that is no finished run.
    """
    _check_folder(run)
    inference = _inference(run / "configs" / "inference.yaml")
    train, evaluate = (_config(run / "configs" / f"{name}.yaml") for name in ("train", "evaluate"))
    checkpoint = read_checkpoint(run / BEST)
    contract = _contract(run, inference, checkpoint)
    lineage = read_lineage(run / BEST)
    versions, split = _versions(run)
    stopped = _stopped(run, train)
    facts = RunFacts(run, train, checkpoint, versions, split, lineage, contract, stopped)
    return ExportSource(
        template=PREDICTION if contract.target is not None else RECONSTRUCTION,
        contract=contract,
        network=inference["network_def"],
        state=read_state_dict(checkpoint),
        sections=run_sections(facts, cohort_name),
        inference={name: inference[name] for name in INFERENCE_IDS if name in inference},
        train=None if inference_only else train,
        evaluate=None if inference_only else evaluate,
        versions=versions,
        lineage=lineage,
        private=private_strings(run, [inference, train, evaluate], lineage),
        warning=stopped and f"{run}: {stopped}; the model card says so.",
    )


def _stopped(run: Path, train: Mapping[str, Any]) -> str | None:
    """That a training ended before its last epoch; None where it did not, or where nothing tells."""
    try:
        epoch = read_checkpoint(run / LAST).get("epoch")
    except WeightsError:
        return None  # the file is for resuming and need not be kept
    epochs = train.get("max_epochs")
    if not isinstance(epoch, int) or not isinstance(epochs, int) or epoch >= epochs:
        return None
    return f"training was stopped after epoch {epoch} of {epochs}"


def _versions(run: Path) -> tuple[dict[str, str], str | None]:
    """Versions of packages, and the hash of the split: nothing else that the file may say."""
    path = run / VERSIONS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = {package: str(content[package]) for package in PACKAGES if package in content}
        split = content.get("split")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BundleError(
            f"{path}: cannot be read ({type(error).__name__}), expected the versions that the run was made with; "
            "restore the file."
        ) from error
    whole = {package: version for package, version in found.items() if VERSION.fullmatch(version)}
    return whole, split if isinstance(split, str) and HASH.fullmatch(split) else None


def _check_folder(run: Path) -> None:
    if run.is_file():
        kind = "zip file" if run.suffix.lower() == ".zip" else "file"
        raise BundleError(f"{run}: is a {kind}, expected the run folder of one phase; give the folder.")
    if (run / layout.MANIFEST).is_file():
        raise BundleError(
            f"{run}: is an exported bundle already, expected a run folder; copy it, or export the run that it is of."
        )
    if not run.is_dir():
        raise BundleError(f"{run}: there is no such folder, expected a run folder; check the path.")
    phases = [phase for phase in PHASES if (run / phase / BEST).is_file()]
    if not (run / "configs" / "train.yaml").is_file():
        if phases:
            raise BundleError(
                f"{run}: holds the phases {', '.join(phases)}, expected the run folder of one phase; export "
                f"{run / phases[-1]}, for example."
            )
        raise BundleError(f"{run}: has no configs/train.yaml, expected a run folder; check the path.")
    if not (run / BEST).is_file():
        raise BundleError(
            f"{run / BEST}: there is no such file, expected the best weights of a finished run; train it to its end "
            "(monai_tff run --resume) and export it then."
        )


def _config(path: Path) -> dict[str, Any]:
    check_config_files([path])
    return ConfigParser.load_config_file(path)


def _inference(path: Path) -> dict[str, Any]:
    content = _config(path)
    for key in ("contract", "network_def"):
        if not isinstance(content.get(key), Mapping):
            raise BundleError(
                f"{path}: {key} is no mapping of names to values, expected it as the training wrote it; restore the "
                "file."
            )
    return content


def _contract(run: Path, inference: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> InputContract:
    """The contract that inference enforces; that of the weights must be the same but for calibration."""
    values = {key: value for key, value in inference["contract"].items() if key != "_target_"}
    contract = InputContract.from_dict(values)
    own, path = contract.to_dict(), run / "configs" / "inference.yaml"
    for key, value in (checkpoint.get("contract") or {}).items():
        if key not in CALIBRATION and own.get(key) != value:
            raise BundleError(
                f"{path}: the contract says {key} {own.get(key)}, expected {value} as in the training of the weights; "
                "correct the file."
            )
    return contract
