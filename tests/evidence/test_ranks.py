"""Weighted rank correlations against scipy's, draw by draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kruskal, rankdata, spearmanr

from monai_tff.evidence.ranks import centred_ranks, correlation, ranks_within, share_between


def drawn(seed, units=23, levels=7):
    random = np.random.default_rng(seed)
    values = random.integers(0, levels, (2, units)).astype(float)  # with ties
    return values[0], values[1], random.integers(0, 3, (4, units)).astype(float), random.integers(0, 2, units)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_weight_counts_as_so_many_units(seed):
    first, second, weights, _ = drawn(seed)
    found = correlation(centred_ranks(first, weights), centred_ranks(second, weights), weights)
    for value, weight in zip(found, weights.astype(int), strict=True):
        expected = spearmanr(np.repeat(first, weight), np.repeat(second, weight)).statistic
        assert value == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_ranks_are_shares_around_zero():
    first, _, weights, _ = drawn(3)
    ranks = centred_ranks(first, weights)
    np.testing.assert_allclose((weights * ranks).sum(axis=1), 0, atol=1e-12)
    once = centred_ranks(first, np.ones((1, len(first))))[0]
    np.testing.assert_allclose(once, (rankdata(first) - 0.5) / len(first) - 0.5)
    assert centred_ranks(first, np.zeros((1, len(first)))).tolist() == [[0.0] * len(first)]


def test_ranks_within_classes_are_those_of_each_class():
    first, _, weights, truth = drawn(4)
    ranks = ranks_within(first, weights, truth, is_number=False)
    for label in (0, 1):
        inside = truth == label
        np.testing.assert_array_equal(ranks[:, inside], centred_ranks(first[inside], weights[:, inside]))


def test_ranks_within_a_number_give_the_partial_correlation():
    random = np.random.default_rng(5)
    truth = random.standard_normal(41)
    first, second = truth + random.standard_normal(41), truth - random.standard_normal(41)
    once = np.ones((1, 41))
    parts = [ranks_within(values, once, truth, is_number=True) for values in (first, second)]
    a, b, c = (spearmanr(*pair).statistic for pair in ((first, second), (first, truth), (second, truth)))
    expected = (a - b * c) / np.sqrt((1 - b**2) * (1 - c**2))
    assert correlation(*parts, once)[0] == pytest.approx(expected, abs=1e-9)


def test_the_share_between_levels_is_kruskal_and_wallis():
    random = np.random.default_rng(6)
    values, levels = random.standard_normal(31), random.integers(0, 3, 31)
    ranks = centred_ranks(values, np.ones((1, 31)))[0]
    expected = kruskal(*(values[levels == level] for level in range(3))).statistic / 30
    assert share_between(ranks, levels[None])[0] == pytest.approx(expected)
    assert np.isnan(share_between(np.zeros(31), levels[None])[0])


def test_constant_values_have_no_correlation():
    weights = np.ones((2, 5))
    assert np.isnan(correlation(np.zeros((2, 5)), centred_ranks(np.arange(5.0), weights), weights)).all()
