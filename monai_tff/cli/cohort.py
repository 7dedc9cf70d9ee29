"""Makes the cohort that an experiment describes: simulated scans and their datalist."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from monai_tff.cli.datalist import datalist
from monai_tff.cli.simulate import simulate

STEPS: dict[str, Callable[..., None]] = {"simulate": simulate, "datalist": datalist}


def make_cohort(plan: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Simulates the cohort of an experiment and writes its datalist, or those of its folds, unless they are there.

    Args:
        plan: `simulate` and `datalist`: the options of these commands, with `_` for `-`.
        folder: folder of the cohort.

    Returns:
        The overrides `dataset_dir` and `datalist`; for folds the latter is what the names of theirs begin with.

    Raises:
        ConfigError: for a step or an option that there is not.
    """
    _check(plan)
    path = folder / "datalist.json"
    if not _is_listed(plan["datalist"], path):
        simulate(folder, **{**plan["simulate"], "overwrite": folder.exists()})
        datalist(folder, output=path, **{**plan["datalist"], "overwrite": True})
    return {"dataset_dir": str(folder), "datalist": str(path)}


def _is_listed(options: Mapping[str, Any], path: Path) -> bool:
    """Whether all datalists are there; they are written last, one after the other."""
    from monai_tff.bundle.folds_splits import find_splits
    from monai_tff.errors import DatalistError

    if not options.get("folds") and not options.get("leave_one_site_out"):
        return path.is_file()
    try:
        return bool(find_splits(path))
    except DatalistError:
        return False


def _check(plan: Mapping[str, Any]) -> None:
    from monai_tff.errors import ConfigError

    if set(plan) != set(STEPS):
        raise ConfigError(f"cohort: has the keys {sorted(plan)}, expected {' and '.join(STEPS)}.")
    for step, command in STEPS.items():
        known = inspect.signature(command).parameters
        for option in plan[step]:
            if option not in known:
                raise ConfigError(f"cohort: {step} has no option '{option}', expected one of {', '.join(known)}.")
