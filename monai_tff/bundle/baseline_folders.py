"""Where the baselines of a run or of a set of folds lie, and what they are called."""

from __future__ import annotations

from pathlib import Path

COVARIATES = ("age", "sex", "site", "motion")
"""What is known of a scan besides its voxels, as the records of a datalist name it."""

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
