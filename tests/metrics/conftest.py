from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from monai_tff.contract import Target
from monai_tff.metrics import score_columns


@pytest.fixture(scope="session")
def targets() -> dict[str, Target]:
    return {
        "binary": Target("sex", "binary", ("F", "M")),
        "multiclass": Target("site", "multiclass", ("a", "b", "c")),
        "regression": Target("age", "regression"),
    }


@pytest.fixture(scope="session")
def make_units(targets):
    """Table of units with a score that follows the truth: `make_units(kind, number, groups=, strength=, seed=)`."""

    def make(kind: str, number: int, groups: int | None = None, strength: float = 1.0, seed: int = 0) -> pd.DataFrame:
        generator = np.random.default_rng(seed)
        target = targets[kind]
        classes = len(target.class_names)
        truth = np.arange(number) % classes if classes else generator.uniform(20, 60, number)
        if kind == "regression":
            scores = (40 + strength * (truth - 40) + 5 * generator.standard_normal(number))[:, None]
        elif kind == "binary":
            scores = 1 / (1 + np.exp(-(2 * strength * (truth - 0.5) + generator.standard_normal(number))))[:, None]
        else:
            logits = generator.standard_normal((number, classes)) + 2 * strength * np.eye(classes)[truth]
            scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        table = pd.DataFrame(
            {"subject": [f"{index:04}" for index in range(number)], "session": None, "scans": 1, "windows": 3}
        )
        table["group"] = [f"g{index % (groups or number)}" for index in range(number)]
        table[score_columns(target)] = scores
        return table.assign(spread=0.0, truth=truth.astype(float))

    return make


@pytest.fixture(scope="session")
def make_windows():
    """Table of windows: `make_windows(rows)`, a row being (subject, session, scan, window, truth, score or scores)."""

    def make(rows: list[tuple]) -> pd.DataFrame:
        table = pd.DataFrame(
            [row[:5] for row in rows], columns=["subject", "session", "scan", "window", "truth"], dtype=object
        )
        scores = np.array([row[5:] for row in rows], dtype=float)
        names = ["score"] if scores.shape[1] == 1 else [f"score_{index}" for index in range(scores.shape[1])]
        table[names] = scores
        return table.assign(run=None, group=table["subject"])

    return make
