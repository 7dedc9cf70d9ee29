"""The published preprocessing, number by number, from the transforms and from a compact scan.

NaN in the published files is 0 here: the background, and voxels without variance, of channel 1.
"""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch

from monai_tff.data.scan import CompactScan
from monai_tff.errors import ScanError
from monai_tff.transforms.intensity import GlobalNormalise, TwoChannelStack, VoxelNormalise
from monai_tff.transforms.spatial import RoiCrop
from monai_tff.transforms.statistics import global_statistics
from monai_tff.transforms.temporal import TrimFrames, published_window_count

SHAPE = (25, 27, 18, 22)
GLOBAL_TOLERANCE, VOXEL_TOLERANCE = 5e-7, 6e-6


@pytest.fixture(params=["int16", "float32"])
def kind(request):
    return request.param


@pytest.fixture
def prepared(kind, recipe, expected) -> torch.Tensor:
    """Cropped and trimmed frames [T, H, W, D], in the dtype of the source."""
    scan = {"int16": recipe.scan_int16, "float32": recipe.scan_float32}[kind](SHAPE)
    assert zlib.crc32(scan.astype("<f4").tobytes()) == expected["preprocessing"][kind]["scan_crc32_of_float32_bytes"]
    frames = TrimFrames(10)(torch.from_numpy(scan).movedim(-1, 0))
    return RoiCrop([[8, -8], [8, -8], [0, -10]])(frames).as_tensor()


@pytest.fixture
def published(kind, reference) -> tuple[torch.Tensor, torch.Tensor]:
    """The published channels [H, W, D, T], NaN as 0."""
    channels = [np.nan_to_num(reference[f"prep/{kind}/{name}"], nan=0.0) for name in ("global", "per_voxel")]
    return torch.from_numpy(channels[0]), torch.from_numpy(channels[1])


def assert_within(found: torch.Tensor, wanted: torch.Tensor, tolerance: float) -> None:
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() <= tolerance


def test_transforms(prepared, published, kind, expected):
    assert list(TwoChannelStack()(prepared).shape) == [2, *expected["preprocessing"]["cropped_shape"]]
    by_scan = GlobalNormalise()(prepared).permute(1, 2, 3, 0)
    by_voxel = VoxelNormalise()(prepared).permute(1, 2, 3, 0)
    assert_within(by_scan, published[0], GLOBAL_TOLERANCE)
    assert_within(by_voxel, published[1], VOXEL_TOLERANCE)
    assert_within(TwoChannelStack()(prepared), torch.stack([by_scan, by_voxel]), 0)
    fill = global_statistics(prepared).fill
    assert fill == pytest.approx(expected["preprocessing"][kind]["global_min"], abs=GLOBAL_TOLERANCE)


@pytest.mark.parametrize("encoding", ["integers", "float32"])
def test_compact_scan(prepared, published, kind, encoding):
    if (kind, encoding) == ("float32", "integers"):
        with pytest.raises(ScanError, match="not integers"):
            CompactScan.from_frames(prepared, (prepared != 0).any(0), encoding=encoding)
        return
    found = CompactScan.from_frames(prepared, (prepared != 0).any(0), encoding=encoding).unpack()
    assert_within(found[0], published[0], GLOBAL_TOLERANCE)
    assert_within(found[1], published[1], VOXEL_TOLERANCE)


def test_compact_scan_in_codes(prepared, published):
    scan = CompactScan.from_frames(prepared, (prepared != 0).any(0), encoding="codes")
    found = scan.unpack()
    assert_within(found[0], published[0], 1e-3 * float(scan.voxel_std.max()) / scan.global_std)
    assert_within(found[1], published[1], 1e-3)


def test_odd_voxels(recipe, expected, reference):
    frames = torch.from_numpy(recipe.scan_float32(SHAPE)).movedim(-1, 0)
    found = TwoChannelStack()(RoiCrop([[8, -8], [8, -8], [0, -10]])(TrimFrames(10)(frames)))
    x, y, z = (SHAPE[0] // 2 - 8, SHAPE[1] // 2 - 8, SHAPE[2] // 2 - 2)
    odd = expected["preprocessing"]["float32"]["odd_voxel_timecourses"]
    zero_in_some = odd["zero_in_some_frames"]
    wanted = torch.tensor(zero_in_some["global"])
    assert_within(found[0, x, y, z], wanted, GLOBAL_TOLERANCE)
    wanted = torch.tensor([float(value) for value in zero_in_some["per_voxel"]]).nan_to_num(nan=0.0)
    assert_within(found[1, x, y, z], wanted, VOXEL_TOLERANCE)
    assert (found[1, x + 1, y, z] == 0).all()
    assert found[0, x + 1, y, z, 0].item() == pytest.approx(odd["constant"]["global"][0], abs=GLOBAL_TOLERANCE)


def test_number_of_windows(expected):
    for case, starts in expected["window_starts_original"]["examples"].items():
        num_frames, window_length = map(int, case.split("/"))
        # the published loader leaves a scan of one window out; it is used here
        assert published_window_count(num_frames, window_length) == max(1, len(starts))
