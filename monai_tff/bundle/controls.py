"""Controls of a finished run: what its weights say of test scans that were spoilt on purpose."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from monai_tff.bundle.experiment import run_workflow
from monai_tff.bundle.finished_run import FinishedRun, read_finished_run
from monai_tff.bundle.processes import by_first_process
from monai_tff.data.test_set import test_set_hash
from monai_tff.networks import weights_digest

SHUFFLED_FRAMES = Path("controls") / "shuffled_frames"
"""Folder of a run, of the files of the evaluation."""


def evaluate_shuffled(run_folder: str | Path) -> Path:
    """Evaluates the best weights of a run on its test scans with the frames of each in a random order.

    A network that scores such scans as well as the scans themselves has learned nothing from the course of time. The
    orders follow from the seed of the run. Every process of a run must take part.

    Args:
        run_folder: run folder of phase 3.

    Returns:
        The folder of the files; where it holds those of the same weights, test set and seed already, nothing is done.

    Raises:
        ConfigError: for a folder that holds no finished run of phase 3.
        DatalistError: for a datalist that is not there any more, or has no test subjects.
    """
    run = by_first_process(partial(read_finished_run, run_folder))
    folder = run.folder / SHUFFLED_FRAMES
    if by_first_process(partial(_is_there, run, folder)):
        print(f"{folder} is finished already", flush=True)
        return folder
    run_workflow([str(run.config)], "eval", {"output_dir": str(folder), "frame_order_seed": run.seed})
    return folder


def _is_there(run: FinishedRun, folder: Path) -> bool:
    """Whether the metrics, which are written last, are of this control."""
    try:
        content: Any = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        found = [content[name] for name in ("kind", "frame_order_seed", "temperature", "threshold", "model")]
        test_set = content["ledger"]["test_set"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    calibrated = [run.contract.temperature, run.contract.threshold]
    expected = ["control", run.seed, *calibrated, weights_digest(run.weights)]
    return found == expected and test_set == test_set_hash(run.datalist)
