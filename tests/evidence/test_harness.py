"""Can the harness be fooled, and does it see a leak? Real scans, a real pipeline, random labels, a leaked label.

The pipeline is the mean-image baseline; the network's turn is benchmarks/believe.py.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from monai_tff.baselines import BaselineOptions
from monai_tff.baselines.features import fit_features, transform
from monai_tff.baselines.run import fit_models
from monai_tff.baselines.sections import read_section, score_rows
from monai_tff.bundle.finished_run import FinishedRun
from monai_tff.contract import InputContract
from monai_tff.data import SplitPlan, read_bids, simulate_cohort, target_of, write_datalist
from monai_tff.data.building import build_datalists
from monai_tff.metrics import aggregate, evaluate_units
from monai_tff.metrics.permutation import permutation_test

SUBJECTS, FOLDS = 210, 3


@pytest.fixture(scope="module")
def leaking(tmp_path_factory):
    """A cohort without any effect whose scans tell the sex, and nothing of the diagnosis."""
    folder = tmp_path_factory.mktemp("harness") / "cohort"
    cohort = simulate_cohort(folder, num_subjects=SUBJECTS, voxel_size=20.0, num_frames=4, seed=11, leak="sex")
    return SimpleNamespace(folder=folder, spatial_size=cohort.spatial_size)


def out_of_fold(cohort, target) -> pd.DataFrame:
    """Scoring units of every fold's test subjects, scored by the baseline of its training subjects."""
    plan = SplitPlan(folds=FOLDS, seed=2)
    cohort_records = read_bids(cohort.folder, target)
    contents = build_datalists(cohort_records, target, dataset_dir=cohort.folder, plan=plan, content=False)
    tables = []
    for number, content in enumerate(contents):
        datalist = cohort.folder.parent / f"{target}_{number}.json"
        write_datalist(content, datalist)
        contract = InputContract(spatial_size=cohort.spatial_size, window_length=4, target=target_of(datalist))
        packing = {"packed_dir": None, "encoding": "int16", "reader": None}
        run = FinishedRun(
            cohort.folder, datalist, cohort.folder, contract, packing, memory_map=False, flat=False, seed=1
        )
        training, test = read_section(run, "training"), read_section(run, "test")
        features = fit_features(run, training, ["mean_image"], BaselineOptions(), print)
        model = fit_models(run, training, features, print)["mean_image"]
        scores = model.scores(transform(run, test, features)["mean_image"])
        tables.append(aggregate(score_rows(test, scores, run.target), run.target).assign(fold=number))
    units = pd.concat(tables, ignore_index=True)
    assert (len(units), units["subject"].nunique()) == (SUBJECTS, SUBJECTS)
    return units


def auroc(units: pd.DataFrame, target) -> float:
    return evaluate_units(units, target, bootstrap_samples=0).values["auroc"]


def test_random_labels_stay_at_chance_and_a_leak_is_seen(leaking):
    tables = {name: out_of_fold(leaking, name) for name in ("diagnosis", "sex")}
    targets = {name: target_of(leaking.folder.parent / f"{name}_0.json") for name in tables}
    assert 0.40 <= auroc(tables["diagnosis"], targets["diagnosis"]) <= 0.60
    assert auroc(tables["sex"], targets["sex"]) > 0.9
    p = {name: permutation_test(units, targets[name], units["fold"], samples=300).p for name, units in tables.items()}
    assert p["sex"] < 0.01 < p["diagnosis"]
    # the same scores, and labels drawn anew within each fold
    drawn = tables["sex"].groupby("fold")["truth"].transform(np.random.default_rng(0).permutation)
    assert 0.40 <= auroc(tables["sex"].assign(truth=drawn), targets["sex"]) <= 0.60
