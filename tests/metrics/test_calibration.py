from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score

from monai_tff.contract import InputContract, Target
from monai_tff.errors import ContractError, DatalistError
from monai_tff.metrics import Calibration, aggregate, fit_calibration, score_columns, with_temperature
from monai_tff.transforms import OutputsToScores

SEX = Target("sex", "binary", ("F", "M"))
SITE = Target("site", "multiclass", ("a", "b", "c"))
AGE = Target("age", "regression")


def windows_of(truth: np.ndarray, scores: np.ndarray) -> pd.DataFrame:
    """One row per window; `scores` is [units, windows] or [units, windows, classes]. Every other scan has a run 2."""
    units, windows = scores.shape[:2]
    unit, window = (index.ravel() for index in np.indices((units, windows)))
    table = pd.DataFrame({"subject": [f"{index:04}" for index in unit], "session": None, "window": window})
    table["group"] = table["subject"]
    run = np.where((unit % 2 == 1) & (window == windows - 1), 2, 1)
    table["scan"] = [f"{name}_run-{number}" for name, number in zip(table["subject"], run, strict=True)]
    table["truth"] = truth[unit].astype(float)
    values = scores.reshape(units * windows, -1)
    names = score_columns(SEX if values.shape[1] == 1 else SITE)
    return table.assign(**{name: values[:, index] for index, name in enumerate(names)})


def noisy_logits(truth: np.ndarray, windows: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    unit = 1.2 * (truth - 0.5) + generator.standard_normal(len(truth))
    return unit[:, None] + 0.5 * generator.standard_normal((len(truth), windows))


def test_a_planted_temperature_is_found():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, 4000)
    truth = (generator.random(4000) < expit(logits)).astype(int)
    found = fit_calibration(windows_of(truth, expit(2.5 * logits)[:, None]), SEX)
    assert found.temperature == pytest.approx(2.5, rel=0.08)
    assert found.units == 4000
    assert found.warnings == []
    assert found.cross_entropy_before == pytest.approx(log_loss(truth, expit(2.5 * logits)), rel=1e-6)
    assert found.cross_entropy_after == pytest.approx(log_loss(truth, expit(logits)), rel=1e-3)


@pytest.mark.parametrize("flat", [False, True])
def test_the_temperature_is_applied_to_windows_before_they_are_averaged(flat):
    truth = np.arange(41) % 2
    logits = 3 * noisy_logits(truth, 4, seed=3)
    windows = windows_of(truth, expit(logits))

    def by_hand(temperature: float) -> float:
        scores = expit(logits / temperature)
        means = scores.mean(axis=1)
        if not flat:
            # of two scans the second holds one window
            means[1::2] = (scores[1::2, :3].mean(axis=1) + scores[1::2, 3]) / 2
        return log_loss(truth, means)

    best = minimize_scalar(by_hand, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-8})
    found = fit_calibration(windows, SEX, flat=flat)
    assert found.temperature == pytest.approx(best.x, rel=1e-3)
    assert found.cross_entropy_after == pytest.approx(best.fun, rel=1e-7)
    assert found.cross_entropy_before == pytest.approx(by_hand(1.0), rel=1e-7)


def test_several_classes():
    generator = np.random.default_rng(4)
    truth = np.arange(300) % 3
    logits = 1.5 * np.eye(3)[truth][:, None] + generator.standard_normal((300, 2, 3))
    found = fit_calibration(windows_of(truth, softmax(4 * logits, axis=-1)), SITE)

    def by_hand(temperature: float) -> float:
        scores = softmax(4 * logits / temperature, axis=-1)
        return log_loss(truth, scores.mean(axis=1))

    best = minimize_scalar(by_hand, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-8})
    assert found.temperature == pytest.approx(best.x, rel=1e-3)
    assert found.threshold == 0.5


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.7])
def test_a_temperature_does_what_the_postprocessing_does(temperature):
    generator = torch.Generator().manual_seed(0)
    for target, outputs in ((SEX, 1), (SITE, 3)):
        logits = 4 * torch.randn((35, outputs), generator=generator)
        plain, divided = (
            OutputsToScores(InputContract((8, 10, 9), 5, target=target, temperature=value))(logits).numpy()
            for value in (1.0, temperature)
        )
        windows = pd.DataFrame(plain, columns=score_columns(target)).assign(scan="s")
        found = with_temperature(windows, target, temperature)
        np.testing.assert_allclose(found[score_columns(target)].to_numpy(), divided, rtol=1e-4, atol=1e-6)
        assert (windows[score_columns(target)].to_numpy() == plain).all()


