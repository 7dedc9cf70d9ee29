"""Which unit's value each unit gets in a permutation: whole groups trade places with groups of the same make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def exchanged_rows(
    groups: Sequence[str] | NDArray, strata: Sequence[object] | NDArray | None, samples: int, seed: int
) -> NDArray[np.intp]:
    """Draws permutations of units that leave groups whole, as `monai_tff.metrics.permutation` permutes labels.

    A group trades places only with groups that have as many units in the same strata.

    Args:
        groups: of each unit, [units].
        strata: of each unit, None for one stratum.
        samples: permutations to draw.
        seed: of the draw.

    Returns:
        For each permutation the row whose value a unit gets, [samples, units]. It depends on the rows' order; sort
        them first.

    Reference:
        Winkler, Webster, Vidaurre, Nichols, Smith 2015, "Multi-level block permutation".
    """
    names = np.asarray(groups, dtype=str)
    labels = np.asarray([""] * len(names) if strata is None else [str(label) for label in strata])
    alike: dict[tuple[str, ...], list[NDArray[np.intp]]] = defaultdict(list)
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        rows = rows[np.argsort(labels[rows], kind="stable")]
        alike[tuple(labels[rows])].append(rows)
    generator = np.random.default_rng(seed)
    result = np.tile(np.arange(len(names)), (samples, 1))
    for make in sorted(alike):
        positions = np.stack(alike[make])
        order = np.tile(np.arange(len(positions)), (samples, 1))
        sources = positions[generator.permuted(order, axis=1)]
        result[:, positions.ravel()] = sources.reshape(samples, -1)
    return result
