"""Cohorts, datalists and scans: from files on disk to windows of compact scans.

Public names are imported on first use, so that the command line answers at once.
"""

from __future__ import annotations

import importlib
from typing import Any

# a function with its module's name: imported later, the module would take its place
from monai_tff.data.find_scans import find_scans

_HOMES = {
    "building": ("build_datalist", "build_datalists"),
    "checking": ("check_header",),
    "cohort_check": ("check_cohort", "check_headers"),
    "cohorts": ("Cohort", "read_bids", "read_cohort"),
    "content": ("VoxelHash", "content_hash", "content_hashes"),
    "datalist": ("load_datalist", "load_records", "target_of", "write_datalist"),
    "frame_codes": ("FrameCodes",),
    "frames": ("StoredFrames",),
    "grid": ("note_headers", "summarise_grid"),
    "header": ("ScanHeader", "read_header"),
    "label_statistics": ("class_weights", "target_statistics"),
    "loading": ("LoadScand", "load_scan"),
    "mask_files": ("check_mask_grid", "find_mask"),
    "masking": ("choose_mask",),
    "layers": ("contract_of", "read_dataset_layers"),
    "packed": ("PackedName", "open_packed", "verify_packed"),
    "packing": ("pack",),
    "prepare": ("PreparedScan", "prepare_scan", "prepare_scans"),
    "process_share": ("EvaluationBatches", "EvaluationScans", "TrainingBatches"),
    "quality": ("check_datalist",),
    "split_plan": ("SplitPlan",),
    "simulate": ("PlantedEffect", "SimulationOptions", "simulate_cohort"),
    "scan": ("CompactScan", "unpack_windows"),
    "test_set": ("test_set_hash",),
    "windows": ("EveryWindowSampler", "RandomWindowSampler", "WindowDataset", "WindowIndex", "collate_records"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["find_scans", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    """Imports the module that a public name lives in."""
    if name not in _HOME_OF:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *_HOME_OF})
