"""Where the baselines of a run or of a set of folds lie, and what they are called."""

from __future__ import annotations

from pathlib import Path

COVARIATES = ("age", "sex", "site", "motion")
"""What is known of a scan besides its voxels, as the records of a datalist name it."""

SAME_NUMBER = {"age": 1.0, "motion": 1e-6}
"""Covariates that are numbers, and the difference up to which one says the same as a target, which it is then no
covariate of: ages within a year, by rounding or by the date they were taken at."""

BASELINES = ("covariates", *(f"only_{name}" for name in COVARIATES), "mean_image", "connectivity")
"""Every baseline, in the order in which they are fitted and shown."""

FOLDER = "baselines"


def baseline_folder(folder: str | Path, name: str) -> Path:
    """The folder of one baseline.

    Args:
        folder: a run folder of phase 3, or a folder of folds.
        name: one of `BASELINES`.
    """
    return Path(folder) / FOLDER / name
