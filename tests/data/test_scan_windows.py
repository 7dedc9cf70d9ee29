"""Windows of compact scans: shared memory, processes, caches, batches, devices."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from monai.data import CacheDataset
from torch.utils.data import DataLoader

from monai_tff.data.scan import CompactScan, unpack_windows
from monai_tff.errors import ScanError
from monai_tff.transforms.intensity import two_channels

GRID = (7, 8, 9)


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


def test_memory_runs_frame_by_frame():
    frames = integer_frames()
    scan = CompactScan.from_frames(frames, nonzero(frames))
    assert scan.unpack().permute(4, 0, 1, 2, 3).is_contiguous()
    batch = unpack_windows([scan.window(0, 5), scan.window(4, 5)])
    assert batch.shape == (2, 2, *GRID, 5)
    assert batch.permute(0, 5, 1, 2, 3, 4).is_contiguous()


def test_windows_are_normalised_as_the_scan_is():
    scan = CompactScan.from_frames(integer_frames(), nonzero(integer_frames()))
    whole = scan.unpack()
    assert torch.equal(scan.window(6, 5).unpack(), whole[..., 6:11])
    other = CompactScan.from_frames(float_frames(), torch.ones(GRID))
    batch = unpack_windows([scan.window(2, 4), other.window(7, 4)], device="cpu", non_blocking=True)
    assert torch.equal(batch[0], whole[..., 2:6])
    assert torch.equal(batch[1], other.unpack()[..., 7:11])


def test_windows_share_memory_and_pickle_alone():
    frames = integer_frames(300)
    scan = CompactScan.from_frames(frames, nonzero(frames), affine=np.eye(4), repetition_time=0.72, source="a.nii")
    window = scan.window(5, 3)
    assert window.values.data_ptr() == scan.values[5:].data_ptr()
    assert window.voxel_mean is scan.voxel_mean
    size = len(pickle.dumps(window))
    assert size < window.nbytes + 5000 < scan.nbytes
    for again in (pickle.loads(pickle.dumps(window)), copy.deepcopy(window)):
        assert torch.equal(again.unpack(), window.unpack())
        assert again.values.untyped_storage().nbytes() == window.values.nbytes
        assert (again.source, again.repetition_time) == ("a.nii", 0.72)
        assert torch.equal(again.affine, torch.eye(4, dtype=torch.float64))


def test_worker_processes_hand_windows_over():
    scan = CompactScan.from_frames(integer_frames(), nonzero(integer_frames()))
    windows = [scan.window(start, 4) for start in range(4)]
    loader = DataLoader(windows, batch_size=2, num_workers=1, collate_fn=list, multiprocessing_context="fork")
    for i, batch in enumerate(loader):
        assert torch.equal(unpack_windows(batch), unpack_windows(windows[2 * i : 2 * i + 2]))


def test_a_cache_holds_no_channels():
    def load(record: dict) -> dict:
        frames = integer_frames(50)
        return {"image": CompactScan.from_frames(frames, nonzero(frames)), "label": record["label"]}

    dataset = CacheDataset([{"label": 0}, {"label": 1}], load, num_workers=1, progress=False, copy_cache=False)
    dataset[0]["image"].window(3, 20).unpack()
    buffer = io.BytesIO()
    pickle.dump(dataset[0], buffer)
    scan = dataset[0]["image"]
    assert len(buffer.getvalue()) <= scan.nbytes + 5000
    tensors = [value for value in vars(scan).values() if isinstance(value, torch.Tensor)]
    floats = [tensor for tensor in tensors if tensor.is_floating_point()]
    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in tensors)
    assert max(tensor.numel() for tensor in floats) == scan.num_voxels
    assert scan.nbytes < two_channels(integer_frames(50)).nbytes / 3.5


@pytest.mark.parametrize(("start", "length"), [(-1, 3), (22, 3), (0, 25), (3, 0)])
def test_windows_outside_the_scan_are_refused(start, length):
    scan = CompactScan.from_frames(float_frames(), torch.ones(GRID), source="run.nii")
    with pytest.raises(ScanError, match=rf"run\.nii: there is no window of {length} frames from frame {start} on"):
        scan.window(start, length)


def test_batches_of_unequal_windows_are_refused():
    scan = CompactScan.from_frames(float_frames(), torch.ones(GRID))
    with pytest.raises(ScanError, match=r"have the sizes \(T, H, W, D\) \[\(3, 7, 8, 9\), \(4, 7, 8, 9\)\]"):
        unpack_windows([scan.window(0, 3), scan.window(0, 4)])
    with pytest.raises(ScanError, match="expected one size"):
        unpack_windows([])


def test_moving_keeps_everything():
    scan = CompactScan.from_frames(float_frames(), torch.ones(GRID), repetition_time=2.0)
    assert scan.to(None) is scan
    moved = scan.to("cpu", non_blocking=True)
    assert moved.repetition_time == 2.0
    assert torch.equal(moved.unpack(), scan.unpack())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_same_channels():
    scan = CompactScan.from_frames(float_frames(), nonzero(float_frames()))
    on_gpu = unpack_windows([scan.pin_memory()], device="cuda", non_blocking=True)
    assert on_gpu.is_cuda
    torch.testing.assert_close(on_gpu[0].cpu(), scan.unpack(), rtol=0, atol=1e-5)
