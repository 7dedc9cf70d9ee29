"""Windows of packed scans, as a training draws them: shared between processes, and never all in memory."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from monai_tff.contract import InputContract
from monai_tff.data import LoadScand, RandomWindowSampler, WindowDataset, collate_records, unpack_windows
from monai_tff.data.prepare import prepare_scan

GRID, FRAMES, LENGTH = (17, 18, 19), 40, 8
CONTRACT = InputContract(spatial_size=GRID, window_length=LENGTH, mask="nonzero")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Five scans of integers, packed."""
    folder = tmp_path_factory.mktemp("cohort")
    found = []
    for number in range(5):
        values = np.random.default_rng(number).integers(1, 900, (*GRID, FRAMES)).astype(np.int16)
        values[:2] = 0
        name = f"sub-{number}_bold.nii.gz"
        nib.save(nib.Nifti1Image(values, np.diag([3.0, 3, 3, 1])), folder / name)
        known = {"image": str(folder / name), "scan": name, "subject": str(number), "label": 0.0}
        found.append({**known, "mask": None, "tr": 2.0, "confounds": None, "content": None})
    assert [prepare_scan(r, folder / "packed", CONTRACT, "int16").status for r in found] == ["packed"] * 5
    return found


def dataset(records: list[dict[str, Any]], memory_map: bool | None) -> WindowDataset:
    """Windows of mapped scans, of packed scans in memory, or (None) of the scans themselves."""
    packed_dir = None if memory_map is None else str(Path(records[0]["image"]).parent / "packed")
    load = LoadScand("image", CONTRACT, packed_dir=packed_dir, memory_map=bool(memory_map))
    return WindowDataset(records, load, LENGTH, cache_rate=0.0 if memory_map else 1.0, progress=False)


def windows(source: WindowDataset, num_workers: int = 0) -> torch.Tensor:
    """All windows of an epoch, unpacked."""
    sampler = RandomWindowSampler(source, seed=4, windows_per_scan=3)
    loader = DataLoader(
        source, sampler=sampler, batch_size=4, num_workers=num_workers, collate_fn=collate_records, drop_last=False
    )
    return torch.cat([unpack_windows(batch["image"]) for batch in loader])


@pytest.mark.parametrize(("memory_map", "num_workers"), [(True, 0), (False, 0), (True, 2), (False, 2)])
def test_windows_of_packed_scans_are_those_of_the_scans(
    records: list[dict[str, Any]], memory_map: bool, num_workers: int
) -> None:
    found = windows(dataset(records, memory_map), num_workers)
    assert found.shape == (15, 2, *GRID, LENGTH)
    assert torch.equal(found, windows(dataset(records, None)))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the maps of the process from /proc")
def test_values_of_a_mapped_scan_are_views_of_its_file(records: list[dict[str, Any]]) -> None:
    scan = dataset(records, True).scan(0)["image"]
    maps = Path("/proc/self/maps").read_text()
    start = scan.window(3, LENGTH).values.data_ptr()
    holding = [line for line in maps.splitlines() if _range(line)[0] <= start < _range(line)[1]]
    (line,) = holding
    assert line.endswith(".safetensors")


def test_nothing_but_the_drawn_windows_is_kept(records: list[dict[str, Any]]) -> None:
    source = dataset(records, True)
    assert len(source._cache) == 0
    whole = dataset(records, False).scan(0)["image"]
    window = source[(0, 3, 0)]["image"]
    assert window.values.nbytes == LENGTH * whole.num_voxels * 2
    assert window.nbytes < whole.nbytes / 2


def _range(line: str) -> tuple[int, int]:
    match = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
    assert match is not None
    return int(match[1], 16), int(match[2], 16)