def test_saturated_probabilities_stay_probabilities():
    windows = pd.DataFrame({"score": [0.0, 1.0, 0.5]})
    low, high, half = with_temperature(windows, SEX, 2.0)["score"]
    assert low == pytest.approx(0, abs=1e-15)
    assert high == pytest.approx(expit(24 * np.log(2) / 2), rel=1e-6)  # the largest float32 below 1
    assert half == pytest.approx(0.5)
    several = pd.DataFrame([[1.0, 0.0, 0.0]], columns=score_columns(SITE))
    assert with_temperature(several, SITE, 3.0).to_numpy().sum() == pytest.approx(1)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_none(temperature):
    with pytest.raises(ValueError, match="expected a number greater than 0"):
        with_temperature(pd.DataFrame({"score": [0.5]}), SEX, temperature)


def test_the_threshold_has_the_highest_balanced_accuracy():
    truth = (np.arange(61) % 3 == 0).astype(int)
    windows = windows_of(truth, expit(noisy_logits(truth, 3, seed=1) - 2))
    found = fit_calibration(windows, SEX)
    scores = aggregate(with_temperature(windows, SEX, found.temperature), SEX)["score"].to_numpy()
    reached = balanced_accuracy_score(truth, scores > found.threshold)
    others = [balanced_accuracy_score(truth, scores > value) for value in np.linspace(0, 1, 201)]
    assert reached >= max(others)
    assert reached > balanced_accuracy_score(truth, scores > 0.5)


@pytest.mark.parametrize(
    ("negatives", "positives", "expected"),
    [
        ([0.1, 0.2], [0.4, 0.5], 0.3),
        ([0.1, 0.45], [0.35, 0.9], 0.675),  # as good as 0.225, and closer to 0.5
        ([0.1, 0.6], [0.55, 0.9], 0.325),  # as good as 0.75, and closer to 0.5
    ],
)
def test_the_threshold_of_a_few_units(negatives, positives, expected):
    """Temperature 1 stays, as there are few units."""
    truth = np.array([0] * len(negatives) + [1] * len(positives))
    found = fit_calibration(windows_of(truth, np.array([*negatives, *positives])[:, None]), SEX)
    assert found.temperature == 1.0
    assert found.threshold == pytest.approx(expected)
    assert found.warnings == [
        "temperature 1, not fitted: only 4 validation units (fewer than 10).",
        "threshold fitted on only 2 validation subjects of class 'F' (fewer than 10).",
        "threshold fitted on only 2 validation subjects of class 'M' (fewer than 10).",
    ]


ALL_RIGHT = "temperature 1, not fitted: the scores of all validation windows are on the side of their class."
ALMOST = "temperature 1, not fitted: the best is at the bound 0.05, the scores all but separate the classes."
OPPOSED = "temperature 1, not fitted: the best is at the bound 20, the scores do not follow the classes."


@pytest.mark.parametrize(("near", "far", "sentence"), [(1, 1, ALL_RIGHT), (-0.001, 1, ALMOST), (-1, -1, OPPOSED)])
def test_a_temperature_at_its_bound_is_not_believed(near, far, sentence):
    truth = np.arange(24) % 2
    logits = np.array([near, *[far] * 7]) * 0.5 * (2 * truth[:, None] - 1) + np.linspace(-1e-5, 1e-5, 24)[:, None]
    found = fit_calibration(windows_of(truth, expit(logits)), SEX)
    assert found.temperature == 1.0
    assert found.warnings == [sentence]
    assert found.cross_entropy_after == found.cross_entropy_before


