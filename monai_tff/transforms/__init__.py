"""Transforms of scans and scores, MONAI style: an array version and a dictionary version (`...d`) of each.

Public names are imported on first use, so that the command line answers at once.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "augmentation": ("WindowAugmentation",),
    "intensity": (
        "GlobalNormalise",
        "GlobalNormalised",
        "TwoChannelStack",
        "TwoChannelStackd",
        "VoxelNormalise",
        "VoxelNormalised",
        "normalise_global",
        "normalise_voxels",
        "two_channels",
    ),
    "scores": ("OutputsToScores", "OutputsToScoresd"),
    "spatial": ("RoiCrop", "RoiCropd", "cropped_size"),
    "statistics": ("GlobalStatistics", "VoxelStatistics", "global_statistics", "voxel_statistics"),
    "temporal": (
        "RandTemporalWindow",
        "RandTemporalWindowd",
        "TemporalWindow",
        "TemporalWindowd",
        "TrimFrames",
        "TrimFramesd",
        "published_window_count",
        "take_window",
        "window_starts",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    """Imports the module that a public name lives in."""
    if name not in _HOME_OF:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *_HOME_OF})
