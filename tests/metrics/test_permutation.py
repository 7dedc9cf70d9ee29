from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from monai_tff.errors import DatalistError
from monai_tff.metrics import permutation_test
from monai_tff.metrics.permutation import _exchanges, _permuted, _sorted_units, _statistic


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_statistics_equal_those_of_libraries(kind, targets, make_units):
    units = make_units(kind, 31, strength=0.4)
    if kind == "binary":
        units["score"] = units["score"].round(1)  # ties
    result = permutation_test(units, targets[kind], samples=50)
    truth = units["truth"].to_numpy()
    scores = units.filter(regex="^score").to_numpy()
    permuted = np.stack([np.random.default_rng(seed).permutation(truth) for seed in range(4)])
    found = _statistic(permuted, scores, targets[kind])
    for labels, value in zip([truth, *permuted], [result.observed, *found], strict=True):
        if kind == "regression":
            expected = stats.pearsonr(labels, scores[:, 0]).statistic
        elif kind == "binary":
            expected = roc_auc_score(labels, scores[:, 0])
        else:
            expected = roc_auc_score(labels, scores, multi_class="ovr", average="macro")
        assert value == pytest.approx(expected, rel=1e-12)
    assert result.statistic == ("pearson_r" if kind == "regression" else "auroc")


def test_p_counts_permutations_that_reach_the_observed_area(targets, make_units):
    """Against the exact distribution of the rank sum, one-sided."""
    units = make_units("binary", 16, strength=0.5, seed=5)
    one, other = (units.loc[units["truth"] == index, "score"] for index in (1, 0))
    exact = stats.mannwhitneyu(one, other, alternative="greater", method="exact").pvalue
    result = permutation_test(units, targets["binary"], samples=20_000, seed=1)
    assert result.p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))
    assert 0.02 < exact < 0.5
    assert result.exchangeable == (
        "Labels of 16 scoring units were exchanged as whole groups (16 groups), between groups of the same number of "
        "units."
    )


def test_p_of_a_planted_effect_is_the_smallest_possible(targets, make_units):
    for kind in ("binary", "multiclass", "regression"):
        result = permutation_test(make_units(kind, 60), targets[kind], samples=400)
        assert result.p == 1 / 401
        assert (result.samples, result.seed, result.fixed_units) == (400, 0, 0)


@pytest.mark.parametrize("grouped", [False, True], ids=["alone", "families in sites"])
def test_p_is_uniform_where_there_is_nothing(grouped, targets):
    """Labels and scores that are alike within families and sites, and have nothing else to do with each other."""
    generator = np.random.default_rng(11)
    found = []
    for _ in range(150):
        number = 48
        family = np.arange(number) // 2 if grouped else np.arange(number)
        site = family % 2 * grouped
        label = generator.integers(0, 2, number)[family] if grouped else generator.integers(0, 2, number)
        label = np.where(generator.random(number)[family] < 0.7 * site, 1, label)
        score = generator.standard_normal(number)[family] + 0.1 * generator.standard_normal(number) + 2 * site
        units = pd.DataFrame(
            {
                "subject": [f"{index:02}" for index in range(number)],
                "session": None,
                "group": [f"f{index}" for index in family],
                "score": score,
                "truth": label.astype(float),
            }
        )
        strata = site if grouped else None
        found.append(permutation_test(units, targets["binary"], strata, samples=99, seed=len(found)).p)
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert np.mean(found) == pytest.approx(0.5, abs=0.07)