@pytest.mark.parametrize("spread", [0.5, 3.0, 9.0])
def test_no_temperature_is_fitted_where_every_window_is_right(spread):
    generator = np.random.default_rng(4)
    truth = np.arange(20) % 2
    margins = 0.2 + spread * generator.random((20, 3))
    found = fit_calibration(windows_of(truth, expit((2 * truth[:, None] - 1) * margins).astype(np.float32)), SEX)
    assert (found.temperature, found.warnings) == (1.0, [ALL_RIGHT])


def test_no_temperature_is_fitted_where_every_window_of_several_classes_is_right():
    truth = np.arange(18) % 3
    right = np.full((18, 2, 3), 0.3) + 0.1 * (np.arange(3) == truth[:, None, None])
    assert fit_calibration(windows_of(truth, right), SITE).warnings == [ALL_RIGHT]
    one_wrong = right.copy()
    one_wrong[3, 1] = one_wrong[3, 1, ::-1]
    assert ALL_RIGHT not in fit_calibration(windows_of(truth, one_wrong), SITE).warnings


def test_one_class_only():
    found = fit_calibration(windows_of(np.ones(24), np.full((24, 2), 0.3)), SEX)
    assert (found.temperature, found.threshold) == (1.0, 0.5)
    assert found.warnings == [
        "temperature 1, not fitted: there is no validation subject of class 'F'.",
        "threshold 0.5, not fitted: there is no validation subject of class 'F'.",
    ]


def test_equal_scores_have_no_threshold():
    found = fit_calibration(windows_of(np.arange(24) % 2, np.full((24, 2), 0.3)), SEX)
    assert found.threshold == 0.5
    assert "threshold 0.5, not fitted: the scores of all validation subjects are equal." in found.warnings


def test_nothing_is_fitted_for_a_number(make_windows):
    windows = make_windows([("01", None, "s", 0, 41.0, 40.0), ("02", None, "t", 0, 30.0, 35.0)])
    assert fit_calibration(windows, AGE) == Calibration(units=2)
    assert with_temperature(windows, AGE, 3.0)["score"].tolist() == [40.0, 35.0]


def test_tables_that_cannot_be_fitted():
    windows = windows_of(np.arange(24) % 2, np.full((24, 2), 0.3))
    with pytest.raises(DatalistError, match="'sex' of subject '0000' is nan"):
        fit_calibration(windows.assign(truth=np.nan), SEX)
    with pytest.raises(ContractError, match="expected probabilities"):
        fit_calibration(windows.assign(score=1.5), SEX)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), stretch=st.floats(0.1, 8), shift=st.floats(-2, 2), flat=st.booleans())
def test_a_temperature_never_makes_it_worse_nor_depends_on_the_order(seed, stretch, shift, flat):
    truth = np.arange(25) % 2
    windows = windows_of(truth, expit(stretch * noisy_logits(truth, 3, seed) + shift))
    found = fit_calibration(windows, SEX, flat=flat)
    assert found.cross_entropy_after <= found.cross_entropy_before
    assert 0.05 <= found.temperature <= 20
    shuffled = windows.sample(frac=1, random_state=seed)
    assert dataclasses.asdict(fit_calibration(shuffled, SEX, flat=flat)) == dataclasses.asdict(found)


@settings(max_examples=25, deadline=None)
@given(
    scores=st.lists(st.floats(0.001, 0.999), min_size=4, max_size=12, unique=True),
    temperature=st.floats(0.05, 20),
)
def test_a_temperature_keeps_the_order_of_single_windows(scores, temperature):
    scores = np.unique(np.round(scores, 3))
    truth = np.arange(len(scores)) % 2
    windows = windows_of(truth, scores[:, None])
    divided = with_temperature(windows, SEX, temperature)["score"]
    if len(scores) > 1:
        assert roc_auc_score(truth, divided) == roc_auc_score(truth, scores)
    assert logit(divided).to_numpy() * temperature == pytest.approx(logit(scores), rel=1e-6, abs=1e-6)
