"""Whether a bundle has room where it is to lie: writers of PyTorch end the whole process on a disk that is full."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from monai_tff.errors import BundleError

COPIES = 9
"""Sizes of the weights that an export needs: four files of them, the same in the zip file, and some more on the way."""

REST = 10**7
"""Bytes for everything else."""


def refuse_full_disk(out: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Refuses a destination that has no room for a bundle.

    Args:
        out: folder that gets the bundle.
        state: the weights.

    Raises:
        BundleError: with the room that there is, and the room that is needed.
    """
    needed = COPIES * sum(tensor.numel() * tensor.element_size() for tensor in state.values()) + REST
    free = shutil.disk_usage(out).free
    if free < needed:
        raise BundleError(
            f"{out}: has {free / 1e6:,.0f} MB free, expected {needed / 1e6:,.0f} MB for the bundle and its zip file; "
            "make room, or choose another --out."
        )
