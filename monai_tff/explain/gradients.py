"""Integrated gradients of one window, with steps where the network's output changes.

Reference: Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", 2017, https://arxiv.org/abs/1703.01365
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from captum.attr import IntegratedGradients

FRAMES_AT_ONCE = 80
"""Frames that pass the network together: memory grows with them, and more of them are hardly faster."""

CUT_AT_ONCE = 4
"""Parts of the path that are divided before it is looked at again."""

FIRST_PARTS = 8

ENOUGH = 0.03
"""Parts are cut until their sum is off by no more than this share of the output's change."""

NEGLIGIBLE = 0.1
"""A tenth of a logit, or of a standard deviation: to miss a smaller change of the output by a part of it is nothing."""

Output = Callable[[torch.Tensor], torch.Tensor]
"""From windows `[B, 2, H, W, D, T]` to the number that is explained, `[B]`."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Part:
    """A part of the path: its ends from 0 to 1, the outputs there, and the attributions `[2, H, W, D]` along it."""

    start: float
    stop: float
    first: float
    last: float
    values: torch.Tensor = dataclasses.field(default_factory=lambda: torch.zeros(()))

    @property
    def error(self) -> float:
        """By how much the attributions miss the change of the output."""
        return float(self.values.sum(dtype=torch.float64)) - (self.last - self.first)


def integrated_gradients(output: Output, window: torch.Tensor, baseline: torch.Tensor, steps: int = 64) -> torch.Tensor:
    """Attributes the change of the output between baseline and window to every voxel of both channels.

    The path is a straight line, and the attributions of its parts add up. A network that has learnt two classes well
    goes from one to the other within a small part of it, over which equal steps would jump. So the path is divided,
    with passes that need no gradient, such that no part holds much of the output's change; each part has a gradient
    in its middle; and the parts whose attributions miss the change by most are cut in three, of which the middle
    third has its gradient already.

    Args:
        output: what is explained.
        window: float32 `[2, H, W, D, T]`.
        baseline: likewise.
        steps: gradients that may be computed, at least 16; half of them before parts are cut again.

    Returns:
        float32 `[2, H, W, D]`, summed over frames, in units of the output.
    """
    path = _Path(output, window, baseline)
    parts = path.parts(*divided_path(path.outputs_at, steps // 2))
    used = len(parts)
    allowed = ENOUGH * max(abs(parts[-1].last - parts[0].first), NEGLIGIBLE)
    while used + 2 <= steps:
        worst = sorted(parts, key=lambda part: -abs(part.error))[: min(CUT_AT_ONCE // 2, (steps - used) // 2)]
        if abs(worst[0].error) <= allowed and abs(sum(part.error for part in parts)) <= allowed:
            break
        parts = [part for part in parts if part not in worst] + path.cut(worst)
        used += 2 * len(worst)
    return torch.stack([part.values for part in sorted(parts, key=lambda part: part.start)]).sum(dim=0)


def windows_at_once(frames: int) -> int:
    """Windows of some frames that pass the network together."""
    return max(1, FRAMES_AT_ONCE // frames)


def divided_path(outputs_at: Callable[[Sequence[float]], list[float]], steps: int) -> tuple[list[float], list[float]]:
    """Divides the path from 0 to 1 so that no part holds much of the output's change.

    Args:
        outputs_at: the outputs at some places of the path.
        steps: number of parts; at least 8.

    Returns:
        The ends of the parts, `steps + 1` of them in their order, and the outputs there.
    """
    places = [part / FIRST_PARTS for part in range(FIRST_PARTS + 1)]
    outputs = outputs_at(places)
    while len(places) <= steps:
        changes = [abs(after - before) for before, after in pairwise(outputs)]
        number = min(CUT_AT_ONCE, steps + 1 - len(places))
        largest = sorted(range(len(changes)), key=lambda part: -changes[part])[:number]
        middles = [(places[part] + places[part + 1]) / 2 for part in largest]
        known = dict(zip([*places, *middles], [*outputs, *outputs_at(middles)], strict=True))
        places = sorted(known)
        outputs = [known[place] for place in places]
    return places, outputs


class _Path:
    """The straight line from a baseline to a window."""

    def __init__(self, output: Output, window: torch.Tensor, baseline: torch.Tensor) -> None:
        self.output, self.window, self.baseline = output, window, baseline
        self.captum = IntegratedGradients(output)
        self.at_once = windows_at_once(window.shape[-1])

    def at(self, places: Sequence[float]) -> torch.Tensor:
        return torch.stack([torch.lerp(self.baseline, self.window, place) for place in places])

    def outputs_at(self, places: Sequence[float]) -> list[float]:
        groups = [places[first : first + self.at_once] for first in range(0, len(places), self.at_once)]
        with torch.no_grad():
            return [float(value) for group in groups for value in self.output(self.at(group))]

    def parts(self, places: Sequence[float], outputs: Sequence[float]) -> list[_Part]:
        """Parts that lie side by side: the ends of all of them, one more than parts, and the outputs there."""
        ends = [_Part(*part) for part in zip(places[:-1], places[1:], outputs[:-1], outputs[1:], strict=True)]
        return self._attributed(ends)

    def cut(self, parts: Sequence[_Part]) -> list[_Part]:
        """Cuts parts in three."""
        thirds = [(part.stop - part.start) / 3 for part in parts]
        inner = [[part.start + third, part.stop - third] for part, third in zip(parts, thirds, strict=True)]
        outputs = self.outputs_at([place for pair in inner for place in pair])
        outer, middle = [], []
        for number, (part, (left, right)) in enumerate(zip(parts, inner, strict=True)):
            at_left, at_right = outputs[2 * number : 2 * number + 2]
            outer += [_Part(part.start, left, part.first, at_left), _Part(right, part.stop, at_right, part.last)]
            middle.append(_Part(left, right, at_left, at_right, part.values / 3))
        return [*self._attributed(outer), *middle]

    def _attributed(self, parts: Sequence[_Part]) -> list[_Part]:
        found = []
        for first in range(0, len(parts), self.at_once):
            some = parts[first : first + self.at_once]
            starts, stops = self.at([part.start for part in some]), self.at([part.stop for part in some])
            # one node of Gauss and Legendre is the middle of a part
            values = (
                self.captum.attribute(stops, starts, n_steps=1, internal_batch_size=self.at_once).detach().sum(dim=-1)
            )
            found += [dataclasses.replace(part, values=map_) for part, map_ in zip(some, values, strict=True)]
        return found
