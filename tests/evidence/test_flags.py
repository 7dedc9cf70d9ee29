"""Flags are raised where a confound was planted, and rarely where nothing was."""

from __future__ import annotations

import dataclasses

import pytest

from monai_tff.contract import Target
from monai_tff.evidence.covariates import covariate_alone
from monai_tff.evidence.flags import Flag, raise_flags
from monai_tff.evidence.following import follow
from monai_tff.evidence.levels import levels_of
from monai_tff.evidence.within import within_strata

DIAGNOSIS = Target("diagnosis", "binary", ("CONTROL", "PATIENT"))
SAMPLES = 700  # the smallest p, 1 / 701, is below 0.01 / 6 after the correction for six tests


def flags_of(study) -> list[Flag]:
    """As `look_for_confounds` raises them, without the tables that no flag depends on."""
    units, names = study.model.units, ("age", "sex", "site", "motion")
    return raise_flags(
        DIAGNOSIS,
        {name: covariate_alone(study, name, SAMPLES) for name in names},
        {name: follow(units, DIAGNOSIS, name, SAMPLES) for name in names},
        {name: within_strata(units, levels_of(units, name), DIAGNOSIS, name, SAMPLES) for name in ("site", "motion")},
    )


def names_of(study) -> set[str]:
    return {flag.name for flag in flags_of(study)}


def test_a_study_without_any_confound_is_rarely_flagged(drawn_study):
    models = ("nothing", "target", "motion", "site")
    flagged = [bool(flags_of(drawn_study(seed, units=80, model=models[seed % 4]))) for seed in range(20)]
    assert sum(flagged) <= 1


@pytest.mark.parametrize("confound", ["motion", "site"])
def test_a_study_of_a_confound_alone_is_flagged(drawn_study, confound):
    size = {"motion": 1.5, "site": 3.0}[confound]
    for seed in range(4):
        study = drawn_study(seed, units=100, model=confound, **{confound: size})
        assert f"covariate:{confound}" in names_of(study)


def test_a_model_that_saw_nothing_of_a_confound_is_not_better_than_it(drawn_study):
    (flag,) = flags_of(drawn_study(1, units=100, motion=2.0))
    assert flag.name == "covariate:motion"
    assert "Motion alone predicts diagnosis: AUROC 0." in flag.sentence
    assert "The model is not better than that (difference -0." in flag.sentence
    assert "follows" not in flag.sentence


def test_a_better_model_of_the_target_is_not_flagged_for_a_weak_confound(drawn_study):
    study = drawn_study(2, units=150, model="target", motion=0.8, signal=4.0)
    assert names_of(study) == set()


def test_a_score_of_the_site_is_flagged_within_sites(drawn_study):
    flags = {flag.name: flag for flag in flags_of(drawn_study(3, site=4.0, model="site"))}
    assert set(flags) == {"covariate:site", "within:site"}
    assert "but not among units of one site (0." in flags["within:site"].sentence
    assert "follows the site within the classes (share of the ranks' variance" in flags["covariate:site"].sentence


def test_p_is_corrected_for_all_tests(drawn_study):
    study = drawn_study(4, units=100, model="motion", motion=1.5)
    alone = {"motion": covariate_alone(study, "motion", SAMPLES)}
    follows = {"motion": follow(study.model.units, DIAGNOSIS, "motion", SAMPLES)}
    (flag,) = raise_flags(DIAGNOSIS, alone, follows, {})
    assert flag.p == alone["motion"].p
    alone |= {f"other {number}": dataclasses.replace(alone["motion"], p=0.9) for number in range(7)}
    assert raise_flags(DIAGNOSIS, alone, follows, {}) == []
