from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from monai_tff.errors import ConfigError, ScanError
from monai_tff.transforms.spatial import RoiCrop, RoiCropd, cropped_size

PAPER = [[8, -8], [8, -8], [0, -10]]


@pytest.mark.parametrize(("size", "roi", "expected"), [
    ((91, 109, 91), PAPER, (75, 93, 81)),
    ((25, 27, 18), PAPER, (9, 11, 8)),
    ((7, 8, 9), [[None, None], [2, None], [None, 4]], (7, 6, 4)),
    ((7, 8, 9), [[0, 99], [-3, None], [5, 3]], (7, 3, 0)),
    ((7, 8, 9), None, (7, 8, 9)),
])  # fmt: skip
def test_cropped_size(size, roi, expected):
    assert cropped_size(size, roi) == expected
    if min(expected):
        assert RoiCrop(roi)(torch.zeros(1, *size)).shape[1:] == expected


def test_crop_takes_the_slices_and_moves_the_affine():
    frames = torch.arange(2 * 7 * 8 * 9).reshape(2, 7, 8, 9)
    affine = torch.diag(torch.tensor([2.0, 3, 4, 1], dtype=torch.float64))
    out = RoiCrop([[1, -2], [None, 5], [-4, None]])(MetaTensor(frames, affine=affine))
    assert torch.equal(out.as_tensor(), frames[:, 1:-2, :5, -4:])
    assert out.affine[:3, 3].tolist() == [2, 0, 20]
    assert out.dtype == torch.int64


def test_crop_keeps_no_hidden_memory():
    out = RoiCropd("image", [[1, -2], [1, -1], [0, -4]])({"image": torch.rand(3, 7, 8, 9)})["image"]
    assert out.untyped_storage().nbytes() == out.nbytes
    assert out.is_contiguous()


def test_no_crop_gives_the_scan_itself():
    frames = torch.rand(2, 7, 8, 9)
    assert RoiCrop(None)(frames) is frames


def test_empty_crops_are_refused_with_the_sizes():
    with pytest.raises(ScanError, match=r"grid of 16 x 30 x 9 voxels leaves 0 x 14 x 0, expected at least 1"):
        RoiCrop(PAPER)(torch.zeros(1, 16, 30, 9))


@pytest.mark.parametrize("roi", [[[1, 2]], [[1, 2], [3, 4], [5]]])
def test_malformed_crops_are_refused(roi):
    with pytest.raises(ConfigError, match=r"expected \[start, stop\] for each of 3 axes"):
        cropped_size((7, 8, 9), roi)
