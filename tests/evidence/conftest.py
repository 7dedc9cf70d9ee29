"""Studies for the tests: a run that may be written into, folds of it, and studies drawn without any training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OneHotEncoder

from monai_tff.bundle.study_folder import Member, StudyFolder, write_study_folder
from monai_tff.contract import InputContract, Target
from monai_tff.data import SplitPlan, read_bids, write_datalist
from monai_tff.data.building import build_datalists
from monai_tff.evidence import Evaluation, Study
from monai_tff.evidence.facts import NUMBERS
from monai_tff.handlers.evaluation_files import EvaluationSettings, write_evaluation, write_table
from monai_tff.metrics.intervals import newcombe_auroc

DIAGNOSIS = Target("diagnosis", "binary", ("CONTROL", "PATIENT"))
SITES = ("site1", "site2", "site3")


@pytest.fixture
def run(runs: Any, tmp_path: Path) -> Path:
    """A copy of a finished run as its evaluation left it."""
    later = shutil.ignore_patterns("baselines", "controls", "explain", "evidence.json", "report.html")
    return shutil.copytree(runs.finetune, tmp_path / "finetune", ignore=later)


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
        place = shutil.copytree(runs.finetune, folder / f"fold-{number}" / "seed-3" / "finetune")
        members.append(Member(f"fold-{number}", 3, place, datalist))
        windows.append(_drawn_windows(content["test"], number))
    phases = ("autoencoder", "transformer", "finetune")
    write_study_folder(folder, StudyFolder("sex", phases, {}, 2, tuple(members)))
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


@pytest.fixture(scope="session")
def drawn_study() -> Callable[..., Study]:
    """Draws a study of classes: scores, covariates, and fitted baselines of single covariates; see `_drawn_study`."""
    return _drawn_study


def _drawn_study(
    seed: int,
    *,
    units: int = 150,
    model: str = "nothing",
    motion: float = 0.0,
    site: float = 0.0,
    signal: float = 2.0,
) -> Study:
    """A study of classes.

    Args:
        seed: of everything.
        units: test units, each a group; as many training units fit the baselines.
        model: what the model's score follows: `nothing`, `target`, `motion` or `site`.
        motion: difference of log motion between the classes, in standard deviations.
        site: log odds that a patient rather than a control is at the third site.
        signal: how strongly the score follows, in standard deviations.
    """
    random = np.random.default_rng(seed)
    training, test = (_draw(random, units, motion, site) for _ in range(2))
    followed = {
        "nothing": np.zeros(units),
        "target": test["truth"].to_numpy() - 0.5,
        "motion": np.log(test["motion"].to_numpy()) / 0.3,
        "site": (test["site"] == SITES[2]).to_numpy(float),
    }[model]
    score = 1 / (1 + np.exp(-(signal * (followed - followed.mean()) + random.standard_normal(units))))
    baselines = {name: _alone(name, training, test) for name in ("age", "sex", "site", "motion")}
    return Study(
        folder=Path("drawn"),
        target=DIAGNOSIS,
        contract=InputContract(spatial_size=(7, 8, 9), window_length=5, target=DIAGNOSIS),
        model=_evaluation("model", test, score),
        baselines={f"only_{name}": _evaluation(name, test, scores) for name, scores in baselines.items()},
        controls={},
        members=[],
        remarks=[],
    )


def _draw(random: np.random.Generator, units: int, motion: float, site: float) -> pd.DataFrame:
    truth = random.permutation(np.arange(units) % 2).astype(float)
    odds = np.stack([np.zeros(units), np.zeros(units), site * (truth - 0.5)], axis=1)
    shares = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    sites = [SITES[random.choice(3, p=share)] for share in shares]
    return pd.DataFrame(
        {
            "subject": [f"{number:04d}" for number in range(units)],
            "session": "",
            "group": [f"sub-{number:04d}" for number in range(units)],
            "fold": "single",
            "threshold": 0.5,
            "truth": truth,
            "site": sites,
            "sex": random.choice(["F", "M"], units),
            "age": random.integers(18, 80, units).astype(float),
            "motion": np.exp(-2 + 0.3 * (random.standard_normal(units) + motion * (truth - 0.5))),
            "motion_kind": "mean FD",
        }
    )


def _alone(name: str, training: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    if name in NUMBERS:
        features = [(table[[name]] - training[[name]].mean()) / training[[name]].std() for table in (training, test)]
    else:
        encoder = OneHotEncoder(handle_unknown="ignore").fit(training[[name]])
        features = [encoder.transform(table[[name]]) for table in (training, test)]
    return LogisticRegression().fit(features[0], training["truth"]).predict_proba(features[1])[:, 1]


def _evaluation(name: str, units: pd.DataFrame, score: np.ndarray) -> Evaluation:
    table = units.assign(score=score)
    truth = table["truth"].to_numpy()
    value = float(roc_auc_score(truth, score))
    interval = newcombe_auroc(value, int(truth.sum()), int((1 - truth).sum()))
    metrics = {
        "values": {"auroc": value},
        "intervals": {"auroc": list(interval)},
        "bootstrap": {"seed": 0, "samples": 2000},
        "counts": {"units": len(table), "subjects": len(table)},
    }
    return Evaluation(name, Path(name), metrics, table)
