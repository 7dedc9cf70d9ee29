"""Finished studies for the tests: a run that may be written into, and folds of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from monai_tff.contract import Target
from monai_tff.data import SplitPlan, read_bids, write_datalist
from monai_tff.data.building import build_datalists
from monai_tff.handlers.evaluation_files import EvaluationSettings, write_evaluation, write_table


@pytest.fixture
def run(runs: Any, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return shutil.copytree(runs.finetune, tmp_path / "finetune")


@pytest.fixture(scope="session")
def folds_folder(runs: Any, cohort: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds: each a run with the datalist of its fold; drawn scores of all 24 subjects, pooled."""
    folder = tmp_path_factory.mktemp("folds") / "sex"
    plan = SplitPlan(folds=2, seed=1)
    contents = build_datalists(read_bids(cohort.folder, "sex"), "sex", dataset_dir=cohort.folder, plan=plan)
    members, windows = [], []
    for number, content in enumerate(contents, start=1):
        datalist = cohort.folder / f"datalist_sex_{number}.json"
        write_datalist(content, datalist)
        member = folder / f"fold-{number}" / "seed-3"
        config = shutil.copytree(runs.finetune, member / "finetune") / "configs" / "evaluate.yaml"
        config.write_text(config.read_text().replace("datalist_sex.json", datalist.name))
        members.append(
            {"split": f"fold-{number}", "seed": 3, "folder": f"fold-{number}/seed-3", "datalist": str(datalist)}
        )
        windows.append(_drawn_windows(content["test"], number))
    description = {"experiment": "sex", "phases": ["autoencoder", "transformer", "finetune"], "members": members}
    (folder / "folds.json").write_text(json.dumps(description))
    _write_pooled(folder / "evaluation", pd.concat(windows, ignore_index=True))
    return folder


def _drawn_windows(records: list[dict[str, Any]], seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    rows = [
        {
            **{name: record[name] for name in ("subject", "session", "run", "group")},
            "scan": record["image"],
            "window": 0,
            "truth": float(record["label"] == "M"),
            "score": random.random(),
            "fold": f"fold-{seed}",
        }
        for record in records
    ]
    return pd.DataFrame(rows)


def _write_pooled(folder: Path, windows: pd.DataFrame) -> None:
    write_evaluation(folder, windows, EvaluationSettings(Target("sex", "binary", ("F", "M")), seed=3))
    folds = windows.set_index("subject")["fold"]
    units = pd.read_csv(folder / "predictions.csv", dtype={"subject": str})
    write_table(folder / "predictions.csv", units.assign(fold=units["subject"].map(folds), threshold=0.5))
