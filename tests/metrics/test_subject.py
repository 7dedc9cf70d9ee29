from __future__ import annotations

import dataclasses
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_tff.errors import DatalistError
from monai_tff.metrics import evaluate_units
from monai_tff.metrics.intervals import newcombe_auroc, wilson

KINDS = ["binary", "multiclass", "regression"]
NAMES = {
    "binary": [
        "accuracy",
        "balanced_accuracy",
        "sensitivity",
        "specificity",
        "auroc",
        "auprc",
        "prevalence",
        "cross_entropy",
        "brier",
        "calibration_intercept",
        "calibration_slope",
    ],
    "multiclass": [
        "accuracy",
        "balanced_accuracy",
        "auroc",
        "auprc",
        "cross_entropy",
        "brier",
        "sensitivity_a",
        "sensitivity_b",
        "sensitivity_c",
    ],
    "regression": [
        "mae",
        "mse",
        "nmse",
        "pearson_r",
        "r2",
        "calibration_intercept",
        "calibration_slope",
        "baseline_mae",
        "baseline_mse",
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_names_counts_and_no_warning(kind, targets, make_units):
    units = make_units(kind, 60, groups=40)
    result = evaluate_units(units, targets[kind], baseline_value=40.0, bootstrap_samples=200)
    assert list(result.values) == NAMES[kind] == list(result.intervals)
    assert (result.num_units, result.num_subjects, result.num_groups) == (60, 60, 40)
    assert result.warnings == []
    assert all(isinstance(value, float) for value in result.values.values())


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    number=st.integers(1, 30),
    groups=st.integers(1, 30),
    strength=st.floats(-1, 3),
    seed=st.integers(0, 1000),
)
def test_intervals_contain_the_values(targets, make_units, kind, number, groups, strength, seed):
    units = make_units(kind, number, groups=groups, strength=strength, seed=seed)
    result = evaluate_units(units, targets[kind], baseline_value=41.0, bootstrap_samples=100, seed=seed)
    for name, (low, high) in result.intervals.items():
        value = result.values[name]
        assert np.isnan(low) == np.isnan(high)
        assert np.isnan(low) or low <= value <= high
        if np.isnan(value):
            assert np.isnan(low)
            assert any(name in sentence for sentence in result.warnings)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_units_changes_nothing(kind, targets, make_units):
    units = make_units(kind, 30, groups=11)
    shuffled = units.sample(frac=1, random_state=4)
    first, second = (evaluate_units(table, targets[kind], bootstrap_samples=50) for table in (units, shuffled))
    assert dataclasses.asdict(first) == dataclasses.asdict(second)


def test_intervals_follow_the_seed_and_values_do_not(targets, make_units):
    units = make_units("binary", 30)
    results = [evaluate_units(units, targets["binary"], bootstrap_samples=50, seed=seed) for seed in (0, 0, 1)]
    assert results[0] == results[1]
    assert results[0].values == results[2].values
    assert results[0].intervals != results[2].intervals


def test_coverage_of_the_auroc_interval(targets, make_units):
    """The area of normal scores 2 apart with unit spread is 0.9214; 95 % intervals hold it in about 95 % of cohorts."""
    inside = 0
    for seed in range(100):
        units = make_units("binary", 60, seed=seed)
        low, high = evaluate_units(units, targets["binary"], bootstrap_samples=200).intervals["auroc"]
        inside += low <= 0.9214 <= high
    assert 85 <= inside <= 100


def test_closed_forms_where_the_bootstrap_degenerates(targets, make_units):
    units = make_units("binary", 24)
    units["score"] = 0.1 + 0.8 * units["truth"] + np.linspace(0, 0.05, 24)
    result = evaluate_units(units, targets["binary"])
    assert result.values["auroc"] == result.values["balanced_accuracy"] == 1.0
    assert result.intervals["auroc"] == newcombe_auroc(1.0, 12, 12)
    assert result.intervals["sensitivity"] == result.intervals["specificity"] == wilson(1.0, 12)
    assert result.intervals["accuracy"] == wilson(1.0, 24)
    low, high = result.intervals["balanced_accuracy"]
    assert low == pytest.approx(1 - (1 - wilson(1.0, 12)[0]) / 2**0.5)
    assert high == 1.0
    assert result.intervals["cross_entropy"][0] < result.intervals["cross_entropy"][1]
    assert np.isnan(result.values["calibration_slope"])
    assert np.isfinite(result.values["calibration_intercept"])
    assert result.warnings == [
        "calibration_slope not defined: the scores separate the classes.",
        "no interval for auprc: every bootstrap draw gives the same value.",
    ]


def test_closed_forms_count_groups_not_units(targets, make_units):
    units = make_units("binary", 24)
    units["score"] = 0.1 + 0.8 * units["truth"]
    units["group"] = [f"g{index // 2}" for index in range(24)]
    assert evaluate_units(units, targets["binary"]).intervals["accuracy"] == wilson(1.0, 12)


def test_closed_forms_of_several_classes(targets, make_units):
    units = make_units("multiclass", 30)
    units[["score_0", "score_1", "score_2"]] = np.eye(3)[units["truth"].astype(int)] * 0.7 + 0.1
    result = evaluate_units(units, targets["multiclass"])
    assert result.intervals["auroc"] == pytest.approx(newcombe_auroc(1.0, 10, 20))
    assert result.intervals["sensitivity_b"] == wilson(1.0, 10)
    low = result.intervals["balanced_accuracy"][0]
    assert low == pytest.approx(1 - (1 - wilson(1.0, 10)[0]) / 3**0.5)
    assert result.warnings == [
        "no interval for auprc, cross_entropy, brier: every bootstrap draw gives the same value."
    ]


def test_few_subjects_of_a_class_are_named(targets, make_units):
    result = evaluate_units(make_units("binary", 19, strength=0.3), targets["binary"], bootstrap_samples=50)
    assert result.warnings == ["only 9 subjects of class 'M' (fewer than 10): these numbers are uncertain."]
    result = evaluate_units(make_units("regression", 9), targets["regression"], bootstrap_samples=50)
    assert result.warnings == ["only 9 subjects (fewer than 10): these numbers are uncertain."]


def test_sessions_of_one_subject_do_not_count_as_subjects(targets, make_units):
    units = make_units("binary", 40)
    units["subject"] = [f"{index // 4:02}" for index in range(40)]
    units["session"] = [str(index % 4) for index in range(40)]
    result = evaluate_units(units, targets["binary"], bootstrap_samples=50)
    assert (result.num_units, result.num_subjects) == (40, 10)


def test_one_class_only(targets, make_units):
    units = make_units("binary", 24).assign(truth=1.0)
    result = evaluate_units(units, targets["binary"], bootstrap_samples=50)
    assert np.isfinite([result.values[name] for name in ("accuracy", "sensitivity", "cross_entropy")]).all()
    assert result.warnings == [
        "only 0 subjects of class 'F' (fewer than 10): these numbers are uncertain.",
        "balanced_accuracy, specificity, auroc, auprc, calibration_intercept, calibration_slope not defined: there is "
        "no subject of class 'F'.",
    ]


def test_a_class_absent_of_several(targets, make_units):
    units = make_units("multiclass", 40)
    units = units[units["truth"] != 1]
    result = evaluate_units(units, targets["multiclass"], bootstrap_samples=50)
    sentence = "balanced_accuracy, auroc, auprc, sensitivity_b not defined: there is no subject of class 'b'."
    assert sentence in result.warnings
    assert np.isfinite(result.values["accuracy"])


def test_regression_without_spread(targets, make_units):
    units = make_units("regression", 12).assign(truth=0.0)
    result = evaluate_units(units, targets["regression"], bootstrap_samples=50)
    assert result.warnings == [
        "nmse is not defined: a true value is 0.",
        "pearson_r is not defined: true or predicted values are all equal.",
        "r2 is not defined: all true values are equal.",
        "calibration_slope is not defined: true or predicted values are all equal.",
    ]


def test_one_group_has_no_bootstrap(targets, make_units):
    result = evaluate_units(make_units("regression", 12, groups=1), targets["regression"], bootstrap_samples=50)
    assert np.isnan(list(result.intervals.values())).all()
    assert result.warnings == [
        "no interval for mae, mse, nmse, pearson_r, r2, calibration_intercept, calibration_slope: every bootstrap "
        "draw gives the same value."
    ]


def test_without_a_bootstrap(targets, make_units):
    result = evaluate_units(make_units("binary", 24), targets["binary"], bootstrap_samples=0)
    assert result.intervals == {}
    assert list(result.values) == NAMES["binary"]


def test_the_threshold_moves_sensitivity_and_specificity(targets, make_units):
    units = make_units("binary", 40)
    low, high = (evaluate_units(units, targets["binary"], threshold=t, bootstrap_samples=0).values for t in (0.0, 1.0))
    assert (low["sensitivity"], low["specificity"]) == (1.0, 0.0)
    assert (high["sensitivity"], high["specificity"]) == (0.0, 1.0)
    assert low["auroc"] == high["auroc"]


def test_a_threshold_of_each_unit_goes_with_it(targets, make_units):
    """As for pooled folds, each of which has a threshold of its own."""
    units = make_units("binary", 41)
    thresholds = np.random.default_rng(0).uniform(0.2, 0.8, 41)
    named = units["score"].to_numpy() > thresholds
    order = np.random.default_rng(1).permutation(41)
    result = evaluate_units(units.iloc[order], targets["binary"], threshold=thresholds[order], bootstrap_samples=0)
    assert result.values["accuracy"] == pytest.approx((named == (units["truth"] == 1)).mean())


def test_a_slope_that_many_draws_cannot_bound_has_no_interval(targets, make_units):
    units = make_units("binary", 24, strength=2.0, seed=3)
    result = evaluate_units(units, targets["binary"], bootstrap_samples=400)
    assert np.isfinite(result.values["calibration_slope"])
    assert np.isnan(result.intervals["calibration_slope"]).all()
    assert result.warnings == [
        "no interval for calibration_slope: in more than 2.5 % of the bootstrap draws the scores separate the classes."
    ]


def test_equal_scores_have_no_slope(targets, make_units):
    result = evaluate_units(make_units("binary", 24).assign(score=0.3), targets["binary"], bootstrap_samples=50)
    assert "calibration_slope not defined: all scores are equal." in result.warnings
    assert result.values["calibration_intercept"] == pytest.approx(-np.log(0.3 / 0.7))
    assert result.intervals["prevalence"][0] < 0.5 < result.intervals["prevalence"][1]


def test_calibration_error_from_two_hundred_subjects_on(targets, make_units):
    units = make_units("binary", 200)
    result = evaluate_units(units, targets["binary"], bootstrap_samples=100)
    low, high = result.intervals["expected_calibration_error"]
    # percentiles of the draws would lie above the value, which noise makes too large already
    assert 0 <= low < result.values["expected_calibration_error"] - 0.02
    assert high < 2 * result.values["expected_calibration_error"]
    for few in (units.iloc[1:], units.assign(subject=[f"{index // 2}" for index in range(200)])):
        assert list(evaluate_units(few, targets["binary"], bootstrap_samples=0).values) == NAMES["binary"]


@pytest.mark.parametrize(
    ("kind", "truth", "expected"),
    [
        ("binary", np.nan, "is nan, expected a class index from 0 to 1"),
        ("binary", 2.0, "is 2, expected a class index from 0 to 1"),
        ("multiclass", 0.5, "is 0.5, expected a class index from 0 to 2"),
        ("regression", np.nan, "is nan, expected a number"),
    ],
)
def test_truth_that_is_none(kind, truth, expected, targets, make_units):
    units = make_units(kind, 12)
    units.loc[3, "truth"] = truth
    with pytest.raises(DatalistError, match=f"of subject '0003' {expected}; leave out subjects without a label"):
        evaluate_units(units, targets[kind])


def test_no_units(targets):
    with pytest.raises(DatalistError, match="no unit to evaluate 'sex' on"):
        evaluate_units(pd.DataFrame(columns=["subject", "truth"]), targets["binary"])


def test_a_thousand_units_take_less_than_two_seconds(targets, make_units):
    units = make_units("binary", 1000)
    start = time.process_time()
    result = evaluate_units(units, targets["binary"])
    assert result.intervals["calibration_slope"][0] < result.values["calibration_slope"]
    assert time.process_time() - start < 2.0
