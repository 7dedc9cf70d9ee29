"""Collects one row per window while whole scans are evaluated, over all processes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import pandas as pd
import torch
from ignite.engine import Engine
from monai.utils import CommonKeys

from monai_tff.contract import Target
from monai_tff.errors import ConfigError
from monai_tff.metrics import score_columns

RECORD_COLUMNS = ("subject", "session", "run", "group", "scan")


class WindowRows:
    """The scores table of an evaluation: one row per window of each scan.

    Args:
        target: what is predicted; it names the score columns.
    """

    def __init__(self, target: Target) -> None:
        self.columns = [*RECORD_COLUMNS, "window", "truth", *score_columns(target)]
        self._rows: list[tuple[Any, ...]] = []

    def reset(self) -> None:
        """Forgets all rows."""
        self._rows = []

    def add(self, engine: Engine) -> None:
        """Adds the windows of the scan that an evaluator has just been through.

        Args:
            engine: the evaluator. Its batch is a dictionary of lists with one record, its output holds the scores
                under `pred`, [windows, score columns]. The first frames of the windows are under `window_starts` of
                the output, or come from the inferer's `starts`; else the windows are numbered.

        Raises:
            ValueError: for a batch of several scans, or scores of another shape.
        """
        state: Any = engine.state
        batch, output = state.batch, state.output
        num_scans = len(batch["scan"])
        if num_scans != 1:
            raise ValueError(f"expected a batch of one whole scan, found {num_scans}; use batch_size 1.")
        scores = output[CommonKeys.PRED].detach().float().cpu()
        num_scores = len(self.columns) - len(RECORD_COLUMNS) - 2
        starts = _window_starts(engine, batch, output)
        if scores.ndim != 2 or scores.shape != (len(starts), num_scores):
            raise ValueError(
                f"{batch['scan'][0]}: the scores are of shape {tuple(scores.shape)}, expected one row for each of the "
                f"{len(starts)} windows and {num_scores} columns."
            )
        record = {name: _only(batch, name) for name in RECORD_COLUMNS}
        record["group"] = record["subject"] if record["group"] is None else record["group"]
        label = _only(batch, CommonKeys.LABEL)
        truth = math.nan if label is None else float(label)
        rows = zip(starts, scores.tolist(), strict=True)
        self._rows += [(*record.values(), int(start), truth, *values) for start, values in rows]

    def gather(self) -> pd.DataFrame:
        """The rows of all processes; each process must call it, also one that saw no scan.

        Returns:
            The table, sorted, each window once: a distributed sampler may give a scan to two processes.
        """
        everyone: Any = idist.all_gather(self._rows)
        rows = [row for own in everyone for row in own] if idist.get_world_size() > 1 else self._rows
        table = pd.DataFrame(rows, columns=self.columns).drop_duplicates(["scan", "window"])
        return table.sort_values(["subject", "session", "run", "scan", "window"], ignore_index=True)


def read_windows(path: Path, target: Target) -> pd.DataFrame:
    """Reads `windows.csv` of an evaluation.

    Args:
        path: the file.
        target: that it was evaluated on.

    Returns:
        The table of `WindowRows.gather`; a subject `007` or `NA` stays a text.

    Raises:
        ConfigError: for a file that is missing or damaged.
    """
    numbers = ["window", "truth", *score_columns(target)]
    try:
        return pd.read_csv(
            path,
            dtype=dict.fromkeys(RECORD_COLUMNS, str),
            keep_default_na=False,
            na_values={name: [""] for name in numbers},
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({error}), expected the windows of an evaluation; evaluate again."
        ) from error


def _only(batch: Mapping[str, Any], name: str) -> Any:
    values = batch.get(name)
    return None if values is None else values[0]


def _window_starts(engine: Engine, batch: Mapping[str, Any], output: Mapping[str, Any]) -> list[int]:
    if "window_starts" in output:
        return torch.as_tensor(output["window_starts"]).flatten().tolist()
    starts = getattr(getattr(engine, "inferer", None), "starts", None)
    num_frames = getattr(_only(batch, CommonKeys.IMAGE), "num_frames", None)
    if starts is not None and num_frames is not None:
        return list(starts(num_frames))
    return list(range(len(output[CommonKeys.PRED])))
