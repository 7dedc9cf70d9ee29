"""Small studies on simulated cohorts: what the committed experiments share.

A study makes a cohort at 20 mm (8 x 10 x 9 voxels), so that one training takes seconds on a CPU, and runs the shipped
demo experiment on it with smaller networks. Every run is the same job that `python -m monai_tff run` does.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from monai_tff.bundle.experiment import read_experiment, run_experiment
from monai_tff.cli.cohort import make_cohort
from monai_tff.networks import TFFAutoEncoder, TFFPredictor, TFFReconstructor

SPATIAL_SIZE = (8, 10, 9)
WINDOW_LENGTH = 10
HIDDEN_SIZE = 64
COMMON = {"spatial_size": list(SPATIAL_SIZE), "hidden_size": HIDDEN_SIZE, "use_tensorboard": False}
PHASES: dict[str, dict[str, Any]] = {
    "autoencoder": {"max_epochs": 3, "windows_per_scan": 32, "batch_size": 32, "max_validation_windows": 4},
    "transformer": {
        "window_length": WINDOW_LENGTH,
        "max_epochs": 4,
        "windows_per_scan": 4,
        "batch_size": 4,
        "max_validation_windows": 2,
    },
    "finetune": {"window_length": WINDOW_LENGTH, "max_epochs": 10, "windows_per_scan": 4, "batch_size": 8},
}


def cohort(folder: Path, effect: str | None, seed: int, subjects: int, ratios: str) -> dict[str, str]:
    """Simulates a cohort with one planted effect on sex (none for None); returns the overrides that name it."""
    simulate = {
        "subjects": subjects,
        "voxel_size": 20.0,
        "frames": 60,
        "seed": seed,
        "effect": [effect] if effect else [],
    }
    return make_cohort({"simulate": simulate, "datalist": {"target": "sex", "ratios": ratios, "seed": seed}}, folder)


def run(folder: Path, paths: Mapping[str, str], seed: int, phases: Sequence[str], **finetune: Any) -> dict[str, Any]:
    """Runs phases of the demo's experiment in a folder; returns the test metrics of its `metrics.json`."""
    plan = read_experiment("monai_tff:configs/experiments/demo.yaml")
    overrides = {name: dict(values) for name, values in PHASES.items()}
    overrides["finetune"] |= finetune
    overrides[""] = {**COMMON, **paths, "seed": seed}
    metrics = folder / "finetune" / "evaluation" / "metrics.json"
    if not metrics.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log.txt").open("a") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            run_experiment(plan, folder, overrides, phases=phases, resume=True, say=print)
    return json.loads(metrics.read_text())["values"]


def flops_per_window() -> dict[str, int]:
    """Floating-point operations of one forward pass of one window, by phase."""
    networks = {
        "autoencoder": (TFFAutoEncoder(SPATIAL_SIZE, hidden_size=HIDDEN_SIZE), 1),
        "transformer": (TFFReconstructor(SPATIAL_SIZE, hidden_size=HIDDEN_SIZE), WINDOW_LENGTH),
        "finetune": (TFFPredictor(SPATIAL_SIZE, hidden_size=HIDDEN_SIZE), WINDOW_LENGTH),
    }
    counts = {}
    for phase, (network, frames) in networks.items():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, 2, *SPATIAL_SIZE, frames))
        counts[phase] = counter.get_total_flops()
    return counts


def training_flops() -> dict[str, int]:
    """Forward operations of a whole training per subject, by phase; the backward pass is the same multiple for all."""
    per_window = flops_per_window()
    return {
        phase: per_window[phase] * values["max_epochs"] * values["windows_per_scan"] for phase, values in PHASES.items()
    }


def describe() -> str:
    """The study's settings as YAML, for the head of a result table."""
    return yaml.safe_dump({"common": COMMON, **PHASES}, sort_keys=False)
