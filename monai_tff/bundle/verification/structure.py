"""What the inference config of a bundle must do besides being harmless: what the shipped one does."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch

from monai_tff.bundle import layout
from monai_tff.bundle.verification.allowed import (
    RECONSTRUCTOR,
    TARGET,
    WEIGHTS,
    inference_templates,
    normalised,
    training_template,
)
from monai_tff.bundle.verification.findings import Finding, finding, shown
from monai_tff.bundle.verification.formats import safetensors_header
from monai_tff.bundle.verification.parts import CONTRACT, NETWORK, contract_of, network_shapes
from monai_tff.bundle.verification.texts import parse_json, read_json, read_yaml
from monai_tff.bundle.verification.tree import is_exported
from monai_tff.contract import InputContract
from monai_tff.networks.base import IN_CHANNELS

DTYPE = "float32"
CHECKS = ("bundle.start(", "data.check_headers(", "data.check_cohort(", "networks.load_finished(")
"""Calls of `initialize` that no bundle may leave out."""

FREE = ("weights", "dataset_dir", "output_dir", "device", "amp", "reader", "stride", "handlers", CONTRACT, NETWORK)
"""Ids that may differ from the shipped config: where it runs and what is written there, and what the bundle is."""


def structure_findings(folder: Path) -> Iterator[Finding]:
    """What the inference of a bundle leaves out or does otherwise.

    Args:
        folder: of a bundle or run whose configs are harmless.

    Yields:
        One finding for each id that differs, and for each part that tells another contract.
    """
    config = read_yaml(folder / layout.INFERENCE)
    template = _template_of(config)
    for key in [*template, *(key for key in config if key not in template)]:
        if key not in config and template[key] == []:
            continue  # a step that does nothing, which runs of earlier versions do not name
        if key not in config or key not in template:
            found = "is missing" if key not in config else "is no id of the shipped config"
            yield finding("structure", layout.INFERENCE, f"{shown(key)} {found}, expected the ids of the shipped one")
        elif key == "initialize":
            yield from _check_findings(layout.INFERENCE, config, template)
        elif key not in FREE and _plain(config[key]) != _plain(template[key]):
            yield finding("structure", layout.INFERENCE, f"{key} differs, expected what the shipped config has there")
    yield from _setting_findings(config)
    if is_exported(folder) and config.get("weights") != WEIGHTS[0]:
        found = f"weights is {shown(config.get('weights'))}, expected {layout.SAFETENSORS}, which keeps the contract"
        yield finding("structure", layout.INFERENCE, found)
    if CONTRACT in config and NETWORK in config:
        yield from _contract_findings(folder, contract_of(config[CONTRACT]), config[NETWORK])
        for name in (layout.TRAIN, layout.EVALUATE):
            if is_exported(folder) and (folder / name).is_file():
                yield from _training_findings(name, read_yaml(folder / name), config)


def _check_findings(name: str, config: Mapping[str, Any], template: Mapping[str, Any]) -> Iterator[Finding]:
    """The checks before a run are all there; what other versions of monai_tff do besides may be missing."""
    present = _plain(config.get("initialize"))
    for entry in _plain(template["initialize"]):
        if any(check in entry for check in CHECKS) and (not isinstance(present, list) or entry not in present):
            yield finding("structure", name, f"initialize lacks {shown(entry)}, expected that check before the run")


def _setting_findings(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Where inference runs is free, but not of any kind."""
    stride, amp = config.get("stride"), config.get("amp")
    if stride is not None and (isinstance(stride, bool) or not isinstance(stride, int) or stride < 1):
        yield finding("structure", layout.INFERENCE, f"stride is {shown(stride)}, expected frames, or null")
    if not isinstance(amp, bool):
        yield finding("structure", layout.INFERENCE, f"amp is {shown(amp)}, expected true or false")


def _training_findings(name: str, config: Mapping[str, Any], inference: Mapping[str, Any]) -> Iterator[Finding]:
    """A training and an evaluation begin with the checks of the shipped ones; an evaluation is of these weights."""
    template = training_template(inference[NETWORK][TARGET], name == layout.EVALUATE)
    yield from _check_findings(name, config, template)
    if _plain(config.get("run")) != _plain(template["run"]):
        yield finding("structure", name, "run differs, expected what the shipped config has there")
    if name == layout.EVALUATE:
        if config.get("weights") not in WEIGHTS:
            yield finding("structure", name, f"weights is {shown(config.get('weights'))}, expected the bundle's own")
        if config.get(CONTRACT) != inference[CONTRACT]:
            yield finding("structure", name, f"another contract than {layout.INFERENCE}, expected the same")


