"""The model beside baselines, the control and earlier runs."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from monai_tff.contract import Target
from monai_tff.evidence import read_study
from monai_tff.evidence.comparisons import compare, permute, strata_columns
from monai_tff.evidence.numbers import is_repeated, metric_units
from monai_tff.metrics.comparison import holm


def with_baselines(study):
    """Two of the single covariates under the names that the model is compared with, and one as the control."""
    named = {"covariates": study.baselines["only_motion"], "connectivity": study.baselines["only_age"]}
    return dataclasses.replace(study, baselines=named, controls={"shuffled_frames": study.baselines["only_sex"]})


def test_differences_are_those_of_the_scores_and_holm_counts_them_all(drawn_study):
    study = with_baselines(drawn_study(0, units=80, model="target", motion=1.0))
    found = compare(study, samples=400, seed=1)
    assert [(row.name, row.kind) for row in found.rows] == [
        ("covariates", "baseline"),
        ("connectivity", "baseline"),
        ("shuffled_frames", "control"),
    ]
    units = study.model.units
    for row in found.rows:
        other = {**study.baselines, **study.controls}[row.name].units
        expected = roc_auc_score(units["truth"], units["score"]) - roc_auc_score(other["truth"], other["score"])
        assert row.difference.difference == pytest.approx(expected)
        assert row.difference.interval[0] <= expected <= row.difference.interval[1]
    corrected = holm({row.name: row.difference.p for row in found.rows})
    assert {row.name: row.difference.p_holm for row in found.rows} == corrected
    assert "over 3 comparisons (covariates alone, functional connectivity, the model on shuffled" in found.correction
    assert found.not_compared == ["not compared with the mean image: the baseline was not run."]


def test_an_earlier_run_of_the_same_units_is_compared(run, runs):
    found = compare(read_study(run), against=[runs.finetune, runs.finetune], samples=50)
    (row,) = found.rows
    assert (row.kind, row.name) == ("earlier run", str(runs.finetune))
    assert (row.difference.difference, row.difference.p_holm) == (0.0, 1.0)


def test_what_cannot_be_compared_is_said(run, runs, folds_folder, tmp_path):
    found = compare(read_study(run), against=[tmp_path / "nowhere", folds_folder], samples=20)
    assert found.rows == []
    assert found.correction == ""
    nowhere, folds = found.not_compared[-2:]
    assert "there is no evaluation/metrics.json" in nowhere
    assert "expected the same units in both" in folds
    age = dataclasses.replace(read_study(run), target=Target("age", "regression"))
    assert "it predicts 'sex' with other classes" in compare(age, against=[runs.finetune], samples=20).not_compared[-1]


def test_labels_are_exchanged_within_sites(drawn_study):
    study = drawn_study(1, units=60, site=4.0, model="site")
    found = permute(study, samples=200)
    assert found.strata == ["site"]
    assert found.model.p > 0.05
    assert "within 3 strata" in found.model.exchangeable
    assert "The strata are those of site." in found.model.exchangeable
    unknown = dataclasses.replace(study.model, units=study.model.units.assign(site=None))
    free = permute(dataclasses.replace(study, model=unknown), samples=200)
    assert free.strata == []
    assert free.model.p < 0.05
    assert set(free.baselines) == set(study.baselines)


def test_labels_are_exchanged_within_folds_unless_these_are_repeated(folds_folder, drawn_study):
    study = read_study(folds_folder)
    assert strata_columns(study.model.units, "sex") == ["site", "fold"]
    assert strata_columns(study.model.units, "site") == ["fold"]
    units = drawn_study(2, units=20).model.units
    repeated = units.assign(fold="repeat-1_fold-1", site=None)
    repeated = pd.concat([repeated, repeated.assign(fold="repeat-2_fold-1")], ignore_index=True)
    assert strata_columns(repeated, "diagnosis") == []
    named = metric_units(repeated)
    assert not named.duplicated(["subject", "session"]).any()
    assert named["session"].iloc[0] == "repeat-1_fold-1"
    assert metric_units(units) is units


def test_folds_of_repeats_are_no_strata(drawn_study):
    study = drawn_study(3, units=60, model="target", signal=4.0)
    random = np.random.default_rng(0).integers(1, 6, (60, 3))
    folds = [";".join(f"repeat-{repeat}_fold-{fold}" for repeat, fold in enumerate(row, start=1)) for row in random]
    units = study.model.units.assign(fold=folds)
    assert is_repeated(units)
    assert not is_repeated(study.model.units)
    found = permute(dataclasses.replace(study, model=dataclasses.replace(study.model, units=units)), samples=200)
    assert found.strata == ["site"]
    assert found.model.p < 0.01


def test_units_of_unknown_site_do_not_free_the_labels_of_the_others(drawn_study):
    study = drawn_study(1, units=60, site=4.0, model="site")
    site = study.model.units["site"].mask(study.model.units.index == 0, None)
    partly = dataclasses.replace(study.model, units=study.model.units.assign(site=site))
    found = permute(dataclasses.replace(study, model=partly, baselines={}), samples=200)
    assert found.strata == ["site"]
    assert found.model.p > 0.05
    assert "within 4 strata" in found.model.exchangeable
    assert "Units of unknown site are a stratum of their own." in found.model.exchangeable
    assert strata_columns(partly.units, "Site") == []


def test_folds_are_read_and_permuted(folds_folder):
    found = permute(read_study(folds_folder), samples=100)
    assert found.model.p is not None
    assert "The strata are those of site and fold." in found.model.exchangeable


def test_a_baseline_with_other_units_is_said(run):
    shutil.copytree(run / "evaluation", run / "baselines" / "mean_image")
    table = run / "baselines" / "mean_image" / "predictions.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:-1]) + "\n")
    assert "not comparable with the mean image: comparison: subject" in " ".join(
        compare(read_study(run), samples=10).not_compared
    )