def test_without_strata_a_site_alone_looks_like_an_effect(targets):
    """Why there are strata: the score and the label follow the site, and nothing more."""
    generator = np.random.default_rng(0)
    site = np.arange(80) % 2
    units = pd.DataFrame({"subject": [f"{index:02}" for index in range(80)], "session": None})
    units["group"] = units["subject"]
    units["score"] = site + generator.standard_normal(80)
    units["truth"] = (generator.random(80) < 0.2 + 0.6 * site).astype(float)
    assert permutation_test(units, targets["binary"], samples=500).p < 0.01
    result = permutation_test(units, targets["binary"], strata=[f"site-{value}" for value in site], samples=500)
    assert result.p > 0.05
    assert result.exchangeable.endswith("between groups of the same number of units within 2 strata.")


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=9),
    sites=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_labels_stay_within_strata_and_whole_groups(sizes, sites, seed):
    generator = np.random.default_rng(seed)
    group = np.repeat(np.arange(len(sizes)), sizes)
    units = pd.DataFrame({"subject": np.arange(len(group)).astype(str), "session": None, "group": group})
    units["truth"] = np.arange(len(group)) + 100.0  # each label can be told from each other
    units["site"] = generator.integers(0, sites, len(group))
    table = _sorted_units(units, units["site"])
    exchanges = _exchanges(table)
    truth, strata = table["truth"].to_numpy(), table["stratum"].to_numpy()
    rows = {name: table.index[table["group"] == name] for name in table["group"].unique()}
    original = {tuple(truth[index]) for index in rows.values()}
    for permuted in _permuted(truth, exchanges, 12, generator):
        assert {tuple(permuted[index]) for index in rows.values()} == original
        for size in set(sizes):
            for site in set(strata):
                members = [
                    position
                    for index in rows.values()
                    if len(index) == size
                    for position in index
                    if strata[position] == site
                ]
                assert Counter(permuted[members]) == Counter(truth[members])


def test_units_that_cannot_be_exchanged_are_counted(targets, make_units):
    """A family of three among singles, and one subject alone in its site."""
    units = make_units("binary", 24)
    units.loc[:2, "group"] = "family"
    strata = ["a"] * 23 + ["b"]
    result = permutation_test(units, targets["binary"], strata, samples=50)
    assert result.fixed_units == 4
    assert result.exchangeable.endswith(
        "(22 groups), between groups of the same number of units within 2 strata; 4 units keep their label in every "
        "permutation."
    )


def test_nothing_to_exchange(targets, make_units):
    units = make_units("binary", 24)
    # the label is the stratum: no exchange within one changes anything
    result = permutation_test(units, targets["binary"], strata=units["truth"], samples=50)
    assert result.p is None
    assert result.observed is not None
    assert result.fixed_units == 24
    assert result.exchangeable == (
        "No permutation test: no exchange of labels between whole groups of the same number of units within 2 strata "
        "changes a label."
    )


@pytest.mark.parametrize(("kind", "column", "value"), [("binary", "truth", 1.0), ("regression", "score", 40.1)])
def test_a_statistic_that_is_not_defined(kind, column, value, targets, make_units):
    result = permutation_test(make_units(kind, 12).assign(**{column: value}), targets[kind], samples=50)
    assert (result.observed, result.p) == (None, None)
    assert result.exchangeable.startswith("No permutation test: the statistic is not defined")


def test_the_order_of_rows_changes_nothing_and_the_seed_does(targets, make_units):
    units = make_units("regression", 30, groups=17, strength=0.05).assign(site=np.arange(30) % 17 % 2)
    shuffled = units.sample(frac=1, random_state=3)
    first = permutation_test(units, targets["regression"], units["site"], samples=200)
    assert permutation_test(shuffled, targets["regression"], shuffled["site"], samples=200) == first
    assert permutation_test(units, targets["regression"], units["site"], samples=200, seed=1).p != first.p


def test_what_cannot_be_tested(targets, make_units):
    units = make_units("binary", 12)
    with pytest.raises(ValueError, match="strata has 11 labels, expected one for each of the 12 units"):
        permutation_test(units, targets["binary"], strata=["a"] * 11)
    with pytest.raises(DatalistError, match="is nan, expected a class index"):
        permutation_test(units.assign(truth=np.nan), targets["binary"])
