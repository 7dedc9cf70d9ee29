"""The main number within strata, against a count of pairs and of residuals."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from monai_tff.contract import Target
from monai_tff.evidence.within import main_numbers, within_strata

DIAGNOSIS = Target("diagnosis", "binary", ("CONTROL", "PATIENT"))


def test_pairs_of_one_stratum_are_counted():
    random = np.random.default_rng(0)
    truth, score, levels = random.integers(0, 2, 29), random.integers(0, 9, 29) / 9, random.integers(0, 4, 29)
    pairs = [
        (score[i] > score[j]) + (score[i] == score[j]) / 2
        for i, j in itertools.product(range(29), repeat=2)
        if levels[i] == levels[j] and truth[i] == 1 and truth[j] == 0
    ]
    found = main_numbers(np.ones((1, 29)), truth=truth, scores=score[:, None], levels=levels, kind="binary")
    assert found["within"][0] == pytest.approx(np.mean(pairs))
    assert found["pooled"][0] == pytest.approx(roc_auc_score(truth, score))


def test_means_of_strata_are_taken_off():
    random = np.random.default_rng(1)
    levels = random.integers(0, 3, 31)
    truth, score = random.standard_normal((2, 31)) + 3 * levels
    weights = random.integers(0, 3, (5, 31)).astype(float)
    found = main_numbers(weights, truth=truth, scores=score[:, None], levels=levels, kind="regression")
    for draw, within in zip(weights.astype(int), found["within"], strict=True):
        table = pd.DataFrame({"truth": truth, "score": score, "level": levels}).loc[np.repeat(np.arange(31), draw)]
        left = table[["truth", "score"]] - table.groupby("level")[["truth", "score"]].transform("mean")
        assert within == pytest.approx(left["truth"].corr(left["score"]))
    assert found["pooled"].min() > found["within"].max()


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_units_of_a_number_do_not_matter(scale):
    random = np.random.default_rng(4)
    levels = random.integers(0, 3, 31)
    truth, score = random.standard_normal((2, 31)) + levels
    once = np.ones((1, 31))
    found = main_numbers(once, truth=scale * truth, scores=scale * score[:, None], levels=levels, kind="regression")
    expected = main_numbers(once, truth=truth, scores=score[:, None], levels=levels, kind="regression")
    assert found["pooled"][0] == pytest.approx(expected["pooled"][0])
    assert found["within"][0] == pytest.approx(expected["within"][0])
    constant = np.full((31, 1), 51234.567)
    nothing = main_numbers(once, truth=scale * truth, scores=constant, levels=levels, kind="regression")
    assert np.isnan([nothing["pooled"][0], nothing["within"][0]]).all()


def test_several_classes_are_averaged():
    random = np.random.default_rng(2)
    truth, levels = random.integers(0, 3, 40), np.zeros(40, dtype=int)
    scores = random.dirichlet([1, 1, 1], 40)
    found = main_numbers(np.ones((1, 40)), truth=truth, scores=scores, levels=levels, kind="multiclass")
    assert found["pooled"][0] == found["within"][0] == pytest.approx(roc_auc_score(truth, scores, multi_class="ovr"))


def test_a_score_of_the_site_falls_to_chance_within_sites(drawn_study):
    units = drawn_study(1, site=4.0, model="site").model.units
    found = within_strata(units, units["site"], DIAGNOSIS, "site", samples=300)
    assert found.pooled > 0.6
    assert found.falls_to_chance(DIAGNOSIS)
    assert found.p < 0.01
    assert found.difference == pytest.approx(found.pooled - found.within)


def test_a_score_of_the_target_does_not(drawn_study):
    units = drawn_study(1, site=4.0, model="target").model.units
    found = within_strata(units, units["site"], DIAGNOSIS, "site", samples=300)
    assert found.within_interval[0] > 0.5
    assert not found.falls_to_chance(DIAGNOSIS)


def test_sites_of_one_class_each_have_no_pairs(drawn_study):
    units = drawn_study(2, units=40).model.units
    found = within_strata(units, units["truth"].astype(str), DIAGNOSIS, "site", samples=30)
    assert (found.within, found.within_interval, found.p) == (None, None, None)
    assert not found.falls_to_chance(DIAGNOSIS)
    assert within_strata(units, units["site"].where(units.index > 3), DIAGNOSIS, "site", samples=30).units == 36


def test_a_number(drawn_study):
    units = drawn_study(3).model.units
    found = within_strata(units.assign(truth=units["age"]), units["site"], Target("age", "regression"), "site", 60)
    assert found.pooled_interval[0] < found.pooled < found.pooled_interval[1]
