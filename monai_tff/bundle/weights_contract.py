"""Whether weights are evaluated on the target that they were trained for: class 1 must be the same on both sides."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import safetensors

from monai_tff.bundle.layout import CONTRACT_KEY
from monai_tff.contract import InputContract, Target
from monai_tff.data.datalist import target_of
from monai_tff.errors import ContractError, WeightsError
from monai_tff.networks import read_checkpoint

SCALE = ("target_mean", "target_std")


class Calibrated(NamedTuple):
    """What turns logits into probabilities, and probabilities into the name of a class; see `InputContract`."""

    temperature: float
    threshold: float


def read_contract(weights: str | os.PathLike[str]) -> InputContract | None:
    """Reads the input contract that weights carry.

    Args:
        weights: a run's checkpoint, or the `model.safetensors` of an exported bundle.

    Returns:
        The contract; None for weights without one, such as a plain state dict or the published code's.

    Raises:
        WeightsError: if the file, or the JSON in its metadata, cannot be read.
        ContractError: if what it carries is no contract.
    """
    if Path(weights).suffix == ".safetensors":
        content = _of_safetensors(weights)
    else:
        content = read_checkpoint(Path(weights)).get(CONTRACT_KEY)
    return InputContract.from_dict(content) if isinstance(content, dict) else None


def calibration_of(weights: str | os.PathLike[str]) -> Calibrated:
    """Reads the temperature and the threshold that weights carry in their contract.

    Args:
        weights: as for `read_contract`.

    Returns:
        Both; 1 and 0.5 for weights without a contract.

    Raises:
        WeightsError: see `read_contract`.
        ContractError: see `read_contract`.
    """
    contract = read_contract(weights)
    return Calibrated(1.0, 0.5) if contract is None else Calibrated(contract.temperature, contract.threshold)


def _of_safetensors(weights: str | os.PathLike[str]) -> Any:
    try:
        with safetensors.safe_open(weights, framework="pt") as file:
            stored = (file.metadata() or {}).get(CONTRACT_KEY)
        return None if stored is None else json.loads(stored)
    except (OSError, safetensors.SafetensorError, ValueError) as error:
        raise WeightsError(
            f"{weights}: cannot be read ({type(error).__name__}), expected a whole .safetensors file with the input "
            f"contract as JSON under '{CONTRACT_KEY}' of its metadata; copy or download it again."
        ) from error


def check_target(weights: str | os.PathLike[str], contract: InputContract, datalist: str | os.PathLike[str]) -> None:
    """Refuses an evaluation whose labels, or whose scale of a number, are not those of the training.

    The name of the target may differ: another cohort may call its column otherwise.

    Args:
        weights: that are evaluated.
        contract: of the configuration that evaluates.
        datalist: whose labels they are compared with.

    Raises:
        ContractError: naming both sides.
    """
    trained = read_contract(weights)
    if trained is None or trained.target is None:
        return
    labels = target_of(datalist)
    if (labels.kind, labels.class_names) != (trained.target.kind, trained.target.class_names):
        raise ContractError(
            f"{datalist}: the target is {_words(labels)}, but {weights} was trained for {_words(trained.target)}; "
            "build the datalist with the same classes in the same order (--classes)."
        )
    for name in SCALE:
        found, expected = getattr(contract, name), getattr(trained, name)
        if found != expected:
            raise ContractError(
                f"{name} is {found}, from the training subjects of {datalist}, but {weights} was trained with "
                f"{expected}; evaluate the bundle that `monai_tff export` makes of the run: it has the contract of its "
                "weights."
            )


def _words(target: Target) -> str:
    classes = f" with the classes {', '.join(target.class_names)}" if target.class_names else ""
    return f"{target.name}, {target.kind}{classes}"
