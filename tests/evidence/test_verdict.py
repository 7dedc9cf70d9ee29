"""What a reader is told first."""

from __future__ import annotations

import dataclasses

import numpy as np

from monai_tff.evidence.comparisons import compare, permute
from monai_tff.evidence.flags import Flag
from monai_tff.evidence.ledger import read_ledger
from monai_tff.evidence.verdict import judge


def verdict_of(study, flags=(), ledger=None):
    return judge(
        study,
        compare(study, samples=300),
        permute(study, samples=300),
        list(flags),
        ledger or read_ledger(study.model.metrics),
    )


def with_baseline(study, name="covariates", of="only_age"):
    return dataclasses.replace(study, baselines={name: study.baselines[of]})


def test_above_chance_and_better(drawn_study):
    study = with_baseline(drawn_study(0, units=80, model="target", signal=3.0))
    found = verdict_of(study)
    assert found.above_chance is True
    assert found.headline.startswith("The model predicts diagnosis above chance: AUROC 0.")
    assert "80 subjects." in found.headline
    assert (found.better_than, found.not_better_than) == (["covariates"], [])
    assert found.sentences[0].startswith("By AUROC the model is better than covariates alone (difference 0.")


def test_nothing_above_chance_and_a_baseline_that_is(drawn_study):
    study = with_baseline(drawn_study(1, units=80, motion=2.0), of="only_motion")
    found = verdict_of(study, flags=[Flag("covariate:motion", 0.001, "Motion ...")])
    assert found.above_chance is False
    assert found.headline.startswith("Nothing above chance was found for diagnosis: AUROC 0.")
    assert found.not_better_than == ["covariates"]
    assert "worse than covariates alone (difference -0." in found.sentences[0]
    assert found.sentences[1] == "Above chance on the same units: covariates alone."
    assert found.sentences[2] == "1 warning of confounds: read them first."


def test_both_conditions_are_needed(drawn_study):
    study = drawn_study(0, units=80, model="target", signal=3.0)
    metrics = {**study.model.metrics, "intervals": {"auroc": [0.5, 0.9]}}
    touching = dataclasses.replace(study, model=dataclasses.replace(study.model, metrics=metrics))
    assert verdict_of(touching).above_chance is False
    unknown = dataclasses.replace(study.model, metrics={**metrics, "intervals": {"auroc": [None, None]}})
    found = verdict_of(dataclasses.replace(study, model=unknown))
    assert found.above_chance is None
    assert found.headline.startswith("Whether diagnosis is predicted above chance cannot be told")


def test_a_test_that_could_hardly_find_anything_is_no_finding(drawn_study):
    study = with_baseline(drawn_study(0, units=60, model="target", signal=3.0))
    truth = study.model.units["truth"]
    # each class at a site of its own, but for two units of either
    site = np.where(truth.groupby(truth).cumcount() < 2, "both", truth.map({0.0: "one", 1.0: "two"}))
    apart = dataclasses.replace(
        study, model=dataclasses.replace(study.model, units=study.model.units.assign(site=site))
    )
    found = verdict_of(apart)
    sentence = "56 of 60 units keep their label in every permutation: such a test can hardly find anything."
    assert (found.above_chance, found.sentences[1]) == (False, sentence)
    assert not any("keep their label" in text for text in verdict_of(study).sentences)


def test_without_baselines_nothing_says_whether_it_was_worth_it(drawn_study):
    found = verdict_of(dataclasses.replace(drawn_study(0, units=40), baselines={}))
    assert "was not compared with any baseline" in found.sentences[0]


def test_the_control_is_put_into_words(drawn_study):
    study = drawn_study(0, units=80, model="target", signal=3.0)
    better = dataclasses.replace(study, controls={"shuffled_frames": study.baselines["only_age"]})
    assert any("The order of the frames matters" in sentence for sentence in verdict_of(better).sentences)
    same = dataclasses.replace(study, controls={"shuffled_frames": study.model})
    assert any("matters was not shown" in sentence for sentence in verdict_of(same).sentences)


def test_the_ledger_is_printed():
    assert "is not known" in read_ledger({})["sentence"]
    assert "used once" in read_ledger({"ledger": {"test_set": "ab", "evaluations": 1, "models": 1}})["sentence"]
    found = read_ledger({"ledger": {"test_set": "ab", "evaluations": 7, "models": 3}})
    assert "used 7 times, for 3 models" in found["sentence"]
    assert found["test_set"] == "ab"
