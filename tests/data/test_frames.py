from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_tff.data.frames import StoredFrames
from monai_tff.errors import ScanError

VALUES = np.random.default_rng(2).integers(-3, 4, (7, 8, 9, 6)).astype(np.int16)


@pytest.mark.parametrize("array", [
    np.asfortranarray(VALUES), np.ascontiguousarray(VALUES), np.ascontiguousarray(VALUES.transpose(3, 0, 1, 2)),
    np.asfortranarray(VALUES).astype(">i2", order="K"),
], ids=["NIfTI", "time last", "time first", "big-endian"])  # fmt: skip
@pytest.mark.parametrize("trim", [0, 2])
def test_frames_are_read_in_grid_order_without_a_copy(array, trim):
    frames = np.moveaxis(array, -1, 0) if array.shape[-1] == 6 else array
    stored = StoredFrames(frames[trim:], first_frame=trim)
    assert np.shares_memory(stored.rows.values, array)
    assert (len(stored), stored.shape) == (6 - trim, (6 - trim, 7, 8, 9))
    voxels = torch.tensor([0, 5, 71, 72, 503, 2])
    wanted = np.moveaxis(VALUES, -1, 0)[trim:].reshape(6 - trim, -1)[1:3, voxels.numpy()]
    found = stored.reader(voxels)(slice(1, 3))
    assert found.dtype == torch.float64
    assert np.array_equal(found.numpy(), wanted)
    assert np.array_equal(stored.nonzero().numpy(), (np.moveaxis(VALUES, -1, 0)[trim:] != 0).any(0))
    torch.testing.assert_close(stored.mean(), torch.from_numpy(VALUES[..., trim:].mean(-1)))


@pytest.mark.parametrize(("slope", "intercept"), [(2.5, 0.0), (1.0, -2.0), (0.5, 1.0)])
def test_values_are_scaled(slope, intercept):
    stored = StoredFrames(np.moveaxis(VALUES, -1, 0), slope, intercept)
    real = np.moveaxis(VALUES, -1, 0) * slope + intercept
    voxels = torch.arange(7 * 8 * 9)
    assert np.array_equal(stored.reader(voxels)(slice(0, 6)).numpy(), real.reshape(6, -1))
    assert np.array_equal(stored.nonzero().numpy(), (real != 0).any(0))


@pytest.mark.parametrize("shape", [(7, 8, 9), (0, 7, 8, 9), (5, 7, 0, 9)])
def test_empty_and_3d_arrays_are_refused(shape):
    with pytest.raises(ScanError, match=r"expected \[T, H, W, D\] with at least one element"):
        StoredFrames(np.zeros(shape))
