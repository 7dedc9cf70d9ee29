from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from monai_tff.metrics.values import (
    binary_values,
    multiclass_values,
    regression_values,
    weighted_auprc,
    weighted_auroc,
)

NUMBER = 37


@pytest.fixture
def weights():
    """The plain estimate, and four draws of a bootstrap."""
    generator = np.random.default_rng(5)
    draws = generator.multinomial(NUMBER, np.full(NUMBER, 1 / NUMBER), size=4)
    return np.concatenate([np.ones((1, NUMBER)), draws])


def repeat(weights: np.ndarray, *arrays: np.ndarray) -> list[np.ndarray]:
    """Each unit as often as its weight says: what the weights stand for."""
    return [np.repeat(array, weights.astype(int), axis=0) for array in arrays]


@pytest.mark.parametrize("decimals", [1, 8], ids=["with ties", "without ties"])
def test_binary_values_equal_scikit_learn(weights, decimals):
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, NUMBER).astype(float)
    score = np.clip(0.3 * truth + 0.7 * generator.random(NUMBER), 0, 1).round(decimals)
    found = binary_values(truth, score, weights, threshold=0.4)
    for draw, row in enumerate(weights):
        true, probability = repeat(row, truth, score)
        predicted = probability > 0.4
        expected = {
            "accuracy": sklearn_metrics.accuracy_score(true, predicted),
            "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(true, predicted),
            "sensitivity": sklearn_metrics.recall_score(true, predicted),
            "specificity": sklearn_metrics.recall_score(true, predicted, pos_label=0),
            "auroc": sklearn_metrics.roc_auc_score(true, probability),
            "auprc": sklearn_metrics.average_precision_score(true, probability),
            "prevalence": true.mean(),
            "cross_entropy": sklearn_metrics.log_loss(true, np.clip(probability, 1e-7, 1 - 1e-7)),
            "brier": sklearn_metrics.brier_score_loss(true, probability),
        }
        calibration = {"calibration_intercept", "calibration_slope"}  # compared in test_values_calibration.py
        assert set(found) == set(expected) | calibration
        assert {name: found[name][draw] for name in expected} == pytest.approx(expected, rel=1e-12)


def test_multiclass_values_equal_scikit_learn(weights):
    generator = np.random.default_rng(1)
    truth = np.arange(NUMBER) % 3
    score = generator.dirichlet([1, 1, 1], NUMBER) * 0.6 + 0.4 * np.eye(3)[truth]
    found = multiclass_values(truth.astype(float), score, weights, ["a", "b", "c"])
    for draw, row in enumerate(weights):
        true, probability = repeat(row, truth, score)
        predicted = probability.argmax(axis=1)
        recall = sklearn_metrics.recall_score(true, predicted, average=None)
        expected = {
            "accuracy": sklearn_metrics.accuracy_score(true, predicted),
            "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(true, predicted),
            "auroc": sklearn_metrics.roc_auc_score(true, probability, multi_class="ovr", average="macro"),
            "auprc": sklearn_metrics.average_precision_score(np.eye(3)[true], probability),
            "cross_entropy": sklearn_metrics.log_loss(true, probability),
            "brier": sklearn_metrics.brier_score_loss(true, probability, scale_by_half=False),
            **{f"sensitivity_{name}": recall[index] for index, name in enumerate("abc")},
        }
        assert {name: values[draw] for name, values in found.items()} == pytest.approx(expected, rel=1e-9)


def test_regression_values_equal_scikit_learn(weights):
    generator = np.random.default_rng(2)
    truth = generator.uniform(1000, 1060, NUMBER)
    score = truth + 9 * generator.standard_normal(NUMBER)
    found = regression_values(truth, score, weights, baseline_value=1025.0)
    for draw, row in enumerate(weights):
        true, predicted = repeat(row, truth, score)
        expected = {
            "mae": sklearn_metrics.mean_absolute_error(true, predicted),
            "mse": sklearn_metrics.mean_squared_error(true, predicted),
            "nmse": np.mean((predicted - true) ** 2 / true**2),
            "pearson_r": stats.pearsonr(true, predicted).statistic,
            "r2": sklearn_metrics.r2_score(true, predicted),
            "calibration_intercept": true.mean() - predicted.mean(),
            "calibration_slope": stats.linregress(predicted, true).slope,
            "baseline_mae": np.abs(true - 1025.0).mean(),
            "baseline_mse": np.square(true - 1025.0).mean(),
        }
        assert {name: values[draw] for name, values in found.items()} == pytest.approx(expected, rel=1e-8)


def test_saturated_probabilities_cost_a_finite_amount():
    found = binary_values(np.array([1.0, 0.0]), np.array([0.0, 0.0]), np.ones((1, 2)))
    assert found["cross_entropy"][0] == pytest.approx(-np.log(1e-7) / 2, rel=1e-6)


def test_a_score_at_the_threshold_is_negative():
    found = binary_values(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.ones((1, 2)))
    assert (found["sensitivity"][0], found["specificity"][0]) == (0.0, 1.0)


@pytest.mark.parametrize("scores", [[0.2, 0.2, 0.2, 0.2], [1.0, 0.0, 1.0, 0.0]])
def test_auroc_of_ties_is_one_half(scores):
    positive = np.array([True, True, False, False])
    assert weighted_auroc(positive, np.array(scores), np.ones((1, 4)))[0] == 0.5


def test_undefined_values_are_nan_without_a_numpy_warning(recwarn):
    ones = np.ones((1, 3))
    binary = binary_values(np.ones(3), np.array([0.2, 0.6, 0.9]), ones)
    assert {name for name, value in binary.items() if np.isnan(value[0])} == {
        "balanced_accuracy",
        "specificity",
        "auroc",
        "auprc",
        "calibration_intercept",
        "calibration_slope",
    }
    regression = regression_values(np.array([0.0, 0.0, 0.0]), np.array([1.0, 2.0, 3.0]), ones)
    assert {name for name, value in regression.items() if np.isnan(value[0])} == {
        "nmse",
        "pearson_r",
        "r2",
        "calibration_slope",
    }
    assert not recwarn.list


def test_a_constant_away_from_zero_has_no_correlation():
    found = regression_values(np.full(3, 0.1), np.array([1.0, 2.0, 3.0]), np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 1.0]]))
    assert np.isnan(found["pearson_r"]).all()
    assert np.isnan(found["calibration_slope"]).all()


def test_one_threshold_for_each_unit():
    truth, score = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.4, 0.4, 0.6, 0.6])
    found = binary_values(truth, score, np.ones((1, 4)), threshold=np.array([0.3, 0.5, 0.5, 0.7]))
    assert (found["sensitivity"][0], found["specificity"][0]) == (0.5, 0.5)


@pytest.mark.parametrize(("units", "subjects", "there"), [(200, None, True), (199, None, False), (300, 199, False)])
def test_calibration_error_is_left_out_of_small_samples(units, subjects, there):
    truth = (np.arange(units) % 2).astype(float)
    found = binary_values(truth, np.linspace(0.1, 0.9, units), np.ones((1, units)), subjects=subjects)
    assert ("expected_calibration_error" in found) == there


def test_average_precision_needs_both_classes():
    weights = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    found = weighted_auprc(np.array([True, True, False]), np.array([0.2, 0.8, 0.5]), weights)
    assert found.tolist() == pytest.approx([(1 + 2 / 3) / 2, np.nan, np.nan], nan_ok=True)
