from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_tff.baselines import volumes
from monai_tff.baselines.volumes import TrainingVolumes, mean_image
from monai_tff.data.scan import CompactScan

GRID = (4, 5, 3)


def scan_of(seed: int, gain: int = 1, frames: int = 7) -> CompactScan:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(100, 900, (frames, *GRID), generator=generator) * gain
    mask = torch.rand(GRID, generator=generator) < 0.8
    return CompactScan.from_frames(values.to(torch.int32), mask)


def test_the_mean_image_is_the_mean_of_channel_0():
    scan = scan_of(0)
    expected = scan.unpack()[0].mean(dim=-1)[scan.mask]
    assert mean_image(scan) == pytest.approx(expected.numpy(), abs=1e-5)


def test_the_gain_of_a_scanner_is_gone():
    assert mean_image(scan_of(1, gain=3)) == pytest.approx(mean_image(scan_of(1)), abs=1e-5)


def test_a_voxel_without_signal_says_nothing():
    frames = torch.randint(1, 90, (6, *GRID), dtype=torch.int16)
    frames[:, 1, 2, 0] = 0
    found = mean_image(CompactScan.from_frames(frames, torch.ones(GRID, dtype=torch.bool)))
    assert np.flatnonzero(np.isnan(found)).tolist() == [np.ravel_multi_index((1, 2, 0), GRID)]


def collected(order: list[int], total: int = 1000) -> tuple[TrainingVolumes, list[CompactScan]]:
    records = [{"scan": f"{index}.nii"} for index in range(5)]
    scans = [scan_of(index) for index in range(5)]
    found = TrainingVolumes(records, GRID, 3, with_means=True, with_frames=True)
    for index in order:
        found.add(records[index], scans[index])
    return found, scans


def test_voxels_of_half_of_the_scans_are_shared():
    found, scans = collected([0, 1, 2, 3, 4])
    counts = torch.stack([scan.mask.flatten() for scan in scans]).sum(dim=0).numpy()
    assert 0 < (counts < 3).sum() < len(counts)
    shared = found.shared_voxels()
    assert shared.tolist() == np.flatnonzero(counts >= 2.5).tolist()
    means = found.take_means(shared)
    assert means.dtype == np.float32
    for row, scan in zip(means, scans, strict=True):
        whole = np.full(len(counts), np.nan)
        whole[scan.mask.flatten().numpy()] = mean_image(scan)
        np.testing.assert_array_equal(row, whole[shared].astype(np.float32))


def test_frames_are_those_of_channel_1_whatever_the_order(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(volumes, "MOST_FRAMES", 11)
    first, scans = collected([0, 1, 2, 3, 4])
    shared = first.shared_voxels()
    frames = first.take_frames(shared)
    assert frames.shape == (10, len(shared))
    other = collected([3, 0, 4, 2, 1])[0].take_frames(shared)
    np.testing.assert_array_equal(other[:2], frames[6:8])
    everything = np.concatenate([scan.unpack()[1].permute(3, 0, 1, 2).flatten(1).numpy() for scan in scans])
    outside = np.concatenate([np.tile(~scan.mask.flatten().numpy(), (7, 1)) for scan in scans])
    candidates = np.where(outside, np.nan, everything)[:, shared]
    rows = [np.flatnonzero([np.array_equal(row, other, equal_nan=True) for other in candidates]) for row in frames]
    assert [len(found) for found in rows] == [1] * 10
    assert [int(found[0]) // 7 for found in rows] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_frames_are_bounded_however_many_scans(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(volumes, "MOST_FRAMES", 3)
    assert len(collected([0, 1, 2, 3, 4])[0].take_frames(np.arange(4))) == 3
    monkeypatch.setattr(volumes, "FRAME_ELEMENTS", 60 * 2)
    assert len(collected([0, 1, 2, 3, 4])[0].take_frames(np.arange(4))) == 2
