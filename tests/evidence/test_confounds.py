"""The confound report: what is looked at, and what is said of the rest."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from monai_tff.contract import Target
from monai_tff.evidence.confounds import look_for_confounds
from monai_tff.evidence.covariates import covariate_alone, usable_covariates


def with_units(study, **columns):
    model = dataclasses.replace(study.model, units=study.model.units.assign(**columns))
    return dataclasses.replace(study, model=model)


def test_everything_that_is_known_is_looked_at(drawn_study):
    found = look_for_confounds(drawn_study(0, units=60), samples=30)
    assert set(found.scores_by) == set(found.follows) == set(found.alone) == {"age", "sex", "site", "motion"}
    assert set(found.within) == {"site", "motion"}
    assert (found.motion_kind, found.unknown) == ("mean FD", [])
    assert "3 bands" in found.bands
    assert "at most about 1 of 100" in found.rule


def test_what_cannot_be_looked_at_is_said(drawn_study):
    ages = np.where(np.arange(60) < 29, np.arange(60.0), np.nan)
    study = with_units(drawn_study(0, units=60), site="one", age=ages)
    kinds = np.where(np.arange(60) < 30, "mean FD", "mean relative RMS")
    study = with_units(study, motion_kind=kinds)
    study = dataclasses.replace(study, baselines={})
    found = look_for_confounds(study, samples=20)
    assert set(found.scores_by) == {"sex"}
    assert found.alone == {}
    assert found.flags == []
    assert found.motion_kind is None
    assert found.unknown == [
        "Scores are not looked at by age: it is known of 29 of 60 test units, expected at least half.",
        "Scores are not looked at by site: it is the same for all test units.",
        "Scores are not looked at by motion: it is of several kinds, which cannot be compared.",
        "What sex alone predicts is not known: the baseline only_sex was not run.",
    ]


def test_a_baseline_of_other_units_is_said(drawn_study):
    study = drawn_study(0, units=40)
    baseline = study.baselines["only_age"]
    fewer = dataclasses.replace(baseline, units=baseline.units.iloc[1:])
    found = look_for_confounds(dataclasses.replace(study, baselines={"only_age": fewer}), samples=10)
    assert "What age alone predicts cannot be set beside the model: comparison: subject '0000'" in found.unknown[0]


@pytest.mark.parametrize(("name", "column"), [("sex", "sex"), ("gender", "sex"), ("scanner", "site")])
def test_the_target_is_no_confound_of_itself_but_a_site_of_one_class_is(drawn_study, name, column):
    study = drawn_study(1, units=40)
    truth = study.model.units["truth"].to_numpy(int)
    classes = {"sex": ("F", "M"), "gender": ("female", "male"), "scanner": ("A", "B")}[name]
    study = dataclasses.replace(study, target=Target(name, "binary", classes))
    used, left_out = usable_covariates(with_units(study, **{column: np.array(["F", "M"])[truth]}))
    if column == "site":
        assert "site" in used
    else:
        assert left_out == {"sex": "it is what is predicted"}


def test_an_age_in_years_is_the_target(drawn_study):
    study = dataclasses.replace(drawn_study(1, units=40), target=Target("years", "regression"))
    used, left_out = usable_covariates(with_units(study, truth=study.model.units["age"]))
    assert "age" not in used
    assert left_out == {"age": "it is what is predicted"}
    # as for the baselines: an age that was rounded, or taken at another date, says the same
    rounded = with_units(study, truth=study.model.units["age"] + np.linspace(-0.9, 0.9, 40))
    assert usable_covariates(rounded)[1] == left_out
    other = with_units(study, truth=study.model.units["age"] + np.linspace(-3, 3, 40))
    assert "age" in usable_covariates(other)[0]


def test_a_covariate_alone_is_its_baseline(drawn_study):
    study = drawn_study(5, units=100, motion=2.0)
    found = covariate_alone(study, "motion", samples=300)
    assert found.value == pytest.approx(study.baselines["only_motion"].metrics["values"]["auroc"])
    assert list(found.interval) == study.baselines["only_motion"].metrics["intervals"]["auroc"]
    assert found.p == pytest.approx(1 / 301)
    assert found.predicts(study.target)
    assert not found.is_beaten
    assert found.difference.difference == pytest.approx(study.model.metrics["values"]["auroc"] - found.value)
    assert covariate_alone(dataclasses.replace(study, baselines={}), "motion") is None
