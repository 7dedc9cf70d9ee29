"""Checks that maps must pass: they depend on what the network has learnt, and add up to its output.

Reference: Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim, "Sanity Checks for Saliency Maps", 2018,
https://arxiv.org/abs/1810.03292
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from monai_tff.explain.gradients import NEGLIGIBLE, Output
from monai_tff.explain.outputs import output_of
from monai_tff.explain.subject import Example

LIMIT = 0.5
"""Maps of the network and of one that has not learnt the labels may not agree more than this (rank correlation)."""

TOLERANCE = 0.05
"""Share of the output's change by which the sum of a window's attributions may miss it."""

Attribute = Callable[[Output, torch.Tensor, torch.Tensor], torch.Tensor]
"""From the output, a window and its baseline, both `[2, H, W, D, T]`, to attributions `[2, H, W, D]`."""


@dataclasses.dataclass(frozen=True)
class Check:
    """What a check found.

    Attributes:
        name: of the check.
        passed: None where it was not made.
        numbers: what was found, and what it was compared with.
        text: one sentence, for a person.
    """

    name: str
    passed: bool | None
    numbers: dict[str, float | int | str]
    text: str


def compare_networks(
    attribute: Attribute, trained: Any, others: Mapping[str, tuple[Any, str]], examples: Sequence[Example]
) -> list[Check]:
    """Compares maps of the trained network with those of networks that have not learnt the labels.

    Args:
        attribute: the method that makes the maps.
        trained: the network.
        others: by name of the check the same network with other weights, and what it is in words.
        examples: windows.

    Returns:
        Checks that fail where the two mean absolute maps agree: Spearman's rank correlation over the voxels of the
        mask is 0.5 or more. A map without any contrast, of a network that looks at nothing, agrees with none.
    """
    mask = np.mean([example.mask.numpy() for example in examples], axis=0) >= 0.5
    own = mean_absolute(attribute, trained, examples)[mask]
    checks = []
    for name, (network, words) in others.items():
        other = mean_absolute(attribute, network, examples)[mask]
        flat = np.ptp(own) == 0 or np.ptp(other) == 0
        correlation = 0.0 if flat else float(spearmanr(own, other).statistic)
        passed = correlation < LIMIT
        complaint = f", expected below {LIMIT:g}: the maps say more of the scans than of what was learnt"
        text = f"maps of the network and of {words} have a rank correlation of {correlation:.2f}"
        numbers: dict[str, float | int | str] = {"rank_correlation": correlation, "limit": LIMIT}
        checks.append(Check(name, passed, {**numbers, "windows": len(examples)}, text + complaint * (not passed) + "."))
    return checks


def mean_absolute(attribute: Attribute, network: Any, examples: Sequence[Example]) -> NDArray[np.float64]:
    """Mean over windows of the absolute map, both channels added up, `[H, W, D]`."""
    maps = [
        attribute(output_of(network, example.column), example.window, example.baseline).sum(dim=0).abs().cpu().numpy()
        for example in examples
    ]
    return np.mean(maps, axis=0, dtype=np.float64)


def measured_completeness(
    attribute: Attribute, network: Any, examples: Sequence[Example]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By how much attributions of windows miss the change of the output, and the changes, `[W]` each."""
    errors, changes = [], []
    for example in examples:
        output = output_of(network, example.column)
        after, before = example.ends(output)
        total = float(attribute(output, example.window, example.baseline).sum(dtype=torch.float64))
        errors.append(total - (after - before))
        changes.append(after - before)
    return np.array(errors), np.array(changes)


def check_completeness(errors: NDArray[np.float64], changes: NDArray[np.float64]) -> Check:
    """Checks that the attributions of every window add up to the change of the output (Sundararajan et al. 2017).

    Args:
        errors: sum of the attributions less the change, one per window.
        changes: output of the window less that of its baseline; a change below a tenth counts as a tenth.

    Returns:
        A check that fails where one window misses by more than 5 % of its change.
    """
    relative = np.abs(errors) / np.maximum(np.abs(changes), NEGLIGIBLE)
    largest, median = float(relative.max()), float(np.median(relative))
    missed = int((relative > TOLERANCE).sum())
    passed = math.isfinite(largest) and missed == 0
    text = (
        f"the attributions of a window add up to the change of the output within {largest:.1%} (median {median:.1%})"
        + ("" if passed else f", expected {TOLERANCE:.0%}: {missed} of {len(errors)} windows miss it; use more steps")
        + "."
    )
    numbers: dict[str, float | int | str] = {
        "largest_relative_error": largest,
        "median_relative_error": median,
        "tolerance": TOLERANCE,
        "windows": len(errors),
        "windows_that_miss_it": missed,
    }
    return Check("completeness", passed, numbers, text)


def not_made(name: str, why: str) -> Check:
    """A check that was not made, and why."""
    return Check(name, None, {}, f"not made: {why}.")
