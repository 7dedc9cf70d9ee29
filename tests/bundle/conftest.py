"""What tests of a calibrated run share."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logit

from monai_tff.bundle.calibration import calibrate
from monai_tff.bundle.run_workflow import run_workflow
from monai_tff.data import SplitPlan, build_datalist, load_datalist, read_bids, write_datalist


@pytest.fixture(scope="session")
def long_validation(cohort: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 subjects for training, 12 for validation and 4 for the test: enough to fit a temperature."""
    plan = SplitPlan(ratios=(0.34, 0.5, 0.16))
    path = tmp_path_factory.mktemp("datalist") / "datalist.json"
    write_datalist(build_datalist(read_bids(cohort.folder, "sex"), "sex", dataset_dir=cohort.folder, plan=plan), path)
    assert len(load_datalist(path)["validation"]) >= 10
    return path


@pytest.fixture(scope="session")
def calibrated(
    long_validation: Path,
    cohort: Any,
    phases: dict[str, Any],
    small: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run whose scores follow the classes a little and are far too sure, calibrated, then evaluated on the test."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    places = {"dataset_dir": str(cohort.folder), "datalist": str(long_validation), "run_dir": str(folder)}
    run_workflow(list(phases["finetune"].config_files), "train", {**phases["finetune"].overrides, **small, **places})
    weights = folder / "models" / "model.pt"
    # two epochs teach it nothing: what separates the classes a little is made large
    checkpoint = torch.load(weights, weights_only=True)
    validation = pd.read_csv(folder / "validation" / "windows.csv")
    logits, positive = logit(validation["score"]), validation["truth"] == 1
    factor = 4 / logits.std() * np.sign(logits[positive].mean() - logits[~positive].mean())
    checkpoint["model"]["head.weight"] *= factor
    checkpoint["model"]["head.bias"] = (checkpoint["model"]["head.bias"] - logits.mean()) * factor
    torch.save(checkpoint, weights)
    calibrate(folder)
    run_workflow([str(folder / "configs" / "evaluate.yaml")], "eval", {"bootstrap_samples": 0})
    return folder


@pytest.fixture
def calibrated_copy(calibrated: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(calibrated, tmp_path / "run"))
