"""What is checked by running code of ours on a bundle that is safe: its network, and the forms of its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle.properties import InferProperties, MetaProperties, TrainProperties
from monai.utils import BundleProperty, BundlePropertyConfig

from monai_tff.bundle import layout
from monai_tff.bundle.verification.allowed import SEPARATOR, normalised
from monai_tff.bundle.verification.findings import Finding, finding, shown
from monai_tff.bundle.verification.parts import CONTRACT, NETWORK, built_network, contract_of
from monai_tff.bundle.verification.texts import read_json, read_yaml
from monai_tff.bundle.verification.torchscript import metadata_inside
from monai_tff.contract import InputContract
from monai_tff.networks import load_finished, read_state_dict
from monai_tff.networks.base import IN_CHANNELS

TOLERANCE = 1e-5
"""Largest difference of a program's output, relative to the largest value of the network's (at least 1)."""

FRAMES = 32
"""Most frames of the noise that a network is tried with: a contract may name a window that no memory can hold."""

WORKFLOWS = {
    layout.INFERENCE: InferProperties,
    layout.TRAIN: TrainProperties,
    layout.EVALUATE: {**TrainProperties, **InferProperties},
}
"""What MONAI asks of a config; an evaluation is a merged training with the ids of an inference."""


def property_findings(folder: Path) -> Iterator[Finding]:
    """Ids that MONAI asks for and a config or metadata.json does not have, or has under another name.

    Args:
        folder: of the bundle.

    Yields:
        One finding for each property.
    """
    metadata = {"_meta_": read_json(folder / layout.METADATA)}
    for name, found in MetaProperties.items():
        if found[BundleProperty.REQUIRED] and _at(metadata, str(found[BundlePropertyConfig.ID])) is None:
            yield finding("properties", layout.METADATA, f"the property '{name}' is missing, expected it")
    for file, properties in WORKFLOWS.items():
        if not (folder / file).is_file():
            continue
        config = read_yaml(folder / file)
        for name, found in properties.items():
            place = str(found[BundlePropertyConfig.ID])
            if found[BundleProperty.REQUIRED] and _at(config, place) is None:
                yield finding("properties", file, f"the property '{name}' (id {place}) is missing, expected it")
            reference = _at(config, str(found.get(BundlePropertyConfig.REF_ID) or ""))
            if isinstance(reference, str) and not reference.startswith("$") and normalised(reference) != f"@{place}":
                yield finding("properties", file, f"the property '{name}' is {shown(reference)}, expected @{place}")


def _at(config: Any, place: str) -> Any:
    for part in place.split(SEPARATOR):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config


def network_findings(folder: Path) -> Iterator[Finding]:
    """Whether the network takes these weights and gives what metadata.json says.

    Args:
        folder: of a bundle that no rule of safety is broken of.

    Yields:
        A finding where it does not.

    Raises:
        WeightsError: for weights that do not fit, naming the tensor.
    """
    if not (folder / layout.SAFETENSORS).is_file():
        yield finding("network", layout.SAFETENSORS, f"is not here, see {layout.LARGE_FILES} for where it lies")
        return
    config = read_yaml(folder / layout.INFERENCE)
    network = loaded_network(folder)
    output = output_on_noise(network, folder)
    formats = read_json(folder / layout.METADATA)["network_data_format"]["outputs"]["pred"]
    length = _frames(contract_of(config[CONTRACT]))
    shape = [length if size == "*" else size for size in formats["spatial_shape"]]
    if list(output.shape) != [1, formats["num_channels"], *shape] or output.dtype != torch.float32:
        yield finding(
            "network",
            layout.METADATA,
            f"the output is {output.dtype} of shape {list(output.shape)}, expected float32 of "
            f"{[1, formats['num_channels'], *shape]}",
        )
    if not torch.isfinite(output).all():
        yield finding("network", layout.SAFETENSORS, "the output is not finite, expected numbers")


def loaded_network(folder: Path) -> torch.nn.Module:
    """The network of a bundle with its weights, in evaluation mode, on the CPU.

    Args:
        folder: of a bundle that no rule of safety is broken of.

    Raises:
        WeightsError: for weights that do not fit.
    """
    network = built_network(read_yaml(folder / layout.INFERENCE)[NETWORK])
    load_finished(network, folder / layout.SAFETENSORS)
    return network.eval()


def output_on_noise(program: Callable[[torch.Tensor], torch.Tensor], folder: Path) -> torch.Tensor:
    """What a network or program makes of one window of noise, the same in each call.

    Args:
        program: takes `[1, 2, H, W, D, T]`.
        folder: of a bundle that no rule of safety is broken of.
    """
    contract = contract_of(read_yaml(folder / layout.INFERENCE)[CONTRACT])
    shape = (1, IN_CHANNELS, *contract.spatial_size, _frames(contract))
    with torch.no_grad():
        return program(torch.randn(shape, generator=torch.Generator().manual_seed(0)))


def _frames(contract: InputContract) -> int:
    return min(contract.window_length, FRAMES)


def weights_findings(folder: Path) -> Iterator[Finding]:
    """Whether model.pt, TorchScript and the torch.export program are the network of model.safetensors.

    Args:
        folder: of a bundle whose network was found sound.

    Yields:
        One finding for each file that differs.
    """
    network = loaded_network(folder)
    state = network.state_dict()
    expected = output_on_noise(network, folder)
    if (folder / layout.STATE_DICT).is_file():
        other = read_state_dict(folder / layout.STATE_DICT)
        yield from _difference(layout.STATE_DICT, state, other)
        yield from _difference(layout.STATE_DICT, other, state)
    inside = metadata_inside(folder / layout.TORCHSCRIPT) if (folder / layout.TORCHSCRIPT).is_file() else None
    if inside is not None and inside != (folder / layout.METADATA).read_bytes():
        yield finding("weights", layout.TORCHSCRIPT, f"keeps other metadata than {layout.METADATA}, expected the same")
    for name, load in PROGRAMS.items():
        path = folder / name
        if not path.is_file():
            continue
        try:
            program = load(path)
            output = output_on_noise(program, folder)
        except Exception as error:  # a program of another version of torch can fail in any way
            reason = shown(str(error).strip().splitlines()[-1:])
            yield finding("weights", name, f"cannot be run by torch {torch.__version__} ({reason}), expected it to")
            continue
        yield from _difference(name, state, dict(program.state_dict()))
        if not is_same_output(output, expected):
            yield finding("weights", name, f"gives another output than {layout.SAFETENSORS}, expected the same")


def is_same_output(output: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether outputs are equal up to rounding, which grows with the largest numbers that are summed.

    Args:
        output: of a program.
        expected: of the network.
    """
    if output.shape != expected.shape:
        return False
    difference = (output - expected).abs().max().item()
    return bool(difference <= TOLERANCE * max(1.0, expected.abs().max().item()))


def _load_program(path: Path) -> Any:
    return torch.export.load(path).module()


def _load_torchscript(path: Path) -> Any:
    return torch.jit.load(str(path), map_location="cpu")


PROGRAMS: dict[str, Callable[[Path], Any]] = {
    layout.TORCHSCRIPT: _load_torchscript,
    layout.PROGRAM: _load_program,
}


def _difference(name: str, state: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> Iterator[Finding]:
    for key in state:
        if key not in other or not torch.equal(state[key], other[key]):
            yield finding("weights", name, f"{shown(key)} differs from {layout.SAFETENSORS}, expected the same")
            return
