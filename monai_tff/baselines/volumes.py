"""What the images of training scans have in common: the voxels that they share, their means, and some frames.

A scan contributes its mean image (float32, one number per voxel of its mask) and a few of its frames, so that memory
grows by 4 bytes per voxel and scan, 8 while the components are found, and by nothing per frame: 1,200 scans of 230,000
voxels are 1.1 GB, then 2.2.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monai_tff.data.records import Record
from monai_tff.data.scan import CompactScan

SHARED_BY = 0.5
"""Share of the training scans whose masks must hold a voxel, as nilearn's `intersect_masks` has it."""

MOST_FRAMES = 1000
FRAME_ELEMENTS = 2**26
"""Frames times voxels of the grid that parcels are fitted on; hierarchical clustering takes 1.6 GB then."""


def mean_image(scan: CompactScan) -> NDArray[np.float32]:
    """The mean over frames in the scale of channel 0, so that the scanner's gain is gone.

    `(mean_v - mean) / std`, with the global mean and standard deviation of the whole trimmed scan.

    Args:
        scan: any scan.

    Returns:
        float32 [V]; NaN for a voxel that is 0 in every frame: it says nothing.
    """
    mean = scan.voxel_mean.double() + scan.voxel_mean_rest.double()
    scaled = (mean - scan.global_mean) / (scan.global_std if scan.global_std > 0 else math.inf)
    silent = (scan.voxel_mean == 0) & (scan.voxel_std == 0)
    return scaled.masked_fill(silent, math.nan).float().numpy()


class TrainingVolumes:
    """Collects the mean images and some frames of training scans, one scan after the other.

    Args:
        records: of all scans that will come.
        grid: H, W, D of the contract.
        seed: of the choice of frames, which depends on a scan's path and not on its place.
        with_means: keep mean images.
        with_frames: keep frames.
    """

    def __init__(
        self, records: Sequence[Record], grid: Sequence[int], seed: int, *, with_means: bool, with_frames: bool
    ) -> None:
        self.grid, self.seed = tuple(grid), seed
        self.with_means, self.with_frames = with_means, with_frames
        self._counts = np.zeros(math.prod(self.grid), dtype=np.int64)
        self._masks: list[NDArray[np.uint8]] = []
        self._means: list[NDArray[np.float32] | None] = []
        self._frames: list[NDArray[np.float32] | None] = []
        self._frames_of = _frames_of_scans(records, math.prod(self.grid), seed)

    def add(self, record: Record, scan: CompactScan) -> None:
        """Takes what is kept of a scan."""
        mask = scan.mask.flatten().numpy()
        self._counts += mask
        self._masks.append(np.packbits(mask))
        if self.with_means:
            self._means.append(mean_image(scan))
        if self.with_frames:
            self._frames.append(_some_frames(record, scan, self._frames_of.get(record["scan"], 0), self.seed))

    def shared_voxels(self) -> NDArray[np.int64]:
        """Voxel numbers [V] of the flat grid that lie in the masks of at least half of the scans."""
        return np.flatnonzero(self._counts >= SHARED_BY * len(self._masks))

    def take_means(self, voxels: NDArray[np.int64]) -> NDArray[np.float32]:
        """The mean images at some voxels, [scans, V], NaN where a scan has none; they are given away."""
        return _take(self._means, self._masks, voxels, len(self._counts))

    def take_frames(self, voxels: NDArray[np.int64]) -> NDArray[np.float32]:
        """The frames at some voxels, [frames, V], NaN where a scan has none; they are given away."""
        return _take(self._frames, self._masks, voxels, len(self._counts))


def _frames_of_scans(records: Sequence[Record], grid_size: int, seed: int) -> dict[str, int]:
    """How many frames of each scan are kept; of more scans than frames, those whose hash is least give one."""
    total = max(2, min(MOST_FRAMES, FRAME_ELEMENTS // grid_size))
    names = sorted((record["scan"] for record in records), key=lambda name: _number(name, seed))
    return dict.fromkeys(names[:total], max(1, total // len(names)))


def _number(name: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big")


def _some_frames(record: Record, scan: CompactScan, wanted: int, seed: int) -> NDArray[np.float32]:
    """Channel 1 of frames that are drawn without replacement, float32 [frames, V]."""
    number = min(wanted, scan.num_frames)
    generator = np.random.default_rng(_number(record["scan"], seed))
    chosen = np.sort(generator.choice(scan.num_frames, number, replace=False))
    kept = np.empty((number, scan.num_voxels), dtype=np.float32)
    for row, frame in zip(kept, chosen, strict=True):
        row[:] = scan.window(int(frame), 1).unpack()[1, ..., 0][scan.mask].numpy()
    return kept


def _take(
    parts: list, masks: Sequence[NDArray[np.uint8]], voxels: NDArray[np.int64], grid_size: int
) -> NDArray[np.float32]:
    """Rows of all scans at some voxels; each scan's own rows are freed as soon as they are copied."""
    counts = [len(np.atleast_2d(part)) for part in parts]
    rows = np.empty((sum(counts), len(voxels)), dtype=np.float32)
    begin = 0
    for index, (count, mask) in enumerate(zip(counts, masks, strict=True)):
        whole = np.full((count, grid_size), np.nan, dtype=np.float32)
        whole[:, np.unpackbits(mask, count=grid_size).astype(bool)] = parts[index]
        rows[begin : begin + count] = whole[:, voxels]
        parts[index] = None
        begin += count
    parts.clear()
    return rows
