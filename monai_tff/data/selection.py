"""Which voxels of a scan are packed, and what is removed from their time courses before."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Orientation

from monai_tff.contract import InputContract
from monai_tff.data.denoising import denoised, parse_denoising
from monai_tff.data.frames import StoredFrames
from monai_tff.data.header import ScanHeader
from monai_tff.data.mask_files import find_mask
from monai_tff.data.masking import choose_mask, known_mask
from monai_tff.transforms.spatial import RoiCrop

_AXIS_LABELS = (("L", "R"), ("P", "A"), ("I", "S"))


class VoxelSelection(NamedTuple):
    """Which voxels of a scan are kept.

    Attributes:
        mask: bool [H, W, D], after orientation and crop.
        voxels: int64 [V], where the flattened stored grid holds each voxel of the mask.
        affine: float64 [4, 4], of the mask's grid.
        origin: where the mask comes from.
    """

    mask: torch.Tensor
    voxels: torch.Tensor
    affine: torch.Tensor
    origin: str


def choose_voxels(
    frames: StoredFrames,
    header: ScanHeader,
    contract: InputContract,
    *,
    mask_file: str | os.PathLike[str] | None,
    source: str | os.PathLike[str],
) -> VoxelSelection:
    """Chooses the mask of a scan and brings it to the network's grid.

    Args:
        frames: the trimmed scan.
        header: its header.
        contract: mask policy, orientation and crop.
        mask_file: mask that the record names.
        source: the scan's file.

    Raises:
        ScanError: for a mask that cannot be used.
    """
    sibling = find_mask(source, header) if contract.mask == "auto" and mask_file is None else None
    chosen = choose_mask(
        frames, header.affine, mask_file=mask_file, sibling=sibling, policy=contract.mask, source=source
    )
    return _on_the_networks_grid(*chosen, header, contract)


def known_voxels(
    header: ScanHeader,
    contract: InputContract,
    *,
    mask_file: str | os.PathLike[str] | None,
    source: str | os.PathLike[str],
) -> VoxelSelection | None:
    """The same before any frame is read, None where the frames decide about the mask."""
    sibling = find_mask(source, header) if contract.mask == "auto" and mask_file is None else None
    shape = (header.num_frames - contract.trim, *header.spatial_shape)
    known = known_mask(shape, header.affine, mask_file=mask_file, sibling=sibling, policy=contract.mask, source=source)
    return None if known is None else _on_the_networks_grid(*known, header, contract)


def _on_the_networks_grid(
    mask: torch.Tensor, origin: str, header: ScanHeader, contract: InputContract
) -> VoxelSelection:
    numbers, affine = _voxel_numbers(header, contract)
    mask = mask.flatten()[numbers]
    return VoxelSelection(mask, numbers[mask], affine, origin)


def clean(
    frames: StoredFrames,
    voxels: torch.Tensor,
    contract: InputContract,
    image: str | os.PathLike[str],
    confounds: str | os.PathLike[str] | None,
    repetition_time: float | None,
    scratch: str | os.PathLike[str] | None = None,
) -> tuple[StoredFrames, torch.Tensor]:
    """Removes what the contract's denoising removes; every scan passes here between its mask and its packing.

    Args:
        frames: the trimmed scan.
        voxels: int64 [V], positions of the mask's voxels in it.
        contract: denoising and trim.
        image: the scan's file.
        confounds: its table of confounds.
        repetition_time: seconds.
        scratch: folder for temporary files; None for the system's.

    Returns:
        Frames, and the positions of the same voxels in them.
    """
    if parse_denoising(contract.denoising) is None or len(voxels) == 0:
        return frames, voxels
    cleaned = denoised(
        frames,
        voxels,
        denoising=contract.denoising,
        image=image,
        confounds=confounds,
        repetition_time=repetition_time,
        trim=contract.trim,
        scratch=scratch,
    )
    return cleaned, torch.arange(len(voxels))


def _voxel_numbers(header: ScanHeader, contract: InputContract) -> tuple[torch.Tensor, torch.Tensor]:
    """For each voxel of the network's grid its position in the flattened stored grid, int64, and the grid's affine."""
    grid = header.spatial_shape
    steps: list[Callable] = [RoiCrop(contract.crop)]
    if contract.axis_codes is not None:
        steps.insert(0, Orientation(axcodes=contract.axis_codes, labels=_AXIS_LABELS))
    numbers = torch.arange(int(np.prod(grid))).reshape(1, *grid)
    moved = Compose(steps)(MetaTensor(numbers, affine=torch.as_tensor(header.affine)))
    return moved.as_tensor()[0], moved.affine
