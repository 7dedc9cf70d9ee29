from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_tff.metrics.intervals import (
    bootstrap_intervals,
    is_degenerate,
    mean_of_proportions,
    newcombe_auroc,
    wilson,
)

counts = st.integers(1, 500)


def mean_of(values: np.ndarray):
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


def test_interval_of_a_mean_has_the_width_of_its_standard_error():
    values = np.random.default_rng(0).standard_normal(400)
    low, high = bootstrap_intervals(mean_of(values), [str(index) for index in range(400)], 4000, 1)["mean"]
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.06)
    assert (high + low) / 2 == pytest.approx(values.mean(), abs=0.01)


def test_groups_of_equal_units_widen_the_interval_by_the_root_of_their_size():
    values = np.random.default_rng(0).standard_normal(100).repeat(4)
    alone = bootstrap_intervals(mean_of(values), [str(index) for index in range(400)], 4000, 1)["mean"]
    grouped = bootstrap_intervals(mean_of(values), [str(index // 4) for index in range(400)], 4000, 1)["mean"]
    assert (grouped[1] - grouped[0]) / (alone[1] - alone[0]) == pytest.approx(2.0, rel=0.1)


def test_one_group_gives_no_width():
    values = np.array([1.0, 2.0, 6.0])
    interval = bootstrap_intervals(mean_of(values), ["family"] * 3, 50, 0)["mean"]
    assert interval == (3.0, 3.0)
    assert is_degenerate(interval)
    assert not is_degenerate((0.5, 0.6))
    assert is_degenerate((float("nan"), float("nan")))


def test_draws_without_a_value_are_left_out():
    def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"some": np.where(weights[:, 0] > 0, weights[:, 0], np.nan), "none": np.full(len(weights), np.nan)}

    intervals = bootstrap_intervals(compute, ["a", "b"], 200, 0)
    assert intervals["some"] == (1.0, 2.0)
    assert np.isnan(intervals["none"]).all()


def test_every_draw_is_made_also_in_several_portions(monkeypatch):
    monkeypatch.setattr("monai_tff.metrics.intervals.NUMBERS_AT_ONCE", 30)
    sizes = []

    def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
        sizes.append(len(weights))
        assert (weights.sum(axis=1) == 4).all()
        return {"value": weights[:, 0]}

    bootstrap_intervals(compute, list("abcd"), 20, 0)
    assert sum(sizes) == 20
    assert len(sizes) == 3


@pytest.mark.parametrize(
    ("proportion", "count", "expected"),
    [
        (81 / 263, 263, (0.2553, 0.3662)),
        (15 / 148, 148, (0.0624, 0.1605)),
        (0 / 20, 20, (0.0, 0.1611)),
        (1 / 29, 29, (0.0061, 0.1718)),
    ],
)
def test_wilson_as_printed_by_newcombe(proportion, count, expected):
    """Table I of Newcombe 1998, "Two-sided confidence intervals for the single proportion", method 3."""
    assert wilson(proportion, count) == pytest.approx(expected, abs=5e-5)


@given(count=counts, share=st.floats(0, 1))
def test_wilson_contains_the_proportion_and_mirrors(count, share):
    low, high = wilson(share, count)
    assert 0 <= low <= share <= high <= 1
    assert wilson(1 - share, count) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@given(share=st.floats(0, 1), count=counts)
def test_mean_of_one_proportion_is_wilson(share, count):
    assert mean_of_proportions([share], [count]) == pytest.approx(wilson(share, count), abs=1e-12)


def test_mean_of_two_proportions_is_half_the_difference_interval():
    """Newcombe 1998, method 10, 56/70 - 48/80: 0.0524 to 0.3339; the mean of p and 1 - q is half of p - q plus 1."""
    low, high = mean_of_proportions([56 / 70, 1 - 48 / 80], [70, 80])
    assert (2 * low - 1, 2 * high - 1) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@given(area=st.floats(0, 1), positives=counts, negatives=counts)
def test_auroc_interval_contains_the_area_and_mirrors(area, positives, negatives):
    low, high = newcombe_auroc(area, positives, negatives)
    assert 0 <= low <= area + 1e-9
    assert area - 1e-9 <= high <= 1
    mirrored = newcombe_auroc(1 - area, positives, negatives)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-6)


def test_auroc_interval_solves_its_equation_and_narrows():
    low, high = newcombe_auroc(1.0, 12, 12)
    assert high == 1.0
    pairs = 11
    variance = low * (1 - low) * (1 + pairs * (1 - low) / (2 - low) + pairs * low / (1 + low)) / 144
    assert 1.0 - low == pytest.approx(1.959964 * variance**0.5, rel=1e-6)
    assert 0.8 < low < newcombe_auroc(1.0, 50, 50)[0] < newcombe_auroc(1.0, 500, 500)[0]


def test_no_observations_no_interval():
    assert np.isnan(wilson(0.5, 0)).all()
    assert np.isnan(mean_of_proportions([0.5, float("nan")], [3, 0])).all()
    assert np.isnan(newcombe_auroc(0.5, 0, 3)).all()
