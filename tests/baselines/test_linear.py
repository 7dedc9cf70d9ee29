from __future__ import annotations

import numpy as np
import pytest

from monai_tff.baselines.linear import FIXED_STRENGTH, STRENGTHS, fit_linear


def data(number: int, signal: float, seed: int = 0):
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(number, 9)) / 3
    truth = (signal * features[:, 0] * 3 + generator.normal(size=number) > 0).astype(float)
    return features, truth, np.array([f"g{index // 2}" for index in range(number)]), np.ones(number)


def test_noise_gets_a_strong_penalty_and_signal_a_weaker_one():
    noise = fit_linear(*data(120, 0.0), classes=True, seed=0)
    signal = fit_linear(*data(120, 6.0), classes=True, seed=0)
    assert noise.strength > signal.strength
    assert {noise.strength, signal.strength} <= set(STRENGTHS)
    assert (noise.folds, signal.folds) == (5, 5)
    features, truth, *_ = data(120, 6.0, seed=1)
    scores = signal.scores(features)
    assert scores.shape == (120, 1)
    assert ((scores[:, 0] > 0.5) == truth).mean() > 0.85


@pytest.mark.parametrize("groups", [2, 4])
def test_too_few_groups_leave_a_fixed_penalty(groups: int):
    features, truth, _, weights = data(24, 3.0)
    truth[:12], truth[12:] = 0, 1
    names = np.array([f"g{index * groups // 24}" for index in range(24)])
    model = fit_linear(features, truth, names, weights, classes=True, seed=0)
    assert (model.strength, model.folds) == (FIXED_STRENGTH, 0)


def test_a_group_is_never_on_both_sides():
    """Copies of a scan in one group would make the weakest penalty look best, if the folds could split them."""
    generator = np.random.default_rng(1)
    features = np.repeat(generator.normal(size=(20, 60)), 6, axis=0) / 8
    truth = np.repeat(generator.integers(0, 2, 20), 6).astype(float)
    groups = np.repeat([f"g{index}" for index in range(20)], 6)
    by_group = fit_linear(features, truth, groups, np.ones(120), classes=True, seed=0)
    alone = fit_linear(features, truth, np.arange(120).astype(str), np.ones(120), classes=True, seed=0)
    assert alone.strength < by_group.strength


def test_a_number_is_predicted_in_its_own_units():
    generator = np.random.default_rng(2)
    features = generator.normal(size=(80, 4)) / 2
    truth = 40 + 10 * features[:, 1] + 0.1 * generator.normal(size=80)
    model = fit_linear(features, truth, np.arange(80).astype(str), np.ones(80), classes=False, seed=0)
    assert model.scores(features)[:, 0] == pytest.approx(truth, abs=0.6)


def test_weights_count():
    features, truth, groups, weights = data(60, 0.0)
    truth[:] = np.arange(60) % 5 == 0
    weights = np.where(truth == 1, 2.5, 0.625)
    balanced = fit_linear(features * 0, truth, groups, weights, classes=True, seed=0)
    assert balanced.scores(features[:1] * 0)[0, 0] == pytest.approx(0.5, abs=1e-3)
    plain = fit_linear(features * 0, truth, groups, np.ones(60), classes=True, seed=0)
    assert plain.scores(features[:1] * 0)[0, 0] == pytest.approx(0.2, abs=1e-3)
