"""A data loader pins windows for a GPU: the windows alone, and everything that is copied to the device with them.

Page-locked memory needs a GPU. Here a plain copy stands for it, made by what torch's loader calls for each batch.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data._utils.pin_memory import pin_memory

from monai_tff.data import collate_records
from monai_tff.data.scan import CompactScan, unpack_windows

GRID = (7, 8, 9)


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The copies in page-locked memory, in the order in which they are made."""
    copies: list[torch.Tensor] = []

    def copy(tensor: torch.Tensor) -> torch.Tensor:
        copies.append(tensor.clone())
        return copies[-1]

    monkeypatch.setattr(torch.Tensor, "pin_memory", copy)
    return copies


def scan(num_frames: int, seed: int, source: str, encoding: str = "auto") -> CompactScan:
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(1, 900, (num_frames, *GRID), generator=generator, dtype=torch.int16)
    mask = torch.rand(GRID, generator=generator) > 0.4
    return CompactScan.from_frames(frames, mask, source=source, encoding=encoding, affine=torch.eye(4))


@pytest.mark.parametrize("encoding", ["integers", "codes", "codes8", "float32"])
def test_windows_of_a_batch_are_pinned_without_their_scans(encoding: str, pinned: list[torch.Tensor]) -> None:
    scans = [scan(40, 1, "a.nii", encoding), scan(50, 2, "b.nii", encoding)]
    windows = [scans[0].window(3, 5), scans[1].window(11, 5)]
    records = [{"image": window, "label": 1, "scan": window.source, "tr": None} for window in windows]
    batch = pin_memory(collate_records(records))
    assert (batch["label"], batch["scan"], batch["tr"]) == ([1, 1], ["a.nii", "b.nii"], [None, None])
    # values, mask and three statistics of each window, and nothing else
    assert len(pinned) == 2 * 5
    assert sum(copy.untyped_storage().nbytes() for copy in pinned) == sum(window.nbytes for window in windows)
    for before, after in zip(windows, batch["image"], strict=True):
        held = {id(copy) for copy in pinned}
        moved: list[Any] = [after.values, after.mask, after.voxel_mean, after.voxel_mean_rest, after.voxel_std]
        assert all(id(tensor) in held for tensor in moved)
        assert after.affine is before.affine
        assert after.source == before.source
    assert torch.equal(unpack_windows(batch["image"]), unpack_windows(windows))


def test_everything_that_goes_to_the_device_was_pinned(pinned: list[torch.Tensor]) -> None:
    window = scan(40, 3, "a.nii").window(7, 4).pin_memory()
    there = window.to("meta", non_blocking=True)
    on_device = [name for name, value in vars(there).items() if getattr(value, "is_meta", False)]
    assert on_device == ["values", "mask", "voxel_mean", "voxel_mean_rest", "voxel_std"]
    held = {id(copy) for copy in pinned}
    assert all(id(vars(window)[name]) in held for name in on_device)
