"""On a simulated cohort the truth is known: whether a map points at the region in which the effect was planted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_tff.data.simulation.networks import COUPLED_PAIRS, NETWORKS, PARCEL_THRESHOLD
from monai_tff.data.simulation.template import network_weights
from monai_tff.explain.checks import Check
from monai_tff.explain.regions import strongest

LEAST_SHARE = 0.5
"""Of the strongest 5 % of voxels that must lie in the planted region."""


def planted_networks(dataset_dir: Path, target: str) -> list[str] | None:
    """The networks in which a target's effects were planted.

    Args:
        dataset_dir: the cohort's folder.
        target: what is predicted.

    Returns:
        Names of `NETWORKS`, empty where nothing was planted; None for a cohort that is not simulated.
    """
    path = dataset_dir / "simulation.json"
    if not path.is_file():
        return None
    names: set[str] = set()
    for effect in json.loads(path.read_text(encoding="utf-8"))["planted"]:
        if effect["target"] == target and effect["cohens_d"]:
            pairs = [pair for pair in COUPLED_PAIRS if effect["network"] in pair]
            names.update(*(pairs if effect["kind"] == "network_coupling" else [[effect["network"]]]))
    return [name for name in NETWORKS if name in names]


def planted_region(networks: list[str], mask: NDArray[np.bool_], affine: NDArray) -> NDArray[np.bool_]:
    """The voxels of some networks on the grid of the maps, as the simulation draws them, bool `[H, W, D]`."""
    places = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    weights = network_weights(places)
    strong = (weights == weights.max(axis=0)) & (weights > PARCEL_THRESHOLD)
    region = np.zeros(mask.shape, dtype=bool)
    region[mask] = strong[[list(NETWORKS).index(name) for name in networks]].any(axis=0)
    return region


def check_planted(networks: list[str], absolute: NDArray, mask: NDArray[np.bool_], affine: NDArray) -> Check:
    """Checks that the strongest 5 % of voxels lie in the planted region.

    Args:
        networks: in which the effect was planted.
        absolute: mean absolute map, `[H, W, D]`.
        mask: bool `[H, W, D]`.
        affine: voxel indices to mm.

    Returns:
        A check that fails unless more than half of them do, and the strongest voxel of all.
    """
    region = planted_region(networks, mask, affine)
    top = strongest(absolute, mask)
    share, chance = float(region[top].mean()), float(region[mask].mean())
    peak = bool(region.flat[np.argmax(np.where(mask, absolute, -np.inf))])
    order = absolute[mask].argsort().argsort() / max(int(mask.sum()) - 1, 1)
    numbers: dict[str, Any] = {
        "networks": ", ".join(networks),
        "share_of_strongest": share,
        "share_expected_by_chance": chance,
        "enrichment": share / chance if chance else 0.0,
        "mean_rank_of_region": float(order[region[mask]].mean()) if chance else 0.0,
        "strongest_voxel_inside": int(peak),
        "limit": LEAST_SHARE,
    }
    passed = share > LEAST_SHARE and peak
    text = (
        f"{share:.0%} of the strongest 5 % of voxels lie in the planted region ({', '.join(networks)}), "
        f"{chance:.0%} would by chance{'' if passed else f', expected more than {LEAST_SHARE:.0%}, the strongest too'}."
    )
    return Check("planted_region", passed, numbers, text)
