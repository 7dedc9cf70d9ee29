from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_tff.baselines.connectivity import FRAMES_AT_ONCE, ConnectivityFeatures, Parcels
from monai_tff.data.scan import CompactScan

GRID = (6, 4, 3)
VOXELS = np.flatnonzero(np.arange(72) % 12 < 10)


def training_frames(seed: int = 0) -> np.ndarray:
    """Two halves along the first axis, each with a time course of its own."""
    generator = np.random.default_rng(seed)
    halves = generator.normal(size=(90, 2))[:, (VOXELS >= 36).astype(int)]
    return (halves + 0.3 * generator.normal(size=halves.shape)).astype(np.float32)


def scan_of(seed: int, frames: int = FRAMES_AT_ONCE + 9) -> CompactScan:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(100, 900, (frames, *GRID), generator=generator, dtype=torch.int16)
    return CompactScan.from_frames(values, torch.rand(GRID, generator=generator) < 0.9)


def test_parcels_are_the_halves():
    labels = Parcels(VOXELS, GRID, 2).fit(training_frames()).labels
    outside = np.setdiff1d(np.arange(72), VOXELS)
    assert (labels[outside] == -1).all()
    first, second = labels[VOXELS[VOXELS < 36]], labels[VOXELS[VOXELS >= 36]]
    assert len(set(first)) == len(set(second)) == 1
    assert first[0] != second[0]


def test_voxels_of_a_parcel_touch():
    """Both ends share a time course that the middle does not have: they stay two parcels."""
    generator = np.random.default_rng(1)
    ends = (np.arange(72) // 12 % 5 == 0).astype(int)
    frames = generator.normal(size=(60, 2))[:, ends] + 0.1 * generator.normal(size=(60, 72))
    labels = Parcels(np.arange(72), GRID, 3).fit(frames.astype(np.float32)).labels
    assert len({labels[0], labels[40], labels[71]}) == 3


def test_time_courses_are_means_of_channel_1():
    parcels = Parcels(VOXELS, GRID, 4).fit(training_frames())
    scan = scan_of(2)
    channel = scan.unpack()[1].reshape(72, -1).numpy()
    found = parcels.time_courses(scan)
    assert found.shape == (FRAMES_AT_ONCE + 9, 4)
    for index in range(4):
        inside = (parcels.labels == index) & scan.mask.flatten().numpy()
        course = channel[inside].mean(axis=0)
        assert found[:, index] == pytest.approx((course - course.mean()) / course.std(), abs=1e-4)


def test_a_parcel_that_a_scan_lacks_is_flat_and_not_an_error():
    parcels = Parcels(VOXELS, GRID, 2).fit(training_frames())
    mask = torch.zeros(GRID, dtype=torch.bool)
    mask[3:] = True
    half = CompactScan.from_frames(torch.randint(1, 90, (20, *GRID), dtype=torch.int16), mask)
    courses = parcels.time_courses(half)
    assert sorted(courses.std(axis=0).round(3)) == [0, 1]
    features = ConnectivityFeatures(parcels)
    features.fit([parcels.time_courses(scan_of(seed)) for seed in range(5)])
    assert np.isfinite(features.of_scan(half)).all()


def test_a_scan_is_transformed_as_in_training_and_without_others():
    parcels = Parcels(VOXELS, GRID, 4).fit(training_frames())
    scans = [scan_of(seed) for seed in range(8)]
    features = ConnectivityFeatures(parcels)
    found = features.fit([parcels.time_courses(scan) for scan in scans])
    assert found.shape == (8, 10)
    assert found.mean(axis=0) == pytest.approx(np.zeros(10), abs=1e-9)
    assert (found**2).sum(axis=1).mean() == pytest.approx(1)
    for row, scan in zip(found, scans, strict=True):
        assert features.of_scan(scan) == pytest.approx(row, abs=1e-9)
