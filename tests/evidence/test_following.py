"""How well a score predicts a covariate."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr

from monai_tff.contract import Target
from monai_tff.evidence.following import RHO, SHARE, follow

DIAGNOSIS = Target("diagnosis", "binary", ("CONTROL", "PATIENT"))


def test_a_score_of_motion_follows_motion_within_classes_too(drawn_study):
    units = drawn_study(1, model="motion", motion=1.0).model.units
    found = follow(units, DIAGNOSIS, "motion", samples=300)
    assert found.statistic == RHO
    assert found.value == pytest.approx(spearmanr(units["score"], units["motion"]).statistic)
    assert found.interval[0] < found.value < found.interval[1]
    assert found.p == found.within_p == pytest.approx(1 / 301)
    by_class = [spearmanr(rows["score"], rows["motion"]).statistic for _, rows in units.groupby("truth")]
    assert found.within == pytest.approx(np.mean(by_class), abs=0.02)


def test_a_score_of_the_target_does_not_follow_motion_within_classes(drawn_study):
    units = drawn_study(2, model="target", motion=2.0, signal=4.0).model.units
    found = follow(units, DIAGNOSIS, "motion", samples=300)
    assert found.p < 0.01
    assert abs(found.within) < 0.25
    assert found.within_p > 0.05


def test_sites_are_told_apart_by_the_share_of_variance(drawn_study):
    units = drawn_study(3, model="site").model.units
    found = follow(units, DIAGNOSIS, "site", samples=300)
    assert (found.statistic, found.interval) == (SHARE, None)
    assert found.value > 0.3
    assert found.p < 0.01
    nothing = follow(drawn_study(3).model.units, DIAGNOSIS, "site", samples=300)
    assert nothing.value < 0.1
    assert nothing.p > 0.01


def test_p_is_uniform_where_there_is_nothing(drawn_study):
    p = [follow(drawn_study(seed, units=40).model.units, DIAGNOSIS, "site", samples=49).within_p for seed in range(20)]
    assert 0.3 < np.mean(p) < 0.7
    assert np.mean(np.array(p) <= 0.1) < 0.3


def test_the_order_of_rows_and_unknown_units_do_not_matter(drawn_study):
    units = drawn_study(4, model="motion").model.units
    units.loc[::7, "motion"] = np.nan
    found = follow(units, DIAGNOSIS, "motion", samples=50)
    assert found.units == units["motion"].notna().sum()
    assert follow(units[units["motion"].notna()], DIAGNOSIS, "motion", samples=50) == found


@pytest.mark.parametrize("covariate", ["motion", "site"])
def test_other_kinds_of_target(drawn_study, covariate):
    units = drawn_study(5, model="motion").model.units
    age = follow(units.assign(truth=units["age"]), Target("age", "regression"), covariate, samples=60)
    assert None not in (age.value, age.p, age.within, age.within_p)
    classes = Target("group", "multiclass", ("a", "b", "c"))
    scores = {"score_0": units["score"], "score_1": 1 - units["score"], "score_2": units["score"] ** 2}
    truth = np.arange(len(units)) % 3
    several = follow(units.assign(**scores, truth=truth), classes, covariate, samples=60)
    one = follow(units.assign(truth=truth), dataclasses.replace(DIAGNOSIS), covariate, samples=60)
    # each score column has the same ranks, or the reversed ones
    assert several.value == pytest.approx(abs(one.value))
    # a mean of sizes cannot be negative: the draws of a bootstrap lie above it
    assert (several.interval, several.within_interval) == (None, None)


def test_constant_scores_follow_nothing(drawn_study):
    units = drawn_study(6).model.units.assign(score=0.5)
    found = follow(units, DIAGNOSIS, "motion", samples=20)
    assert (found.value, found.interval, found.p) == (None, None, None)
