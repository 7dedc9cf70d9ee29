"""Hand-over of weights from one phase to the next, and re-loading of a finished network.

What the next phase takes, as in the published training: encoder, both bottlenecks, decoder and BERT, as far as both
networks have them. A class token or a head is never handed over: both start anew.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping

import torch
from torch import nn

from monai_tff.errors import WeightsError
from monai_tff.networks.checkpoints import Source, describe, read_state_dict

HANDED_OVER = ("encoder", "bottleneck_in", "code_norm", "transformer.bert", "bottleneck_out", "decoder")
"""Parts of a network that the next phase takes, each whole or not at all."""

CLASS_TOKEN = "transformer.class_token"
POSITIONS = "transformer.bert.embeddings.position_embeddings.weight"
"""The table of positions: row 0 of the class token, then a row per frame of the longest window."""


@dataclasses.dataclass(frozen=True)
class HandoverReport:
    """What became of every tensor; `str` gives it with counts per part of the network.

    Attributes:
        loaded: names of the network's tensors that now hold the source's values.
        new: names of the network's tensors that keep their initial values.
        left_out: names of the source's tensors that the network did not take.
        positions: frames that the source and the network have positions for, where these differ.
    """

    loaded: tuple[str, ...]
    new: tuple[str, ...]
    left_out: tuple[str, ...]
    positions: tuple[int, int] | None = None

    def __str__(self) -> str:
        rows = (("loaded", self.loaded), ("new", self.new), ("left out", self.left_out))
        lines = [f"{title}: {_count(names)}" for title, names in rows]
        if self.positions is not None:
            found, wanted = self.positions
            how = f"repeated in turn for {wanted} frames" if wanted > found else f"of which the first {wanted} are kept"
            lines.append(f"positions: those of {found} frames, {how}")
        return "\n".join(lines)


def load_pretrained(network: nn.Module, source: Source, *, load_class_token: bool = False) -> HandoverReport:
    """Starts a phase from the weights of the phase before.

    Where the network takes longer windows than the source did, its positions are the source's over and over, see
    `fitted_positions`.

    Args:
        network: one of the TFF networks; changed in place, and only when nothing is wrong.
        source: a checkpoint file or what it holds, ours or the published code's (see `read_state_dict`).
        load_class_token: take the class token's layer too, which the published training never does.

    Returns:
        The names that were loaded, are new, and were left out.

    Raises:
        WeightsError: when nothing fits, a shape differs, a part of the network is there only in part, a value is not
            finite, or the file cannot be read.
    """
    state = read_state_dict(source)
    own = network.state_dict()
    wanted = {*HANDED_OVER, CLASS_TOKEN} if load_class_token else set(HANDED_OVER)
    shared = {part_of(name) for name in own} & {part_of(name) for name in state} & wanted
    if not shared:
        raise WeightsError(
            f"{describe(source)}: nothing to load, it holds {_count(state)} and the network takes "
            f"{', '.join(sorted({part_of(name) for name in own} & wanted))}; use a checkpoint of an earlier phase."
        )
    taken = {name: tensor for name, tensor in state.items() if part_of(name) in shared}
    expected = {name: tensor for name, tensor in own.items() if part_of(name) in shared}
    positions = _fit_positions(taken, expected)
    check_fit(taken, expected, describe(source))
    network.load_state_dict(taken, strict=False)
    return HandoverReport(
        loaded=tuple(name for name in own if name in taken),
        new=tuple(name for name in own if name not in taken),
        left_out=tuple(name for name in state if name not in taken),
        positions=positions,
    )


def _fit_positions(taken: dict[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> tuple[int, int] | None:
    """Fits the table of positions, if there is one, to the network's; the frames of both where they differ."""
    table = taken.get(POSITIONS)
    if table is None or POSITIONS not in expected or table.ndim != 2 or len(table) < 2:
        return None
    frames = (len(table) - 1, len(expected[POSITIONS]) - 1)
    if frames[0] == frames[1]:
        return None
    taken[POSITIONS] = fitted_positions(table, frames[1])
    return frames


def fitted_positions(table: torch.Tensor, max_frames: int) -> torch.Tensor:
    """A table of positions for windows of another length.

    The rows of the frames are repeated in turn, so that neighbours stay neighbours but for where a repetition begins;
    a shorter table keeps the first ones.

    Args:
        table: `[1 + frames, hidden]`, row 0 of the class token, at least one frame.
        max_frames: frames of the longest window.

    Returns:
        `[1 + max_frames, hidden]`.

    Reference:
        Beltagy, Peters, Cohan, "Longformer: The Long-Document Transformer", 2020, https://arxiv.org/abs/2004.05150,
        section 5.

    Example:
        >>> fitted_positions(torch.tensor([[9.0], [1.0], [2.0]]), 5).flatten().tolist()
        [9.0, 1.0, 2.0, 1.0, 2.0, 1.0]
    """
    rows = torch.arange(max_frames) % (len(table) - 1) + 1
    return torch.cat((table[:1], table[rows.to(table.device)]))


def load_finished(network: nn.Module, source: Source) -> HandoverReport:
    """Re-loads a finished network: every tensor, class token and head included.

    Args:
        network: one of the TFF networks, built as the saved one was; changed in place.
        source: a checkpoint file or what it holds, ours or the published code's (see `read_state_dict`).

    Returns:
        A report in which everything is loaded.

    Raises:
        WeightsError: when a tensor is missing, there is one too many, a shape differs, a value is not finite, or the
            file cannot be read.
    """
    state = read_state_dict(source)
    check_fit(state, network.state_dict(), describe(source))
    network.load_state_dict(state)
    return HandoverReport(loaded=tuple(state), new=(), left_out=())


def part_of(name: str) -> str:
    """Part of the network that a tensor belongs to: `encoder`, `transformer.bert`, `head` and so on."""
    words = name.split(".")
    return ".".join(words[:2]) if words[0] == "transformer" else words[0]


def check_fit(state: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], source: str) -> None:
    """Compares weights with the tensors of a network, whose values do not count.

    Args:
        state: name -> tensor, under our names.
        expected: the network's state dict.
        source: of the weights, for the message.

    Raises:
        WeightsError: when a tensor is missing, there is one too many, a shape differs, or a value is not finite.
    """
    way_out = "it belongs to a network of another kind, spatial_size or hidden_size; build the network as it was saved."
    for name in expected:
        if name not in state:
            raise WeightsError(f"{source}: '{name}' is missing, expected all of {part_of(name)}; {way_out}")
    for name, tensor in state.items():
        if name not in expected:
            raise WeightsError(
                f"{source}: found '{name}', which the network's {part_of(name)} does not have; {way_out}"
            )
        if tensor.shape != expected[name].shape:
            raise WeightsError(
                f"{source}: '{name}' has the shape {list(tensor.shape)}, expected {list(expected[name].shape)}; "
                f"{way_out}"
            )
        if not torch.isfinite(tensor).all():
            raise WeightsError(
                f"{source}: '{name}' holds NaN or infinite values, expected finite ones; "
                "use a checkpoint from before the training diverged."
            )


def _count(names: Iterable[str]) -> str:
    parts = Counter(part_of(name) for name in names)
    if not parts:
        return "nothing"
    shown = ", ".join(f"{part} {count}" for part, count in parts.items())
    return f"{parts.total()} tensors ({shown})"
