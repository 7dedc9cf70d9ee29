"""Studies drawn at random, without any training: scores, covariates, and the baselines of single covariates."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from monai_tff.contract import InputContract, Target
from monai_tff.evidence import Evaluation, Study
from monai_tff.evidence.facts import NUMBERS
from monai_tff.evidence.within import main_numbers
from monai_tff.metrics.intervals import bootstrap_intervals

DIAGNOSIS = Target("diagnosis", "binary", ("CONTROL", "PATIENT"))
SITES = ("site1", "site2", "site3")


def drawn_study(
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
    compute = partial(
        main_numbers,
        truth=table["truth"].to_numpy(),
        scores=score[:, None],
        levels=np.zeros(len(table), dtype=int),
        kind="binary",
    )
    value = float(compute(np.ones((1, len(table))))["pooled"][0])
    interval = bootstrap_intervals(compute, table["group"].tolist(), 500, 0)["pooled"]
    metrics = {
        "values": {"auroc": value},
        "intervals": {"auroc": list(interval)},
        "bootstrap": {"seed": 0, "samples": 500},
        "counts": {"units": len(table), "subjects": len(table)},
    }
    return Evaluation(name, Path(name), metrics, table)
