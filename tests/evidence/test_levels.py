"""Scores by site, sex and band."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from monai_tff.contract import Target
from monai_tff.evidence.levels import levels_of, scores_by_level

DIAGNOSIS = Target("diagnosis", "binary", ("CONTROL", "PATIENT"))


def test_each_site_has_the_numbers_of_its_units(drawn_study):
    units = drawn_study(0, model="target").model.units
    found = scores_by_level(units, "site", DIAGNOSIS, samples=100)
    assert [one.level for one in found] == ["site1", "site2", "site3"]
    for one in found:
        rows = units[units["site"] == one.level]
        assert (one.units, one.groups) == (len(rows), len(rows))
        assert one.value == pytest.approx(roc_auc_score(rows["truth"], rows["score"]))
        assert one.interval[0] <= one.value <= one.interval[1]
        assert one.mean_score == [pytest.approx(rows["score"].mean())]
        assert one.mean_truth == [pytest.approx(rows["truth"].mean())]


def test_bands_hold_a_third_each_from_low_to_high(drawn_study):
    units = drawn_study(0).model.units
    found = scores_by_level(units, "motion", DIAGNOSIS, samples=20)
    assert [one.units for one in found] == [50, 50, 50]
    limits = [[float(end) for end in one.level.split(" to ")] for one in found]
    assert limits == sorted(limits)
    assert limits[0][0] == pytest.approx(units["motion"].min(), abs=5e-4)


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(0, 2, width=16) | st.none(), min_size=2, max_size=30))
def test_bands_keep_every_known_unit_and_do_not_overlap(values):
    table = pd.DataFrame({"motion": np.array(values, dtype=float)})
    levels = levels_of(table, "motion")
    if table["motion"].nunique() < 2:
        assert levels.isna().all()
        return
    assert levels.notna().tolist() == table["motion"].notna().tolist()
    ranges = sorted((rows.min(), rows.max()) for _, rows in table["motion"].groupby(levels))
    assert all(before[1] < after[0] for before, after in itertools.pairwise(ranges))


def test_one_class_alone_has_no_number(drawn_study):
    units = drawn_study(1).model.units
    (first, *_) = scores_by_level(units.assign(site=units["truth"].astype(str)), "site", DIAGNOSIS, samples=10)
    assert (first.value, first.interval) == (None, None)
    assert first.mean_truth == [0.0]


def test_a_perfect_level_has_an_interval_of_a_closed_form(drawn_study):
    units = drawn_study(2, units=20).model.units
    units = units.assign(score=units["truth"], site="one")
    (found,) = scores_by_level(units, "site", DIAGNOSIS, samples=50)
    assert (found.value, found.interval[1]) == (1.0, 1.0)
    assert 0.6 < found.interval[0] < 0.9


def test_several_classes_have_a_mean_each(drawn_study):
    units = drawn_study(3, units=30).model.units
    scores = np.random.default_rng(0).dirichlet([1, 1, 1], 30)
    units = units.assign(truth=np.arange(30.0) % 3, **{f"score_{i}": scores[:, i] for i in range(3)}, site="one")
    (found,) = scores_by_level(units, "site", Target("g", "multiclass", ("a", "b", "c")), samples=10)
    assert found.mean_score == pytest.approx(scores.mean(axis=0))
    assert found.mean_truth == pytest.approx([1 / 3] * 3)
