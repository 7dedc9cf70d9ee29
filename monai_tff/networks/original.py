"""Names of the published TFF code beside ours: the one place that knows both.

The published checkpoints (https://github.com/GonyRosenman/TFF) name modules by their position; ours by what they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from monai_tff.networks.blocks import BLOCKS_PER_STAGE, CHANNELS

Value = TypeVar("Value")

UNUSED_NAMES = frozenset({"transformer.bert.embeddings.position_ids"})
"""A buffer of row numbers that older versions of transformers saved; it holds nothing learned."""


def _residual_block(original: str, ours: str) -> dict[str, str]:
    inside = {"group_norm0": "norm1", "conv0": "conv1", "group_norm1": "norm2", "conv2": "conv2"}
    return {original: ours} | {f"{original}.block.{theirs}": f"{ours}.{name}" for theirs, name in inside.items()}


def _encoder() -> dict[str, str]:
    names = {"encoder": "encoder", "encoder.down_block1.conv0": "encoder.stem"}
    last = len(BLOCKS_PER_STAGE) - 1
    for stage, num_blocks in enumerate(BLOCKS_PER_STAGE):
        original = "encoder.final_block" if stage == last else f"encoder.down_block{stage + 1}"
        ours = f"encoder.stages.{stage}"
        names[original] = ours
        if stage < last:
            names[f"{original}.downsize_{stage}"] = f"{ours}.down"
        for block in range(num_blocks):
            number = f"{stage}{block}" if stage else "0"
            names |= _residual_block(f"{original}.green{number}", f"{ours}.blocks.{block}")
    return names


def _decoder() -> dict[str, str]:
    original, names = "decoder.decode_block", {"decoder": "decoder"}
    for stage in range(len(CHANNELS) - 1):
        names[f"{original}.upgreen{stage}"] = f"decoder.stages.{stage}"
        names[f"{original}.upgreen{stage}.conv"] = f"decoder.stages.{stage}.conv"
        names |= _residual_block(f"{original}.upgreen{stage}.green", f"decoder.stages.{stage}.block")
    return names | {f"{original}.blue_block": "decoder.conv", f"{original}.output_block": "decoder.output"}


MODULE_NAMES: dict[str, str] = {
    **_encoder(),
    "into_bert": "bottleneck_in",
    "into_bert.reduce_dimension.group_normR": "bottleneck_in.norm",
    "into_bert.reduce_dimension.convR0": "bottleneck_in.conv",
    "into_bert.into_bert": "bottleneck_in.linear",
    "transformer.cls_embedding.0": "transformer.class_token",
    "from_bert": "bottleneck_out",
    "from_bert.out_of_bert": "bottleneck_out.linear",
    "from_bert.expand_dimension.group_normR": "bottleneck_out.norm",
    "from_bert.expand_dimension.convR0": "bottleneck_out.conv",
    **_decoder(),
    "regression_head.0": "head",
}
"""Path of every module of the published networks -> path of the module of ours that computes the same."""

_ORIGINAL_NAMES = {ours: original for original, ours in MODULE_NAMES.items()}


def _translate(name: str, table: Mapping[str, str]) -> str:
    module, _, leaf = name.rpartition(".")
    return f"{table[module]}.{leaf}" if module in table else name


def our_name(original: str) -> str:
    """Name of a parameter of the published networks -> ours; a name that is not known stays as it is."""
    return _translate(original, MODULE_NAMES)


def original_name(ours: str) -> str:
    """Name of a parameter of our networks -> the published one; a name that is not known stays as it is."""
    return _translate(ours, _ORIGINAL_NAMES)


def is_original(names: Iterable[str]) -> bool:
    """Whether the names are a published network's: its encoder has other names than ours."""
    return any(name.startswith("encoder.down_block1.") for name in names)


def from_original(state: Mapping[str, Value]) -> dict[str, Value]:
    """Gives the entries of a published state dict our names, and drops what holds nothing learned.

    Args:
        state: name -> tensor, as the published code saves it.

    Returns:
        The same tensors under our names.

    Example:
        >>> from_original({"into_bert.reduce_dimension.convR0.bias": 0})
        {'bottleneck_in.conv.bias': 0}
    """
    return {our_name(name): value for name, value in state.items() if name not in UNUSED_NAMES}
