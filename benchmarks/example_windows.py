"""A compact scan of a given grid without a file, packed where one is wanted, for benchmarks of what follows packing."""

from __future__ import annotations

from pathlib import Path

import torch
from contestants import ellipsoid

from monai_tff.contract import InputContract
from monai_tff.data import CompactScan
from monai_tff.data.packed import write_packed

CODES_PER_DEVIATION = 2000


def compact_scan(grid: tuple[int, int, int], num_frames: int) -> CompactScan:
    """Noise in 0.4 of the voxels, as int16 codes."""
    torch.manual_seed(2)
    mask = ellipsoid(grid)
    voxels = int(mask.sum())
    values = torch.empty((num_frames, voxels), dtype=torch.int16)
    for frame in values:  # one at a time, so that the memory of a process is that of the scan
        frame.copy_(torch.randn(voxels) * CODES_PER_DEVIATION)
    return CompactScan(
        values=values,
        mask=mask,
        encoding="codes",
        global_mean=9000.0,
        global_std=2500.0,
        global_fill=-3.6,
        voxel_mean=9000 + 2500 * torch.randn(voxels),
        voxel_mean_rest=torch.zeros(voxels),
        voxel_std=torch.full((voxels,), 120.0),
        slope=1 / CODES_PER_DEVIATION,
    )


def pack(scan: CompactScan, path: Path, window_length: int) -> Path:
    """Writes the scan as `monai_tff prepare` does; what was just written is in the page cache."""
    contract = InputContract(spatial_size=tuple(scan.mask.shape), window_length=window_length)
    facts = {"source": {"name": "scan"}, "mask_source": "nonzero voxels", "contract": contract.to_dict()}
    write_packed(path, scan, facts)
    return path
