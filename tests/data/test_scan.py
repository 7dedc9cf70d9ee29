from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_tff.data.frames import StoredFrames
from monai_tff.data.scan import CompactScan
from monai_tff.errors import ConfigError, ScanError
from monai_tff.transforms.intensity import two_channels

GRID = (7, 8, 9)
EPS = float(np.finfo(np.float32).eps)


def integer_frames(num_frames: int = 24, spread: float = 60.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    base = 8000 + 2000 * torch.randn(1, *GRID, generator=generator)
    frames = (base + spread * torch.randn(num_frames, *GRID, generator=generator)).round().clamp(1, 32000)
    frames[:, :2] = 0
    frames[3, 4, 4, 4] = 0
    frames[:, 5, 5, 5] = 77
    return frames.to(torch.int16)


def float_frames(num_frames: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(8)
    frames = integer_frames(num_frames).float() + torch.rand(num_frames, *GRID, generator=generator)
    frames[:, :2] = 0
    frames[3, 4, 4, 4] = 0
    frames[:, 5, 5, 5] = 77.7
    return frames


def nonzero(frames: torch.Tensor) -> torch.Tensor:
    return (frames != 0).any(0)


@pytest.mark.parametrize(
    ("slope", "intercept"), [(1.0, 0.0), (1.206328272819519, 0.0), (0.0754, 3100.76), (75.5, -4000)]
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_integer_sources_equal_the_direct_computation(slope, intercept, dtype):
    frames = (integer_frames().double() * slope + intercept).to(dtype)
    frames[:, :2] = 0
    mask = nonzero(frames)
    inside = frames * mask
    # the mask leaves no stored integer that means 0, except where the source has one
    inside[3, 4, 4, 4] = 5 * slope + intercept
    scan = CompactScan.from_frames(inside, mask, slope=slope, intercept=intercept)
    assert scan.encoding == "integers"
    direct = two_channels(inside)
    found = scan.unpack()
    rounding = 8 * EPS * (float(inside.abs().max()) + abs(intercept))
    torch.testing.assert_close(found[0], direct[0], rtol=0, atol=rounding / scan.global_std)
    spread = torch.zeros(mask.shape)
    spread[mask] = scan.voxel_std
    error = (found[1] - direct[1]).abs().amax(-1) * spread
    assert error.max() <= rounding
    assert (found[1][~mask] == 0).all()
    assert (found[1][5, 5, 5] == 0).all()


def test_plain_integers_equal_the_direct_computation_exactly():
    frames = integer_frames()
    scan = CompactScan.from_frames(frames, nonzero(frames))
    assert scan.encoding == "integers"
    assert scan.zero_code is not None
    assert torch.equal(scan.unpack(), two_channels(frames))


def test_codes_stay_within_the_bound():
    frames = float_frames(400)
    scan = CompactScan.from_frames(frames, nonzero(frames))
    assert (scan.encoding, scan.values.dtype) == ("codes", torch.int16)
    direct, found = two_channels(frames), scan.unpack()
    assert (found[1] - direct[1]).abs().max() <= 1e-3
    assert (found[0] - direct[0]).abs().max() <= 1e-3 * scan.voxel_std.max() / scan.global_std
    background = (frames == 0).permute(1, 2, 3, 0)
    assert (found[1][background] == 0).all()
    assert (found[0][background] == np.float32(scan.global_fill)).all()


def test_float32_encoding_is_exact():
    frames = float_frames()
    scan = CompactScan.from_frames(frames, nonzero(frames), encoding="float32")
    assert torch.equal(scan.unpack(), two_channels(frames))


@pytest.mark.parametrize("encoding", ["auto", "codes", "float32"])
def test_voxels_outside_the_mask_are_background(encoding):
    frames = float_frames() if encoding != "auto" else integer_frames()
    mask = torch.zeros(GRID, dtype=torch.bool)
    mask[3:6, 2:7, 1:8] = True
    scan = CompactScan.from_frames(frames, mask, encoding=encoding)
    direct = two_channels(frames * mask)
    torch.testing.assert_close(scan.unpack(), direct, rtol=0, atol=1e-3)
    assert (scan.unpack()[1][~mask] == 0).all()
    assert scan.num_voxels == int(mask.sum())


@pytest.mark.parametrize(("low", "high", "dtype"), [
    (0, 255, torch.uint8), (1000, 1200, torch.uint8), (-300, 300, torch.int16), (0, 65535, torch.int16),
    (-1000, 64000, torch.int16), (100000, 160000, torch.int16),
])  # fmt: skip
def test_storage_takes_the_smallest_type_that_fits(low, high, dtype):
    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(low, high + 1, (12, *GRID), generator=generator)
    frames[0, 0, 0, :2] = torch.tensor([low, high])
    scan = CompactScan.from_frames(frames, torch.ones(GRID))
    assert scan.values.dtype == dtype
    assert torch.equal(scan.unpack(), two_channels(frames))


def test_too_wide_integers_become_codes():
    frames = integer_frames().int()
    frames[5, 5, 5, 5] = 2**20
    assert CompactScan.from_frames(frames, nonzero(frames)).encoding == "codes"
    with pytest.raises(ScanError, match=r"run\.nii: its values are not integers of 16 bits"):
        CompactScan.from_frames(frames, nonzero(frames), encoding="integers", source="run.nii")
    with pytest.raises(ConfigError, match="encoding is 'zip', expected auto, integers, codes, codes8, float32"):
        CompactScan.from_frames(frames, nonzero(frames), encoding="zip")


@pytest.mark.parametrize("frames", [integer_frames(200), float_frames(200), float_frames(200).double() * 1e-3])
def test_two_bytes_per_voxel_and_frame(frames):
    scan = CompactScan.from_frames(frames, nonzero(frames))
    elements = scan.num_voxels * scan.num_frames
    statistics = 12 * scan.num_voxels + scan.mask.numel()
    assert scan.values.nbytes <= 2.1 * elements
    assert scan.values.untyped_storage().nbytes() == scan.values.nbytes
    assert scan.nbytes == scan.values.nbytes + statistics


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=4, max_dims=4, max_side=5), elements=st.floats(-1e6, 1e6, width=32)
    ),
    st.sampled_from(["auto", "codes", "float32"]),
)
def test_any_scan_packs_within_the_bound_and_without_nan(values, encoding):
    frames = torch.from_numpy(values)
    if not frames.any():
        return
    scan = CompactScan.from_frames(frames, nonzero(frames), encoding=encoding)
    found, direct = scan.unpack(), two_channels(frames)
    assert torch.isfinite(found).all()
    spread = torch.zeros(values.shape[1:])
    spread[scan.mask] = scan.voxel_std
    # beside the code's own error, means and differences are rounded to float32
    size = float(frames.abs().max())
    bound = 1e-3 * spread + 4 * EPS * size
    assert ((found[1] - direct[1]).abs() * spread[..., None] <= bound[..., None] + 1e-12).all()
    assert torch.equal(found[1][(frames == 0).permute(1, 2, 3, 0)], torch.zeros(int((frames == 0).sum())))
    if scan.global_std > 0:
        assert ((found[0] - direct[0]).abs() * scan.global_std <= 1e-3 * spread.max() + 8 * EPS * size + 1e-12).all()


