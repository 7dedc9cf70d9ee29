from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_tff.baselines.mean_image import MeanImageFeatures
from monai_tff.data.scan import CompactScan

GRID = (4, 5, 3)
VOXELS = np.arange(2, 50)


def images(seed: int, number: int = 70) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(number, len(VOXELS))).astype(np.float32)


def test_scaled_voxels_in_components_that_lose_nothing():
    features = MeanImageFeatures(VOXELS, seed=0)
    table = images(0)
    found = features.fit(table.copy())
    scaled = (table - table.mean(axis=0)) / table.std(axis=0)
    assert found.shape == (70, 48)
    # components turn the rows, and leave their products alone
    assert found @ found.T == pytest.approx(scaled @ scaled.T / 48, abs=1e-4)
    assert features.facts()["components"] == 48


def test_what_a_scan_lacks_is_the_training_mean():
    table = images(1)
    table[5, 7] = np.nan
    features = MeanImageFeatures(VOXELS, seed=0)
    found = features.fit(table.copy())
    assert features.scaler.mean_[7] == pytest.approx(np.nanmean(table[:, 7]), abs=1e-6)
    filled = table.copy()
    filled[5, 7] = features.scaler.mean_[7]
    scaled = (filled - features.scaler.mean_) / features.scaler.scale_
    assert found @ found.T == pytest.approx(scaled @ scaled.T / 48, abs=1e-4)


def test_a_scan_is_transformed_as_a_row_of_training_was():
    frames = torch.randint(100, 900, (6, *GRID), generator=torch.Generator().manual_seed(2), dtype=torch.int16)
    mask = torch.ones(GRID, dtype=torch.bool)
    mask[0, 1, 1] = False
    scan = CompactScan.from_frames(frames, mask)
    whole = np.full(60, np.nan)
    whole[mask.flatten().numpy()] = scan.unpack()[0].mean(dim=-1)[mask].numpy()
    table = images(3)
    table[4] = whole[VOXELS]
    features = MeanImageFeatures(VOXELS, seed=0)
    found = features.fit(table.copy())
    assert features.of_scan(scan) == pytest.approx(found[4], abs=1e-4)
