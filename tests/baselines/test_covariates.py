from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from monai_tff.baselines.covariates import CovariateFeatures, choose_covariates, covariate_baselines
from monai_tff.baselines.sections import Section
from monai_tff.contract import Target
from monai_tff.data.records import MEAN_FD, RELATIVE_RMS, make_record

PATIENT = Target("diagnosis", "binary", ("CONTROL", "PATIENT"))


def section(**changes: Any) -> Section:
    """Twelve scans of twelve subjects; a change is a list of twelve values."""
    values: dict[str, Any] = {
        "age": [20.0 + 3 * index for index in range(12)],
        "sex": ["F", "M", "M"] * 4,
        "site": ["a", "a", "b", "b"] * 3,
        "motion": [0.1 + 0.01 * (index * 5 % 12) for index in range(12)],
        "motion_kind": [MEAN_FD] * 12,
        "label": [0.0, 1.0] * 6,
        **changes,
    }
    records = []
    for index in range(12):
        known = {name: column[index] for name, column in values.items()}
        records.append(make_record(f"{index}.nii", str(index), str(index), known.pop("label"), **known))
    return Section("training", records)


def test_all_are_used_but_the_target():
    assert choose_covariates(section(), PATIENT).used == ("age", "sex", "site", "motion")
    by_name = choose_covariates(section(), Target("Sex", "binary", ("F", "M")))
    assert by_name.used == ("age", "site", "motion")
    assert by_name.sentence(PATIENT) == (
        "covariates used to predict diagnosis: age, site, motion; sex is left out: it is the target."
    )


@pytest.mark.parametrize(
    ("target", "changes", "name"),
    [
        (Target("gender", "binary", ("female", "male")), {"sex": ["F", "M"] * 6}, "sex"),
        (Target("scanner", "binary", ("a", "b")), {"site": ["a", "b"] * 6}, "site"),
        (Target("years", "regression"), {"label": [20.4 + 3 * index for index in range(12)]}, "age"),
    ],
)
def test_a_column_that_says_the_target_is_left_out(target: Target, changes: dict[str, Any], name: str):
    choice = choose_covariates(section(**changes), target)
    assert choice.left_out == {name: "its column says the same as the target"}


def test_a_site_that_separates_the_classes_is_kept():
    assert "site" in choose_covariates(section(site=["a", "b"] * 6), PATIENT).used


@pytest.mark.parametrize(
    ("known", "used"), [(6, True), (5, False)], ids=["half of the subjects", "less than half of them"]
)
def test_a_covariate_must_be_known_for_half_of_the_subjects(known: int, used: bool):
    changed = section(age=[20.0 + index if index < known else None for index in range(12)])
    said: list[str] = []
    made = covariate_baselines(
        choose_covariates(changed, PATIENT), ["covariates", "only_age", "mean_image"], said.append
    )
    assert made.get("only_age") == (["age"] if used else None)
    assert made["covariates"] == [*(["age"] if used else []), "sex", "site", "motion"]
    assert said == (
        []
        if used
        else ["baseline only_age is not made: it is known for 5 of 12 training subjects, expected at least half."]
    )


def test_nothing_is_made_of_nothing():
    empty = {name: [None] * 12 for name in ("age", "sex", "motion")}
    said: list[str] = []
    choice = choose_covariates(section(**empty, site=["a"] * 12), PATIENT)
    assert covariate_baselines(choice, ["covariates", "only_site"], said.append) == {}
    assert said == [
        "baseline covariates is not made: no covariate can be used.",
        "baseline only_site is not made: it is the same for all training subjects.",
    ]


def test_motion_of_another_kind_is_not_mixed_in():
    kinds = [MEAN_FD] * 7 + [RELATIVE_RMS] * 5
    choice = choose_covariates(section(motion_kind=kinds), PATIENT)
    assert choice.motion_kind == MEAN_FD
    features = CovariateFeatures(["motion"], MEAN_FD).fit(section(motion_kind=kinds))
    values = features.of_records(section(motion_kind=kinds).records)
    # imputed with one value, and marked by the second column
    assert np.unique(values[7:], axis=0).shape == (1, 2)
    assert values[7, 1] > values[0, 1]


def test_what_training_has_not_seen_is_no_class_and_no_error():
    features = CovariateFeatures(["age", "site"], MEAN_FD).fit(section())
    known = features.of_records(section().records)
    assert (known**2).sum(axis=1).mean() == pytest.approx(1)
    assert known.mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)
    (new,) = features.of_records([make_record("x.nii", "x", "x", 0.0, age=None, site="c")])
    # the mean age of these twelve is their median, and both sites are equally far
    assert new == pytest.approx([0, -1 / np.sqrt(3), -1 / np.sqrt(3)])
