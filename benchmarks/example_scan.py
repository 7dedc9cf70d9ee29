"""A scan with the size, background and smoothness of a real one, for benchmarks of reading and packing."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from isal import igzip

GRID = (91, 109, 91)
BRAIN_AXES = (0.79, 0.82, 0.77)
RUN_FRAMES = 10


def write_scan(path: Path, num_frames: int, dtype: str, seed: int = 0, grid: tuple[int, int, int] = GRID) -> int:
    """Writes a compressed scan frame by frame; returns the voxels of its brain (228,000 of the full grid).

    Outside of an ellipsoid everything is exactly 0; inside each voxel has its own mean (about 9,000), noise of 1.3 % of
    it and a slow drift. int16 values are rounded, float32 ones are not.
    """
    generator = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(-1, 1, size, dtype=np.float32) for size in grid], indexing="ij")
    brain = sum((axis / length) ** 2 for axis, length in zip(axes, BRAIN_AXES, strict=True)) < 1.0
    where = np.flatnonzero(brain.reshape(-1, order="F"))
    base = 9000 + 2500 * np.sin(3 * axes[0]) * np.cos(4 * axes[1]) + 800 * generator.standard_normal(grid, np.float32)
    base = base.reshape(-1, order="F")[where]
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape((*grid, num_frames))
    affine = np.array([[-2.0, 0, 0, 90], [0, 2.0, 0, -126], [0, 0, 2.0, -72], [0, 0, 0, 1]])
    header.set_sform(affine, code=4)
    header.set_qform(affine, code=4)
    header.set_xyzt_units("mm", "sec")
    header["pixdim"][4] = 0.72
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    frame = np.zeros(int(np.prod(grid)), dtype)
    with igzip.open(path, "wb", compresslevel=1) as file:
        file.write(header.binaryblock + bytes(4))
        for number in range(num_frames):
            values = base + 120 * generator.standard_normal(len(where), np.float32) + 40 * np.sin(number / 7)
            frame[where] = np.rint(values) if dtype == "int16" else values
            file.write(frame.tobytes())
    return len(where)
