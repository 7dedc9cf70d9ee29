"""The two parts of an inference config that differ between bundles: the input contract and the network."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from monai_tff import networks
from monai_tff.bundle.verification.allowed import TARGET, is_sequence
from monai_tff.bundle.verification.findings import shown
from monai_tff.contract import InputContract, Target
from monai_tff.errors import BundleError, UserError
from monai_tff.networks.tff import PAPER_HEADS

CONTRACT = "contract"
NETWORK = "network_def"
CONTRACT_TARGET = "monai_tff.contract.InputContract"
NETWORKS = {
    f"monai_tff.networks.{kind.__name__}": kind
    for kind in (networks.TFFAutoEncoder, networks.TFFReconstructor, networks.TFFPredictor)
}
"""The networks that a bundle may have, by the name in its config."""

TEXT_ARGUMENTS = ("axis_codes", "mask", "denoising", "tr_policy", "normalisation")
"""Of the contract, which checks them itself."""

NUMBER_ARGUMENTS = ("threshold", "temperature", "target_mean", "target_std")
MAX_SIZE = 100_000
"""Of a dimension of the input or the network."""

MAX_LAYERS = 100
MAX_TEXT = 200
RUN_BY_MONAI = re.compile(r"^\s*[$@%]|[@%](#|::)")
"""Texts that MONAI evaluates, or resolves as ids."""

FORMULA = re.compile(r"^\s*(=|[+-](?![\w. ]*$))")
"""Texts that a spreadsheet would evaluate when it opens the predictions."""


@functools.cache
def part_arguments(target: str) -> tuple[str, ...]:
    """Names of the arguments of the contract or of a network; none for anything else."""
    if target == CONTRACT_TARGET:
        return tuple(field.name for field in dataclasses.fields(InputContract))
    kind = NETWORKS.get(target)
    return tuple(inspect.signature(kind).parameters) if kind else ()


def check_contract(value: Any) -> None:
    """Refuses a contract that is more than data, or none.

    Raises:
        BundleError: naming the key.
        ContractError: for a value that no contract takes.
    """
    contract_of(value)


def contract_of(value: Any) -> InputContract:
    """The contract that an inference config holds.

    Args:
        value: of its id `contract`.

    Raises:
        BundleError: for a component of another name, or values of another kind.
        ContractError: for a value that no contract takes.
    """
    return plain_contract(_arguments(value, CONTRACT, (CONTRACT_TARGET,)))


def plain_contract(values: Mapping[str, Any]) -> InputContract:
    """A contract from data of a stranger.

    Raises:
        BundleError: for values of another kind.
        ContractError: for a value that no contract takes.
    """
    for name in TEXT_ARGUMENTS:
        if name in values and not isinstance(values[name], str | None):
            raise BundleError(f"contract#{name} is {shown(values[name])}, expected a text")
    for name in NUMBER_ARGUMENTS:
        if values.get(name) is not None and not _is_number(values[name]):
            raise BundleError(f"contract#{name} is {shown(values[name])}, expected a number")
    target = values.get("target")
    if target is not None:
        _check_target(target)
    contract = InputContract.from_dict({**values})
    if max(*contract.spatial_size, contract.window_length) > MAX_SIZE:
        raise BundleError(f"contract: a size of more than {MAX_SIZE:,}, expected a smaller one")
    return contract


def _check_target(target: Any) -> None:
    names = {field.name for field in dataclasses.fields(Target)}
    if not isinstance(target, Mapping) or not {"name", "kind"} <= set(target) <= names:
        raise BundleError(f"contract#target is {shown(target)}, expected name, kind and class_names")
    classes = target.get("class_names", [])
    texts = [target["name"], target["kind"], *(classes if is_sequence(classes) else [None])]
    for text in texts:
        if not isinstance(text, str) or not is_plain_text(text):
            raise BundleError(f"contract#target holds {shown(text)}, expected short plain texts")


def is_plain_text(text: str) -> bool:
    """Whether a text is a name to show: short, printable, and nothing that is run or looked up."""
    return 0 < len(text) <= MAX_TEXT and text.isprintable() and not (RUN_BY_MONAI.search(text) or FORMULA.match(text))


def check_network(value: Any) -> None:
    """Refuses a network that is none of ours, or arguments that are more than data.

    Raises:
        BundleError: naming the key.
    """
    arguments = _arguments(value, NETWORK, tuple(NETWORKS))
    defaults = inspect.signature(NETWORKS[value[TARGET]]).parameters
    for name, argument in arguments.items():
        if not _takes(name, argument, defaults[name].default):
            raise BundleError(f"{NETWORK}#{name} is {shown(argument)}, which no network of ours takes")


def _takes(name: str, argument: Any, default: Any) -> bool:
    """Whether an argument of a network may be this: mostly, what is of the kind of its default."""
    if name == "spatial_size":
        return is_sequence(argument) and len(argument) == 3 and all(_is_size(size) for size in argument)
    if name == "paper_head":
        return argument in PAPER_HEADS
    if isinstance(default, bool):
        return isinstance(argument, bool)
    if isinstance(default, float):
        return _is_number(argument) and 0 <= argument <= 1
    return _is_size(argument) and argument <= (MAX_LAYERS if name == "num_layers" else MAX_SIZE)


def _arguments(value: Any, key: str, targets: tuple[str, ...]) -> dict[str, Any]:
    target = value.get(TARGET) if isinstance(value, Mapping) else None
    if not isinstance(target, str) or target not in targets:
        raise BundleError(f"{key} calls {shown(target)}, expected {' or '.join(targets)}")
    arguments = {name: argument for name, argument in value.items() if name != TARGET}
    for name in arguments:
        if name not in part_arguments(target):
            raise BundleError(f"{key} has the argument {shown(name)}, which {target} does not take")
    return arguments


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_SIZE


def built_network(value: Mapping[str, Any]) -> nn.Module:
    """The network of an inference config, with random weights.

    Args:
        value: of its id `network_def`, that `check_network` found nothing in.

    Raises:
        ContractError: for sizes that no network can be built for.
    """
    arguments = {name: argument for name, argument in value.items() if name != TARGET}
    return NETWORKS[value[TARGET]](**arguments)


def network_shapes(value: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the network's tensors by name, found without memory for one; see `built_network`.

    Raises:
        BundleError: for values that PyTorch or transformers builds no network of.
        ContractError: for sizes that no network can be built for.
    """
    return dict(_shapes(json.dumps(value)))


@functools.lru_cache(maxsize=8)  # by every argument: what was built once is not built again to learn its shapes
def _shapes(text: str) -> dict[str, tuple[int, ...]]:
    value = json.loads(text)
    try:
        with torch.device("meta"):
            return {name: tuple(tensor.shape) for name, tensor in built_network(value).state_dict().items()}
    except UserError:
        raise
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise BundleError(f"{NETWORK}: no network can be built of it ({shown(str(error))}), expected one") from error