def _template_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The shipped config with the same network; the autoencoder has that of the reconstructor."""
    target = config.get(NETWORK, {}).get(TARGET)
    templates = {template[NETWORK][TARGET]: template for template in inference_templates()}
    return templates.get(target, templates[RECONSTRUCTOR])


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return normalised(value) if isinstance(value, str) else value


def _contract_findings(folder: Path, contract: InputContract, network: Mapping[str, Any]) -> Iterator[Finding]:
    """The contract stands in the config, in the weights and, in part, in the network and the metadata."""
    if tuple(network.get("spatial_size", ())) != contract.spatial_size:
        yield finding(
            "structure",
            layout.INFERENCE,
            f"network_def#spatial_size is {shown(network.get('spatial_size'))}, the contract's is "
            f"{list(contract.spatial_size)}, expected the same",
        )
    predicts = "num_outputs" in network or network[TARGET].endswith("TFFPredictor")
    if predicts != (contract.target is not None):
        yield finding("structure", layout.INFERENCE, "a network and a contract of different tasks, expected one task")
    elif contract.target is not None and network.get("num_outputs", 1) != contract.target.num_outputs:
        yield finding(
            "structure",
            layout.INFERENCE,
            f"network_def#num_outputs is {network.get('num_outputs', 1)}, expected {contract.target.num_outputs} for "
            "the target of the contract",
        )
    yield from _weights_findings(folder, contract, network)
    yield from _metadata_findings(folder, contract)


def _weights_findings(folder: Path, contract: InputContract, network: Mapping[str, Any]) -> Iterator[Finding]:
    """The weights are of this network and contract, so that it is no larger than they are."""
    wanted = network_shapes(network)
    path = folder / layout.SAFETENSORS
    if not path.is_file():
        yield from _size_findings(folder / layout.STATE_DICT, wanted)
        return
    header, metadata = safetensors_header(path)
    found = {name: tuple(tensor["shape"]) for name, tensor in header.items()}
    for name in (*wanted, *found):
        if wanted.get(name) != found.get(name):
            shapes = f"the shape {found.get(name)}, expected {wanted.get(name)} for the network_def"
            yield finding("structure", layout.SAFETENSORS, f"{shown(name)} has {shapes}")
            break
    with safetensors.safe_open(path, framework="pt") as tensors:
        broken = next((name for name in found if not torch.isfinite(tensors.get_tensor(name)).all()), None)
    if broken is not None:
        yield finding("structure", layout.SAFETENSORS, f"{shown(broken)} holds NaN or infinity, expected numbers")
    text = metadata.get(layout.CONTRACT_KEY)
    if text is None or parse_json(text.encode()) != contract.to_dict():
        yield finding("structure", layout.SAFETENSORS, f"another contract than {layout.INFERENCE}, expected the same")


def _size_findings(path: Path, wanted: Mapping[str, tuple[int, ...]]) -> Iterator[Finding]:
    """A network that its weights cannot fill is not built: it could take all memory."""
    numbers = sum(math.prod(shape) for shape in wanted.values())
    if path.is_file() and numbers > path.stat().st_size:
        yield finding(
            "structure",
            layout.INFERENCE,
            f"network_def has {numbers:,} weights, expected no more than {path.name} has bytes",
        )


def _metadata_findings(folder: Path, contract: InputContract) -> Iterator[Finding]:
    try:
        formats = read_json(folder / layout.METADATA)["network_data_format"]
        image, pred = formats["inputs"]["image"], formats["outputs"]["pred"]
        found = [[tensor[key] for key in ("num_channels", "spatial_shape", "dtype")] for tensor in (image, pred)]
        channels = pred.get("channel_def")
    except (KeyError, TypeError, AttributeError):
        yield finding("structure", layout.METADATA, "no image and pred of the network, expected both")
        return
    shape = [*contract.spatial_size, "*"]
    outputs = 1 if contract.target is None else contract.target.num_outputs
    wanted = [[IN_CHANNELS, shape, DTYPE], [outputs, shape if contract.target is None else [], DTYPE]]
    if found != wanted:
        yield finding("structure", layout.METADATA, f"image and pred are {shown(found)}, expected {wanted}")
    if contract.target is not None and contract.target.class_names:
        names = contract.target.class_names if outputs > 1 else contract.target.class_names[-1:]
        if channels != {str(i): name for i, name in enumerate(names)}:
            yield finding(
                "structure", layout.METADATA, f"the outputs {shown(channels)}, expected the classes {json.dumps(names)}"
            )