def test_voxel_numbers_stand_for_orientation_and_crop():
    frames = integer_frames()
    numbers = torch.arange(7 * 8 * 9).reshape(GRID).flip(0)[1:, 2:6].permute(1, 0, 2)
    seen = frames.flip(1)[:, 1:, 2:6].permute(0, 2, 1, 3)
    mask = nonzero(seen)
    scan = CompactScan.from_frames(frames, mask, voxels=numbers[mask])
    assert torch.equal(scan.unpack(), two_channels(seen))


@pytest.mark.parametrize("order", ["C", "F", "time last"])
@pytest.mark.parametrize("dtype", [">i2", "<i2", ">f4", "u2"])
def test_any_memory_order_and_byte_order(order, dtype):
    frames = integer_frames()
    array = frames.numpy().astype(dtype)
    if order == "F":
        array = np.asfortranarray(array.transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)
    elif order == "time last":
        array = np.ascontiguousarray(array.transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)
    scan = CompactScan.from_frames(array, nonzero(frames))
    assert torch.equal(scan.unpack(), two_channels(frames))


def test_stored_values_are_scaled_when_read():
    stored = StoredFrames(integer_frames().numpy(), slope=2.0, intercept=1.0)
    real = 2.0 * integer_frames() + 1.0
    scan = CompactScan.from_frames(stored, torch.ones(GRID), slope=2.0, intercept=1.0)
    assert torch.equal(scan.values.int() + scan.offset, integer_frames().flatten(1).int())
    torch.testing.assert_close(scan.unpack(), two_channels(real), rtol=0, atol=1e-5)
    assert scan.zero_code is None
    assert stored.nonzero().all()
    torch.testing.assert_close(stored.mean(), real.double().mean(0))


def test_metatensors_lose_their_wrapping():
    frames = MetaTensor(integer_frames(), affine=torch.eye(4))
    scan = CompactScan.from_frames(frames, MetaTensor(nonzero(integer_frames())))
    assert type(scan.mask) is torch.Tensor
    assert type(scan.unpack()) is torch.Tensor


def test_one_frame_and_one_value_give_no_nan():
    frames = integer_frames()[:1]
    found = CompactScan.from_frames(frames, nonzero(frames)).unpack()
    assert torch.equal(found, two_channels(frames))
    assert (found[1] == 0).all()
    constant = CompactScan.from_frames(torch.full((5, *GRID), 3.5), torch.ones(GRID))
    assert (constant.unpack() == 0).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_values_that_are_not_finite_are_refused(value):
    frames = float_frames().double()
    frames[4, 5, 5, 5] = value
    frames[9, 5, 5, 4:6] = value
    with pytest.raises(
        ScanError, match=r"run\.nii: 3 elements .* NaN or infinite \(the first in frame 4\).*set them to 0"
    ):
        CompactScan.from_frames(frames, torch.ones(GRID), source="run.nii")
    mask = torch.ones(GRID, dtype=torch.bool)
    mask[5, 5] = False
    assert torch.isfinite(CompactScan.from_frames(frames, mask).unpack()).all()


def test_scans_without_signal_are_refused():
    with pytest.raises(ScanError, match=r"run\.nii: all 12096 elements within the mask are 0"):
        CompactScan.from_frames(torch.zeros(24, *GRID), torch.ones(GRID), source="run.nii")
    with pytest.raises(ScanError, match=r"run\.nii: the mask holds none of 504 voxels"):
        CompactScan.from_frames(float_frames(), torch.zeros(GRID), source="run.nii")
    with pytest.raises(ScanError, match=r"run\.nii: the mask's shape is \(8, 7, 9\), expected \(7, 8, 9\)"):
        CompactScan.from_frames(float_frames(), torch.ones(8, 7, 9), source="run.nii")
    with pytest.raises(ScanError, match=r"frames have the shape \(7, 8, 9\), expected \[T, H, W, D\]"):
        CompactScan.from_frames(torch.zeros(GRID), torch.ones(GRID))
