from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from monai_tff.errors import DatalistError
from monai_tff.metrics import evaluate_units, holm, paired_difference


def noisy(units, seed, strength=1.0):
    """Another method on the same units: other noise, another effect."""
    generator = np.random.default_rng(seed)
    logits = 2 * strength * (units["truth"] - 0.5) + generator.standard_normal(len(units))
    return units.assign(score=1 / (1 + np.exp(-logits)))


@pytest.mark.parametrize("statistic", [None, "balanced_accuracy", "brier"])
def test_values_are_those_of_the_evaluation(statistic, targets, make_units):
    units = make_units("binary", 41, groups=29)
    other = noisy(units, 1)
    found = paired_difference(units, other, targets["binary"], statistic, samples=200)
    name = statistic or "auroc"
    one, two = (evaluate_units(table, targets["binary"], bootstrap_samples=0).values[name] for table in (units, other))
    assert (found.statistic, found.first, found.second, found.difference) == (name, one, two, one - two)
    assert (found.units, found.groups, found.samples, found.seed, found.p_holm) == (41, 29, 200, 0, None)
    low, high = found.interval
    assert low < found.difference < high


def test_both_are_evaluated_on_the_same_draws(targets, make_units):
    """The standard error of a paired mean difference, which shared noise does not widen."""
    units = make_units("regression", 300)
    generator = np.random.default_rng(3)
    noise, extra = 9 * generator.standard_normal(300), generator.standard_normal(300)
    first = units.assign(score=units["truth"] + np.abs(noise) + 20 + extra)
    second = units.assign(score=units["truth"] + np.abs(noise) + 20)
    found = paired_difference(first, second, targets["regression"], "mae", samples=3000)
    low, high = found.interval
    assert (high - low) / 2 == pytest.approx(1.96 * extra.std() / np.sqrt(300), rel=0.08)
    assert found.difference == pytest.approx(extra.mean())


def test_p_from_the_share_of_draws_beyond_zero(targets, make_units):
    """Of a mean that is normal: two-sided p of its z."""
    units = make_units("regression", 400)
    extra = np.random.default_rng(6).standard_normal(400)
    extra += 1.9 / np.sqrt(400) - extra.mean()
    first = units.assign(score=units["truth"] + 20 + extra)
    second = units.assign(score=units["truth"] + 20)
    found = paired_difference(first, second, targets["regression"], "mae", samples=4000)
    expected = 2 * norm.sf(1.9 / extra.std())
    assert found.p == pytest.approx(expected, abs=0.012)
    swapped = paired_difference(second, first, targets["regression"], "mae", samples=4000)
    assert swapped.p == found.p
    assert swapped.interval == pytest.approx((-found.interval[1], -found.interval[0]))


def test_a_clear_difference_has_the_smallest_p(targets, make_units):
    units = make_units("binary", 80, strength=2.0)
    found = paired_difference(units, noisy(units, 2, strength=0.0), targets["binary"], samples=500)
    assert found.p == 2 / 501
    assert found.interval[0] > 0
    assert found.warnings == []


def test_the_same_scores_do_not_differ(targets, make_units):
    units = make_units("binary", 40)
    found = paired_difference(units, units.copy(), targets["binary"], samples=100)
    assert (found.difference, found.p, found.interval) == (0.0, 1.0, None)
    assert found.warnings == ["no interval: every bootstrap draw gives the same difference."]


def test_one_group_has_no_p(targets, make_units):
    units = make_units("binary", 40, groups=1)
    found = paired_difference(units, noisy(units, 1), targets["binary"], samples=100)
    assert found.difference != 0
    assert (found.p, found.interval) == (None, None)
    assert found.warnings == [
        "no interval: every bootstrap draw gives the same difference.",
        "only 1 group (fewer than 10): this difference is uncertain.",
    ]


def test_a_number_that_is_not_defined(targets, make_units):
    units = make_units("binary", 24).assign(truth=1.0)
    found = paired_difference(units, noisy(units, 1), targets["binary"], samples=50)
    assert (found.first, found.second, found.difference, found.interval, found.p) == (None,) * 5
    assert found.warnings == ["no difference: the number is not defined for both tables."]


def test_a_threshold_for_each_table(targets, make_units):
    units = make_units("binary", 40)
    per_unit = np.full(40, 0.2)
    found = paired_difference(units, units, targets["binary"], "sensitivity", 50, thresholds=(0.9, per_unit))
    one, two = (
        evaluate_units(units, targets["binary"], threshold=value, bootstrap_samples=0).values["sensitivity"]
        for value in (0.9, 0.2)
    )
    assert (found.first, found.second) == (one, two)


def test_the_order_of_rows_changes_nothing(targets, make_units):
    units = make_units("multiclass", 30, groups=11)
    other = make_units("multiclass", 30, groups=11, seed=4)
    first = paired_difference(units, other, targets["multiclass"], samples=60)
    shuffled = paired_difference(
        units.sample(frac=1, random_state=1), other.sample(frac=1, random_state=2), targets["multiclass"], samples=60
    )
    assert dataclasses.asdict(first) == dataclasses.asdict(shuffled)
    assert paired_difference(units, other, targets["multiclass"], samples=60, seed=1).interval != first.interval


def test_tables_of_other_units_are_refused(targets, make_units):
    units = make_units("binary", 24)
    target = targets["binary"]
    with pytest.raises(DatalistError, match=r"subject '0023' is in one of the two tables only \(24 and 23 units\)"):
        paired_difference(units, units.iloc[:-1], target)
    with pytest.raises(DatalistError, match=r"truth of subject '0000' is 0.0 in the first table and 1.0"):
        paired_difference(units, units.assign(truth=1 - units["truth"]), target)
    with pytest.raises(DatalistError, match=r"group of subject '0000' is g0 in the first table and f in the second"):
        paired_difference(units, units.assign(group="f"), target)
    sessions = units.assign(session="2")
    with pytest.raises(DatalistError, match="is in one of the two tables only"):
        paired_difference(units, sessions, target)
    for pair in ((units.assign(truth=np.nan), units), (units, units.assign(truth=np.nan))):
        with pytest.raises(DatalistError, match="is nan, expected a class index"):
            paired_difference(*pair, target)
    with pytest.raises(ValueError, match="statistic is 'mae', expected one of accuracy"):
        paired_difference(units, units, target, "mae")


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        # as printed for p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") and by statsmodels' multipletests
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.6, 0.7], [1.0, 1.0, 1.0]),
        ([0.02], [0.02]),
        ([0.01, None, 0.02], [0.02, None, 0.02]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values, expected):
    found = holm({str(index): p for index, p in enumerate(p_values)})
    assert list(found) == [str(index) for index in range(len(p_values))]
    assert list(found.values()) == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_keeps_the_order_and_lies_between_plain_and_bonferroni(p_values):
    corrected = list(holm({str(index): p for index, p in enumerate(p_values)}).values())
    for p, value in zip(p_values, corrected, strict=True):
        assert p <= value <= min(1.0, len(p_values) * p) + 1e-15
        assert all(value <= other for q, other in zip(p_values, corrected, strict=True) if q > p)
