from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from monai_tff.contract import Target
from monai_tff.metrics import aggregate, evaluate_units

EXPECTED = json.loads((Path(__file__).parent / "expected.json").read_text())["metrics"]
TARGETS = {
    "binary_classification": Target("sex", "binary", ("F", "M")),
    "regression": Target("age", "regression"),
}
PUBLISHED_NAMES = {
    "binary_classification": {
        "val_AUROC": "auroc",
        "val_Balanced_Accuracy": "balanced_accuracy",
        "val_Regular_Accuracy": "accuracy",
    },
    "regression": {"val_MAE": "mae", "val_MSE": "mse", "val_NMSE": "nmse"},
}


def make_units(kind: str) -> pd.DataFrame:
    windows = pd.DataFrame(EXPECTED[kind]["windows"])
    windows["window"] = windows.groupby("subject").cumcount()
    windows = windows.assign(session=None, run=None, group=windows["subject"], scan=windows["subject"])
    return aggregate(windows, TARGETS[kind], flat=True)


@pytest.mark.parametrize("kind", TARGETS)
def test_subject_level_numbers(kind):
    values = evaluate_units(make_units(kind), TARGETS[kind]).values
    for published, name in PUBLISHED_NAMES[kind].items():
        assert values[name] == pytest.approx(EXPECTED[kind][published], rel=1e-6), name


@pytest.mark.parametrize("kind", TARGETS)
def test_mean_and_spread_of_the_subjects_in_the_published_text_file(kind):
    lines = iter(EXPECTED[kind]["subject_file"])
    units = make_units(kind).set_index("subject")
    for line in lines:
        subject = line.removeprefix("subject:").split()[0]
        mean_and_spread, truth = next(lines).removeprefix("outputs: ").split("  -  truth: ")
        found = units.loc[subject]
        assert f"{found['score']:.4f}±{found['spread']:.4f}" == mean_and_spread
        assert found["truth"] == float(truth)
