"""Reading a finished study: the numbers that were written, and what the datalist knows of each unit."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from monai_tff.data.datalist import load_datalist
from monai_tff.errors import ConfigError
from monai_tff.evidence import read_study
from monai_tff.evidence.study import read_table


def test_a_run_is_read_with_the_facts_of_its_test_subjects(runs, cohort):
    study = read_study(runs.finetune)
    records = {record["subject"]: record for record in load_datalist(cohort.datalists["sex"])["test"]}
    units = study.model.units
    assert sorted(units["subject"]) == sorted(records)
    written = pd.read_csv(runs.finetune / "evaluation" / "predictions.csv", dtype={"subject": str})
    by_subject = units.set_index("subject")
    assert by_subject.loc[written["subject"], "score"].tolist() == written["score"].tolist()
    for subject, record in records.items():
        unit = by_subject.loc[subject]
        for name in ("site", "sex", "group", "motion_kind"):
            assert unit[name] == record[name]
        assert (unit["age"], unit["motion"]) == (record["age"], pytest.approx(record["motion"]))
    assert set(units["threshold"]) == {study.model.metrics["threshold"]}
    assert set(units["fold"]) == {"single"}
    assert (study.target.name, study.target.class_names, study.remarks) == ("sex", ("F", "M"), [])
    assert [member.folder for member in study.members] == [runs.finetune.resolve()]
    assert not study.is_pooled


def test_baselines_and_controls_are_found_when_they_are_complete(run):
    shutil.copytree(run / "evaluation", run / "baselines" / "covariates")
    shutil.copytree(run / "evaluation", run / "controls" / "shuffled_frames")
    shutil.copytree(run / "evaluation", run / "baselines" / "begun")
    (run / "baselines" / "begun" / "metrics.json").unlink()
    study = read_study(run)
    assert list(study.baselines) == ["covariates"]
    assert list(study.controls) == ["shuffled_frames"]
    pd.testing.assert_frame_equal(study.baselines["covariates"].units, study.model.units)


def test_a_datalist_that_is_gone_leaves_the_rest(run, runs):
    config = run / "configs" / "evaluate.yaml"
    config.write_text(config.read_text().replace("datalist_sex.json", "gone.json"))
    study = read_study(run)
    (remark,) = study.remarks
    assert "site, sex, age and motion of 'single' are unknown" in remark
    assert "gone.json" in remark
    assert study.model.units["score"].tolist() == read_study(runs.finetune).model.units["score"].tolist()
    assert study.model.units[["site", "sex", "age", "motion"]].isna().all(axis=None)


def test_folds_have_the_facts_of_every_split(folds_folder):
    study = read_study(folds_folder)
    assert study.is_pooled
    assert [member.split for member in study.members] == ["fold-1", "fold-2"]
    assert study.model.units["fold"].value_counts().to_dict() == {"fold-1": 12, "fold-2": 12}
    assert study.model.units[["age", "motion"]].notna().all(axis=None)


def test_texts_stay_texts_and_numbers_exact(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text("subject,session,score,truth\n007,NA,0.1234567890123456789,\nNA,,1e-17,1\n")
    table = read_table(path)
    assert table["subject"].tolist() == ["007", "NA"]
    assert table["session"].tolist() == ["NA", ""]
    assert table["score"].tolist() == [0.1234567890123456789, 1e-17]
    assert table["truth"].isna().tolist() == [True, False]


def test_what_is_missing_or_damaged_is_named(run, tmp_path):
    with pytest.raises(ConfigError, match=r"there is no evaluation/metrics.json, expected a run folder of phase 3"):
        read_study(tmp_path)
    with pytest.raises(ConfigError, match=rf"were evaluated; name its phase \({run.name}\)\.$"):
        read_study(run.parent)
    table = run / "evaluation" / "predictions.csv"
    content = table.read_text()
    table.write_text(content.replace(content.splitlines()[1].split(",")[0] + ",", "stranger,", 1))
    with pytest.raises(ConfigError, match=r"predictions.csv has the subject 'stranger' and windows.csv has not"):
        read_study(run)
    table.write_text(content.replace("0.", "zero", 3))
    with pytest.raises(ConfigError, match=r"predictions.csv: cannot be read"):
        read_study(run)
    (run / "evaluation" / "metrics.json").write_text(json.dumps([1]))
    with pytest.raises(ConfigError, match=r"metrics.json: cannot be read \(no object\)"):
        read_study(run)
