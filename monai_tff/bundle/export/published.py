"""Weights in the published format: which phase they are of, and the sizes of their network, both from their tensors.

The file says nothing of the grid, the preprocessing, the repetition time or the target: see `published_config`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import torch

from monai_tff.bundle.layout import sha256_of
from monai_tff.errors import WeightsError
from monai_tff.networks import stored_state_dict
from monai_tff.networks.original import from_original, is_original
from monai_tff.networks.weights import part_of

PHASES = {
    "finetune": ("transformer.bert", "head"),
    "transformer": ("transformer.bert", "bottleneck_out", "decoder"),
    "autoencoder": ("bottleneck_out", "decoder"),
}
"""The parts beside the encoder that tell a phase; the first phase whose parts are all there is the one."""


@dataclasses.dataclass(frozen=True)
class PublishedWeights:
    """What a checkpoint of the published code holds.

    Attributes:
        source: the file as it was named, for messages.
        sha256: of the file.
        phase: `autoencoder`, `transformer` or `finetune`.
        state: the weights, under our names.
        network: arguments of the phase's network that the tensors show: `hidden_size`, and from the second phase on
            `max_frames`, `num_layers` and `feedforward_size`.
        flat_size: numbers of the flattened bottleneck, which the grid decides.
    """

    source: str
    sha256: str
    phase: str
    state: Mapping[str, torch.Tensor]
    network: Mapping[str, int]
    flat_size: int


def read_published(path: str | Path) -> PublishedWeights:
    """Reads a checkpoint in the published format; nothing in it is run.

    Args:
        path: a `.pth` file: `{"model_state_dict": state_dict, ...}` as the published code saves it, or the state dict
            alone; also from distributed training, and as `.safetensors`.

    Returns:
        The weights, their phase and sizes.

    Raises:
        WeightsError: when the file cannot be read, would run code, or holds something else.
    """
    stored = stored_state_dict(path)
    if not is_original(stored):
        raise WeightsError(
            f"{path}: holds {', '.join(list(stored)[:3])}, ..., expected the names of the published TFF code "
            "(encoder.down_block1..., into_bert...); for weights of monai_tff use export on their run folder."
        )
    state = from_original(stored)
    for name, tensor in state.items():
        _check_tensor(str(path), name, tensor)
    phase = _phase_of(str(path), state)
    hidden_size, flat_size = _code_sizes(str(path), state, phase)
    network = {"hidden_size": hidden_size}
    if phase != "autoencoder":
        network |= _transformer_sizes(str(path), state)
    return PublishedWeights(str(path), sha256_of(path), phase, state, network, flat_size)


def _check_tensor(source: str, name: str, tensor: torch.Tensor) -> None:
    """Refuses what is no plain array of numbers, such as a view that looks larger than the file."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and tensor.is_floating_point()
    if not plain or tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        raise WeightsError(
            f"{source}: '{name}' is no plain tensor of floating-point numbers ({tensor.dtype}, {tensor.layout}), "
            "expected one; save the network's state_dict again."
        )


def _phase_of(source: str, state: Mapping[str, torch.Tensor]) -> str:
    parts = {part_of(name) for name in state}
    for phase, wanted in PHASES.items():
        if parts.issuperset(wanted):
            return phase
    raise WeightsError(
        f"{source}: holds {', '.join(sorted(parts))}, expected the encoder and a decoder (phases 1 and 2) or a head "
        "(phase 3) beside it; use a checkpoint of one whole phase."
    )


def _code_sizes(source: str, state: Mapping[str, torch.Tensor], phase: str) -> tuple[int, int]:
    """Length of a frame code, and of the flattened bottleneck that it is made from."""
    table = "head.weight" if phase == "finetune" else "bottleneck_out.linear.weight"
    hidden_size = _shape(source, state, table)[1]
    if phase == "finetune" and _shape(source, state, table)[0] != 1:
        raise WeightsError(
            f"{source}: the head gives {_shape(source, state, table)[0]} outputs, expected 1, the probability of two "
            "classes or one number, as the published heads do; use a checkpoint of such a target."
        )
    if "bottleneck_in.linear.weight" not in state:  # left out where both are of one length
        return hidden_size, hidden_size
    return hidden_size, _shape(source, state, "bottleneck_in.linear.weight")[1]


def _transformer_sizes(source: str, state: Mapping[str, torch.Tensor]) -> dict[str, int]:
    layers = {name.split(".")[4] for name in state if name.startswith("transformer.bert.encoder.layer.")}
    first = "transformer.bert.encoder.layer.0.intermediate.dense.weight"
    positions = _shape(source, state, "transformer.bert.embeddings.position_embeddings.weight")[0]
    return {
        "max_frames": positions - 1,  # the first position is the class token's
        "num_layers": len(layers),
        "feedforward_size": _shape(source, state, first)[0],
    }


def _shape(source: str, state: Mapping[str, torch.Tensor], name: str) -> tuple[int, int]:
    if name not in state or state[name].ndim != 2:
        found = f"has the shape {list(state[name].shape)}" if name in state else "is missing"
        raise WeightsError(
            f"{source}: '{name}' {found}, expected a table of two dimensions; use the checkpoint of a whole network."
        )
    rows, columns = state[name].shape
    return rows, columns
