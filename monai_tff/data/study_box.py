"""The box of a grid that holds the brain of a cohort, guessed from a few of its scans."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from monai_tff.data.frames import StoredFrames
from monai_tff.data.header import ScanHeader, read_header
from monai_tff.data.masking import choose_mask
from monai_tff.data.ras_grid import ras_grid
from monai_tff.data.records import Record
from monai_tff.data.stream import stored_runs
from monai_tff.errors import ScanError

SCANS_READ = 8
"""Scans that are looked at, spread over the cohort."""

MARGIN_MM = 6.0
"""Room around the brains of the scans that are looked at, for the others."""

Crop = list[list[int] | None]


@dataclasses.dataclass(frozen=True)
class BrainBox:
    """What a few scans show.

    Attributes:
        spatial_size: voxels per axis after the crop, in RAS.
        crop: `[start, stop]` per axis, None for a whole axis; None for no crop.
        mask_voxels: voxels of a mask, the median over the scans; None where no mask was found.
        why: how the crop was found, or why there is none.
    """

    spatial_size: tuple[int, int, int]
    crop: Crop | None
    mask_voxels: int | None
    why: str


def brain_box(
    records: Sequence[Record], dataset_dir: str | os.PathLike[str], *, mask: str = "auto", scans: int = SCANS_READ
) -> BrainBox:
    """Guesses the crop of a cohort: the box around the masks of a few scans, with a margin.

    The mask of a scan is chosen as a training chooses it, from its first frames alone. The encoder halves the grid
    three times, rounding up, so any size will do; a box that would leave it a single voxel is not cropped to.

    Args:
        records: of scans on one grid (brought to RAS), `image` and `mask` relative to `dataset_dir`.
        dataset_dir: folder of the cohort.
        mask: `auto` or `nonzero`.
        scans: how many scans to look at.

    Returns:
        The box; without a crop where masks cannot be told, or the scans lie at different places.

    Raises:
        ScanError: when a header cannot be read.
    """
    folder = Path(dataset_dir)
    chosen = [records[i] for i in np.unique(np.linspace(0, len(records) - 1, scans).round().astype(int))]
    headers = [read_header(folder / record["image"]) for record in chosen]
    grids = [ras_grid(header) for header in headers]
    shape = grids[0].shape
    found = [_mask(record, folder, header, mask) for record, header in zip(chosen, headers, strict=True)]
    masks = [outcome for outcome in found if not isinstance(outcome, ScanError)]
    faults = [outcome for outcome in found if isinstance(outcome, ScanError)]
    if len(faults) > len(masks):
        return BrainBox(shape, None, None, f"no crop: {faults[0]}")
    voxels = int(np.median([mask.sum() for mask in masks]))
    if not all(grid.is_at_place_of(grids[0]) for grid in grids):
        return BrainBox(shape, None, voxels, "no crop: the grids lie at different places, one box would not fit them")
    crop = _box(np.any(masks, axis=0), [max(1, round(MARGIN_MM / size)) for size in grids[0].voxel_size])
    size = [stop - start for start, stop in crop]
    if max(size) <= 8:
        return BrainBox(shape, None, voxels, "no crop: the box of the brain is too small for the encoder")
    if tuple(size) == shape:
        return BrainBox(shape, None, voxels, "no crop: the masks reach the edges of the grid")
    bounds: Crop = [
        None if (start, stop) == (0, length) else [start, stop]
        for (start, stop), length in zip(crop, shape, strict=True)
    ]
    count = "1 scan" if len(masks) == 1 else f"{len(masks)} scans"
    why = f"box around the masks of {count} with {MARGIN_MM:g} mm of room"
    return BrainBox((size[0], size[1], size[2]), bounds, voxels, why)


def _mask(record: Record, folder: Path, header: ScanHeader, policy: str) -> np.ndarray | ScanError:
    """The mask of a scan, bool, brought to RAS; or why there is none."""
    image, given = folder / record["image"], record.get("mask")
    try:
        run = next(stored_runs(image, header)).copy()
        frames = run.reshape(len(run), *reversed(header.spatial_shape)).transpose(0, 3, 2, 1)
        found, _ = choose_mask(
            StoredFrames(frames, header.slope, header.intercept),
            header.affine,
            mask_file=None if given is None else folder / given,
            policy=policy,
            source=image,
        )
    except ScanError as error:
        return error
    return nib.orientations.apply_orientation(found.numpy(), nib.orientations.io_orientation(header.affine)).astype(
        bool
    )


def _box(mask: np.ndarray, margins: Sequence[int]) -> list[tuple[int, int]]:
    """Start and stop per axis of what holds a mask, with margins."""
    bounds = []
    for axis, margin in enumerate(margins):
        filled = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        bounds.append((max(0, int(filled[0]) - margin), min(mask.shape[axis], int(filled[-1]) + 1 + margin)))
    return bounds
