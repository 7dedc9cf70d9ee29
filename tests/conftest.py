"""A small simulated cohort that the tests of the bundles and commands share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

# Set before torch is imported: the tests' networks are too small to gain from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
SPATIAL_SIZE = [8, 10, 9]
SMALL = {
    "spatial_size": SPATIAL_SIZE,
    "hidden_size": 32,
    "window_length": 5,
    "use_perceptual": False,
    "use_tensorboard": False,
    "max_epochs": 2,
    "batch_size": 4,
    "windows_per_scan": 1,
}


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """24 simulated subjects at 20 mm with 12 frames, and datalists for three kinds of target."""
    from monai_tff.data import build_datalist, read_bids, simulate_cohort, write_datalist
    from monai_tff.data.simulate import PlantedEffect

    folder = tmp_path_factory.mktemp("cohort") / "simulated"
    effects = {"sex": [PlantedEffect("regional_mean", size=3.0)], "age": [PlantedEffect("regional_mean", size=3.0)]}
    simulate_cohort(folder, num_subjects=24, voxel_size=20.0, num_frames=12, seed=3, num_sites=3, effects=effects)
    datalists = {}
    for target in ("sex", "age", "site"):
        records, left_out = read_bids(folder, target)
        content = build_datalist(records, target, dataset_dir=folder, left_out=left_out, ratios=(0.5, 0.25, 0.25))
        datalists[target] = folder / f"datalist_{target}.json"
        write_datalist(content, datalists[target])
    return SimpleNamespace(folder=folder, datalists=datalists)


def run_python(*arguments: str, folder: Path | None = None, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Runs this Python with arguments in a folder; nothing is raised for a non-zero exit code."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture
def stock(tmp_path: Path):
    """Calls `python -m monai.bundle run ID` in an empty folder: stock(id, [config files], key=value, ...)."""

    def call(run_id: str, config_files: list[str | Path], **overrides: object) -> subprocess.CompletedProcess[str]:
        files = json.dumps([str(file) for file in config_files])
        options = [part for key, value in overrides.items() for part in (f"--{key}", str(value))]
        return run_python("-m", "monai.bundle", "run", run_id, "--config_file", files, *options, folder=tmp_path)

    return call
