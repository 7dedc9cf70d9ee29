"""The brain that every simulated subject shares: grid, mask, mean intensity, networks and smooth patterns."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
from nilearn.datasets import load_mni152_brain_mask
from numpy.typing import NDArray

from monai_tff.data.simulation.networks import NETWORKS, PARCEL_THRESHOLD, SPREAD

BRAIN_INTENSITY = 8000.0
MARGIN = 4.0
BOX_START = (-77.0, -111.0, -77.0)
BOX_EXTENT = (154.0, 190.0, 164.0)
PATTERN_ORDER = 4
INTENSITY_VARIATION = 0.12
INTENSITY_SEED = 2021


@dataclasses.dataclass(frozen=True)
class BrainTemplate:
    """What is the same in every subject of a cohort; V voxels lie in the mask, K networks in `NETWORKS`.

    Attributes:
        affine: voxel indices -> mm in MNI space, RAS, float64 [4, 4].
        mask: the brain, bool [X, Y, Z].
        mean: mean intensity of each voxel, float64 [V].
        weights: how strongly a network's time course shows in each voxel, from 0 to 1, float64 [K, V].
        parcels: the voxels whose mean is the network's regional mean, disjoint, bool [K, V].
        patterns: smooth spatial patterns, float64 [P, V]; with standard normal coefficients they add up to a field
            whose variance, averaged over the brain, is 1. They are functions of the place in mm: the same
            coefficients give the same field at another voxel size, but for a factor near 1.
    """

    affine: NDArray[np.float64]
    mask: NDArray[np.bool_]
    mean: NDArray[np.float64]
    weights: NDArray[np.float64]
    parcels: NDArray[np.bool_]
    patterns: NDArray[np.float64]


@functools.lru_cache(maxsize=4)
def brain_template(voxel_size: float) -> BrainTemplate:
    """Builds the template from nilearn's bundled MNI152 brain mask.

    The grid is the smallest one that holds the brain and a margin of 4 mm, with the brain in its middle. A voxel is
    in the mask where at least half of it is brain.

    Args:
        voxel_size: edge of a voxel, mm, 2 or more.

    Returns:
        The template; do not write into its arrays, they are shared.
    """
    fraction, affine = _brain_fraction(voxel_size)
    mask = fraction >= 0.5
    places = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    patterns = _smooth_patterns(places)
    variation = np.random.default_rng(INTENSITY_SEED).standard_normal(len(patterns)) @ patterns
    variation = np.clip((variation - variation.mean()) / variation.std(), -2.5, 2.5)
    weights = network_weights(places)
    strongest = weights == weights.max(axis=0)
    return BrainTemplate(
        affine=affine,
        mask=mask,
        mean=BRAIN_INTENSITY * fraction[mask] * (1 + INTENSITY_VARIATION * variation),
        weights=weights,
        parcels=strongest & (weights > PARCEL_THRESHOLD),
        patterns=patterns,
    )


def network_weights(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of every network at some places: a Gaussian around the nearest of its centres.

    Args:
        places: mm in MNI space, [V, 3].

    Returns:
        Weights from 0 to 1 in the order of `NETWORKS`, [K, V].
    """
    weights = []
    for centres in NETWORKS.values():
        squared = ((places[None] - np.array(centres)[:, None]) ** 2).sum(axis=-1)
        weights.append(np.exp(-squared.min(axis=0) / (2 * SPREAD**2)))
    return np.stack(weights)


def _brain_fraction(voxel_size: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of each voxel that is brain [X, Y, Z], and the affine.

    The 1 mm points of the brain are counted in the voxel that holds them: unlike an interpolation between a few
    points, this sees all of a voxel that is many times larger than a point.
    """
    image = load_mni152_brain_mask()
    points = np.argwhere(np.asarray(image.dataobj) > 0) @ image.affine[:3, :3].T + image.affine[:3, 3]
    low, high = points.min(axis=0) - 0.5 - MARGIN, points.max(axis=0) + 0.5 + MARGIN
    shape = [math.ceil(length / voxel_size) for length in high - low]
    corner = (low + high) / 2 - voxel_size * np.array(shape) / 2
    inside = np.floor((points - corner) / voxel_size).astype(np.intp)
    brain = np.bincount(np.ravel_multi_index(tuple(inside.T), shape), minlength=math.prod(shape)).reshape(shape)
    lengths = []
    for axis, length in enumerate(shape):
        line = np.arange(math.ceil(corner[axis]), corner[axis] + length * voxel_size)
        lengths.append(np.bincount(np.floor((line - corner[axis]) / voxel_size).astype(np.intp), minlength=length))
    total = np.einsum("x,y,z->xyz", *(counts[:length] for counts, length in zip(lengths, shape, strict=True)))
    affine = np.diag([voxel_size, voxel_size, voxel_size, 1.0])
    affine[:3, 3] = corner + voxel_size / 2
    return brain / total, affine


def _smooth_patterns(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Products of cosines along the three axes [P, V], without the constant; the finer, the weaker."""
    relative = (places - BOX_START) / BOX_EXTENT
    cosines = np.cos(np.pi * np.arange(PATTERN_ORDER)[:, None, None] * relative.T)
    patterns = np.einsum("iv,jv,kv->ijkv", cosines[:, 0], cosines[:, 1], cosines[:, 2])
    orders = np.indices((PATTERN_ORDER,) * 3)
    patterns = patterns / (1 + (orders**2).sum(axis=0))[..., None]
    flat = patterns.reshape(PATTERN_ORDER**3, -1)[1:]
    return flat / np.sqrt((flat**2).sum(axis=0).mean())
