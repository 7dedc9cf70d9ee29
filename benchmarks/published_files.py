"""The published preprocessing, written anew from its description, for comparison only.

A scan is loaded as floats, cropped and trimmed; each of the two normalisations is a float32 copy of all of it, and
every frame of each is a file of its own. A window reads one file per frame and normalisation. Where the description
leaves a choice (float32 instead of float64 when loading) the faster one is taken.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import torch

CROP = (slice(8, -8), slice(8, -8), slice(None, -10))
TRIM = 10
NORMALISATIONS = ("global", "per_voxel")


def write_frames(image: Path, folder: Path) -> int:
    """Preprocesses a scan into one file per frame and normalisation; returns the bytes of all files."""
    scan = torch.from_numpy(nib.load(image).get_fdata(dtype=np.float32, caching="unchanged"))[
        (*CROP, slice(TRIM, None))
    ]
    background = scan == 0
    signal = scan[~background]
    size = _write(folder / NORMALISATIONS[0], (scan - signal.mean()) / signal.std(), background)
    by_voxel = (scan - scan.mean(dim=3, keepdim=True)) / scan.std(dim=3, keepdim=True)
    return size + _write(folder / NORMALISATIONS[1], by_voxel, background)


def _write(folder: Path, normalised: torch.Tensor, background: torch.Tensor) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    filled = torch.where(background, normalised.min(), normalised)
    for number in range(filled.shape[3]):
        # without a copy each file would hold the whole scan
        torch.save(filled[..., number].clone(), folder / f"frame_{number}.pt")
    return sum(file.stat().st_size for file in folder.iterdir())


def read_window(folder: Path, start: int, length: int) -> torch.Tensor:
    """A window of both normalisations, float32 [2, H, W, D, T]; NaN of the per-voxel files becomes 0."""
    channels = [torch.stack(frames, dim=-1) for frames in read_files(folder, start, length)]
    channels[1] = torch.nan_to_num(channels[1], nan=0.0)
    return torch.stack(channels)


def read_files(folder: Path, start: int, length: int) -> list[list[torch.Tensor]]:
    """The frames of a window as their files hold them, by normalisation."""
    return [
        [torch.load(folder / name / f"frame_{start + number}.pt") for number in range(length)]
        for name in NORMALISATIONS
    ]
