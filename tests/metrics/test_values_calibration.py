from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit

from monai_tff.metrics.values_calibration import calibration_error, recalibration


def logistic_fit(positive: np.ndarray, logits: np.ndarray, slope: bool) -> np.ndarray:
    """Intercept alone beside a slope of 1, or intercept and slope, by a general minimiser."""

    def cost(coefficients: np.ndarray) -> float:
        predicted = coefficients[0] + (coefficients[1] if slope else 1) * logits
        return float(np.logaddexp(0, np.where(positive, -predicted, predicted)).mean())

    start = np.zeros(2 if slope else 1)
    return minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 4000}).x


@pytest.mark.parametrize("shift", [-1.0, 0.4])
@pytest.mark.parametrize("stretch", [0.5, 3.0])
def test_intercept_and_slope_equal_a_general_minimiser(shift, stretch):
    generator = np.random.default_rng(2)
    logits = generator.normal(0.3, 1.0, 41)
    positive = generator.random(41) < expit(logits)
    score = expit(stretch * logits + shift)
    draws = generator.multinomial(41, np.full(41, 1 / 41), size=3).astype(float)
    intercepts, slopes = recalibration(positive, score, np.concatenate([np.ones((1, 41)), draws]))
    for draw, row in enumerate([np.ones(41), *draws]):
        members = np.repeat(np.arange(41), row.astype(int))
        own = logit(score)[members]
        assert intercepts[draw] == pytest.approx(logistic_fit(positive[members], own, slope=False)[0], abs=2e-5)
        assert slopes[draw] == pytest.approx(logistic_fit(positive[members], own, slope=True)[1], abs=2e-5)


def test_known_distortions_are_found_in_many_units():
    generator = np.random.default_rng(0)
    logits = generator.normal(0.0, 1.5, 40_000)
    positive = generator.random(40_000) < expit(logits)
    ones = np.ones((1, 40_000))
    assert recalibration(positive, expit(2 * logits), ones)[1][0] == pytest.approx(0.5, abs=0.02)
    assert recalibration(positive, expit(logits - 0.7), ones)[0][0] == pytest.approx(0.7, abs=0.04)


@settings(max_examples=60, deadline=None)
@given(
    truth=st.lists(st.booleans(), min_size=2, max_size=12),
    seed=st.integers(0, 10_000),
    spread=st.sampled_from([1e-4, 0.1, 1.0, 30.0]),
    decimals=st.integers(0, 6),
)
def test_every_slope_is_finite_exactly_where_the_classes_overlap(truth, seed, spread, decimals):
    generator = np.random.default_rng(seed)
    positive = np.array(truth)
    score = expit(spread * generator.standard_t(2, len(truth))).round(decimals)
    weights = generator.multinomial(len(truth), np.full(len(truth), 1 / len(truth)), size=20).astype(float)
    intercepts, slopes = recalibration(positive, score, weights)
    for row, intercept, slope in zip(weights, intercepts, slopes, strict=True):
        negatives, positives = score[(row > 0) & ~positive], score[(row > 0) & positive]
        if not (len(negatives) and len(positives)):
            assert np.isnan([intercept, slope]).all()
            continue
        assert np.isfinite(intercept)
        forward, backward = positives.min() >= negatives.max(), negatives.min() >= positives.max()
        expected = "nan" if forward and backward else "inf" if forward else "-inf" if backward else "finite"
        assert expected == ("finite" if np.isfinite(slope) else str(slope))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), number=st.integers(4, 60))
def test_at_the_slope_the_likelihood_has_no_gradient(seed, number):
    """Both equations of the maximum: residuals add up to 0, alone and times the logit."""
    generator = np.random.default_rng(seed)
    positive = np.arange(number) % 2 == 0
    logits = generator.standard_t(2, number).clip(-15, 15)
    intercepts, slopes = recalibration(positive, expit(logits), np.ones((1, number)))
    logits = logits.round(6)
    assert (positive - expit(intercepts[0] + logits)).sum() == pytest.approx(0, abs=1e-4)
    if np.isfinite(slopes[0]):
        linear = slopes[0] * logits
        constant = brentq(lambda value: (positive - expit(value + linear)).sum(), -1e4, 1e4, xtol=1e-12)
        gradient = (positive - expit(constant + linear)) @ (logits - logits.mean())
        assert abs(gradient) < 1e-4 * np.abs(logits).sum()


def test_saturated_scores_have_a_finite_intercept():
    positive = np.array([True] + [False] * 40)
    intercepts, slopes = recalibration(positive, np.zeros(41), np.ones((1, 41)))
    assert intercepts[0] == pytest.approx(logit(1 / 41) - logit(1e-7), rel=1e-6)
    assert np.isnan(slopes[0])


def test_calibration_error_of_bins_by_hand():
    """Ten bins of two units each; in every bin the scores are 0.02 below the share observed, in one 0.5 above."""
    positive = np.array([False, True] * 10)
    score = np.repeat(np.linspace(0.1, 0.9, 10), 2)
    shares = np.repeat(np.linspace(0.1, 0.9, 10), 2)
    expected = np.abs(0.5 - shares).mean()
    assert calibration_error(positive, score, np.ones((1, 20)))[0] == pytest.approx(expected)
    # only the units of the first bin are drawn
    weights = np.zeros((1, 20))
    weights[0, :2] = [3, 1]
    assert calibration_error(positive, score, weights)[0] == pytest.approx(abs(0.25 - 0.1))


def test_calibration_error_of_calibrated_scores_is_small():
    generator = np.random.default_rng(1)
    score = generator.random(20_000)
    positive = generator.random(20_000) < score
    error, wrong = (calibration_error(positive, value, np.ones((1, 20_000)))[0] for value in (score, score / 2))
    assert error < 0.015
    assert wrong == pytest.approx(0.25, abs=0.01)


def test_two_thousand_draws_of_two_hundred_units_take_less_than_a_second():
    generator = np.random.default_rng(0)
    positive = np.arange(200) % 2 == 0
    score = expit(positive - 0.5 + generator.standard_normal(200))
    weights = generator.multinomial(200, np.full(200, 1 / 200), size=2000).astype(float)
    start = time.process_time()
    intercepts, slopes = recalibration(positive, score, weights)
    assert time.process_time() - start < 1.0
    assert np.isfinite(intercepts).all()
    assert np.isfinite(slopes).all()
