from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_tff.transforms.intensity import (
    GlobalNormalise,
    GlobalNormalised,
    TwoChannelStack,
    TwoChannelStackd,
    VoxelNormalise,
    VoxelNormalised,
    normalise_global,
    normalise_voxels,
    two_channels,
)
from monai_tff.transforms.statistics import GlobalStatistics, VoxelStatistics


def scan() -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    frames = 500 + 30 * torch.randn(6, 7, 8, 9, generator=generator)
    frames[:, 0] = 0
    frames[2, 3, 3, 3] = 0
    frames[:, 4, 4, 4] = 12.5
    return frames


def test_global_formula_by_hand():
    out = normalise_global(torch.tensor([[1.0, 0.0], [5.0, 3.0]]), GlobalStatistics(3.0, 2.0, -1.5))
    assert out.tolist() == [[-1, -1.5], [1, 0]]


def test_voxel_formula_by_hand():
    statistics = VoxelStatistics(
        torch.tensor([2.0, 3.0, 7.0]), torch.tensor([0.0, 1.0, 0.0]), torch.tensor([1.0, 2.0, 0.0])
    )
    out = normalise_voxels(torch.tensor([[1, 0, 7], [3, 8, 7]], dtype=torch.int16), statistics)
    assert out.tolist() == [[-1, 0, 0], [1, 2, 0]]


def test_a_given_background_replaces_the_zeros():
    frames, background = torch.tensor([[0.0, 4.0]]), torch.tensor([[False, True]])
    assert normalise_global(frames, GlobalStatistics(2.0, 2.0, 9.0), background).tolist() == [[-1, 9]]


def test_normalised_scan_has_mean_0_and_spread_1():
    frames = scan()
    signal = frames != 0
    by_scan, by_voxel = GlobalNormalise()(frames), VoxelNormalise()(frames)
    assert by_scan[signal].mean().abs() < 1e-5
    assert by_scan[signal].std().item() == pytest.approx(1, abs=1e-5)
    assert (by_scan[~signal] == by_scan.min()).all()
    steady = signal.all(0) & (frames.std(0) > 0)
    torch.testing.assert_close(by_voxel[:, steady].std(0), torch.ones(int(steady.sum())), rtol=0, atol=1e-4)
    assert (by_voxel[~signal] == 0).all()
    assert (by_voxel[:, 4, 4, 4] == 0).all()
    # the zero of one frame takes part in the statistics of its voxel
    values = frames[:, 3, 3, 3]
    torch.testing.assert_close(by_voxel[0, 3, 3, 3], (values[0] - values.mean()) / values.std())


@pytest.mark.parametrize("transform", [GlobalNormalise(), VoxelNormalise(), TwoChannelStack()])
def test_array_transforms_leave_their_input_alone(transform):
    frames = scan()
    kept = frames.clone()
    out = transform(frames)
    assert torch.equal(frames, kept)
    assert out.dtype == torch.float32
    assert out.untyped_storage().data_ptr() != frames.untyped_storage().data_ptr()


def test_stack_has_both_channels_and_folds_for_free():
    frames = scan()
    out = two_channels(frames)
    assert out.shape == (2, 7, 8, 9, 6)
    assert torch.equal(out[0], GlobalNormalise()(frames).permute(1, 2, 3, 0))
    assert torch.equal(out[1], VoxelNormalise()(frames).permute(1, 2, 3, 0))
    assert out.permute(4, 0, 1, 2, 3).is_contiguous()


@pytest.mark.parametrize(("array", "dictionary"), [
    (GlobalNormalise, GlobalNormalised), (VoxelNormalise, VoxelNormalised), (TwoChannelStack, TwoChannelStackd)
])  # fmt: skip
def test_dictionary_versions_do_the_same(array, dictionary):
    record = {"image": scan(), "other": 3}
    out = dictionary("image")(record)
    assert torch.equal(out["image"], array()(record["image"]))
    assert out["other"] == 3
    assert torch.equal(record["image"], scan())
    assert dictionary(["image", "absent"], allow_missing_keys=True)(record).keys() == record.keys()
    with pytest.raises(KeyError, match="absent"):
        dictionary("absent")(record)


def test_metadata_and_arrays_pass_through():
    affine = torch.diag(torch.tensor([2.0, 3, 4, 1], dtype=torch.float64))
    out = GlobalNormalise()(MetaTensor(scan(), affine=affine))
    assert torch.equal(out.affine, affine)
    assert isinstance(GlobalNormalise()(scan().numpy()), np.ndarray)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, (4, 2, 3, 2), elements=st.floats(-1e6, 1e6, width=32)))
def test_no_scan_gives_nan(values):
    if values.any():
        assert torch.isfinite(two_channels(torch.from_numpy(values))).all()
