"""Pooled out-of-fold evaluations, against numbers worked out by hand or by other libraries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from monai_tff.bundle.folds import OVERLAPPING, pool_evaluations
from monai_tff.bundle.folds_numbers import write_numbers
from monai_tff.bundle.study_folder import Member, StudyFolder, member_place, write_study_folder
from monai_tff.contract import Target
from monai_tff.errors import ConfigError
from monai_tff.handlers.evaluation_files import EvaluationSettings, write_evaluation

SEX = Target("sex", "binary", ("F", "M"))
SITE = Target("site", "multiclass", ("A", "B", "C"))
AGE = Target("age", "regression")


def windows(target: Target, subjects: list[str], seed: int) -> pd.DataFrame:
    """Three windows of one or two scans of each subject, with scores that depend on the seed."""
    generator = np.random.default_rng([seed, len(subjects)])
    rows: list[dict[str, Any]] = []
    for subject in subjects:
        number = int(subject.removeprefix("NA"))
        for scan in range(1 + number % 2):
            for start in (0, 5, 10):
                known = {"subject": subject, "session": None, "run": str(scan), "group": f"g{number // 2}"}
                row = {**known, "scan": f"{subject}_{scan}.nii", "window": start}
                if target.kind == "multiclass":
                    scores = generator.dirichlet([1, 1, 1])
                    row |= {"truth": float(number % 3), **{f"score_{i}": value for i, value in enumerate(scores)}}
                elif target.kind == "binary":
                    row |= {"truth": float(number % 2), "score": generator.uniform()}
                else:
                    row |= {"truth": 20.0 + number, "score": 20 + number + generator.normal()}
                rows.append(row)
    return pd.DataFrame(rows)


def make_study(
    folder: Path,
    target: Target,
    tested: dict[str, list[str]],
    seeds: tuple[int, ...] = (3, 4),
    plan: dict[str, Any] | None = None,
    splits: int | None = None,
) -> Path:
    """A folder of folds with evaluations of windows that were drawn."""
    members = []
    for split, subjects in tested.items():
        for seed in seeds:
            run = member_place(folder, split, seed) / "finetune"
            threshold = 0.4 + 0.01 * seed + 0.1 * len(members) if target.kind == "binary" else 0.5
            settings = EvaluationSettings(
                target, threshold=threshold, bootstrap_samples=50, seed=seed, pretraining_overlap="none"
            )
            write_evaluation(run / "evaluation", windows(target, subjects, seed), settings)
            datalist = folder / f"{split}.json"
            members.append(Member(split, seed, run, datalist))
    write_study_folder(folder, StudyFolder("e", ("finetune",), plan or {}, splits or len(tested), tuple(members)))
    return folder


TESTED = {"fold-1": [f"NA{n}" for n in range(8)], "fold-2": [f"NA{n}" for n in range(8, 15)]}


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"subject": str}, keep_default_na=False)


def test_a_score_is_the_mean_over_seeds(tmp_path: Path) -> None:
    folder = make_study(tmp_path, SEX, TESTED)
    assert pool_evaluations(folder, "evaluation") == folder / "evaluation"
    pooled = read(folder / "evaluation" / "predictions.csv").set_index("subject")
    assert len(pooled) == 15
    for number, (split, subjects) in enumerate(TESTED.items()):
        own = [read(folder / split / f"seed-{s}" / "finetune" / "evaluation" / "predictions.csv") for s in (3, 4)]
        scores = np.array([table.set_index("subject").loc[subjects, "score"].to_numpy(float) for table in own])
        found = pooled.loc[subjects]
        np.testing.assert_allclose(found["score"].to_numpy(float), scores.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(found["seed_spread"].to_numpy(float), scores.std(axis=0, ddof=1), rtol=1e-9)
        threshold = np.mean([0.43 + 0.2 * number, 0.44 + 0.2 * number + 0.1])
        np.testing.assert_allclose(found["threshold"].to_numpy(float), threshold)
        assert (found["predicted"] == np.where(scores.mean(axis=0) > threshold, "M", "F")).all()
        assert set(found["fold"]) == {split}
        spreads = np.mean([table.set_index("subject").loc[subjects, "spread"].to_numpy(float) for table in own], axis=0)
        np.testing.assert_allclose(found["spread"].to_numpy(float), spreads, rtol=1e-9)
    assert pooled.loc["NA3", ["scans", "windows"]].tolist() == [2, 6]
    assert pooled.loc["NA8", ["scans", "windows"]].tolist() == [1, 3]


def test_its_numbers_are_those_of_all_units_together(tmp_path: Path) -> None:
    folder = make_study(tmp_path, SEX, TESTED)
    pool_evaluations(folder, "evaluation")
    metrics = json.loads((folder / "evaluation" / "metrics.json").read_text())
    pooled = read(folder / "evaluation" / "predictions.csv")
    truth, score = pooled["truth"].to_numpy(int), pooled["score"].to_numpy(float)
    assert metrics["values"]["auroc"] == pytest.approx(roc_auc_score(truth, score))
    right = (pooled["predicted"] == "M").to_numpy() == (truth == 1)
    assert metrics["values"]["accuracy"] == pytest.approx(right.mean())
    low, high = metrics["intervals"]["auroc"]
    assert low <= metrics["values"]["auroc"] <= high
    assert metrics["counts"] == {"units": 15, "subjects": 15, "groups": 8, "scans": 22, "windows": 66}
    assert OVERLAPPING in metrics["warnings"]
    assert metrics["pretraining_overlap"] == "none"
    rows = json.loads((folder / "evaluation" / "predictions.json").read_text())
    assert [row["score"] for row in rows] == score.tolist()
    every = read(folder / "evaluation" / "windows.csv")
    assert len(every) == 2 * 66
    assert set(every["seed"]) == {3, 4}


def test_mean_and_spread_over_folds_and_seeds(tmp_path: Path) -> None:
    folder = make_study(tmp_path, SEX, TESTED)
    pool_evaluations(folder, "evaluation")
    table = pd.read_csv(write_numbers(folder))
    assert list(table) == ["split", "seed", "name", "value"]
    metrics = json.loads((folder / "evaluation" / "metrics.json").read_text())
    values = np.array(
        [
            [
                json.loads((folder / split / f"seed-{s}" / "finetune/evaluation/metrics.json").read_text())
                for s in (3, 4)
            ]
            for split in TESTED
        ]
    )
    auroc = np.array([[content["values"]["auroc"] for content in row] for row in values])
    assert table.loc[table["name"] == "auroc", "value"].tolist() == auroc.ravel().tolist()
    assert metrics["mean_over_folds"]["auroc"] == pytest.approx(auroc.mean())
    assert metrics["std_over_folds"]["auroc"] == pytest.approx(auroc.mean(axis=1).std(ddof=1))
    assert metrics["std_over_seeds"]["auroc"] == pytest.approx(np.sqrt(auroc.var(axis=1, ddof=1).mean()))
    assert [(fold["split"], fold["units"], fold["seeds"]) for fold in metrics["folds"]] == [
        ("fold-1", 8, [3, 4]),
        ("fold-2", 7, [3, 4]),
    ]
    assert [fold["values"]["auroc"] for fold in metrics["folds"]] == pytest.approx(auroc.mean(axis=1))


def test_one_seed_has_no_spread_and_a_number_that_is_not_defined_is_left_out(tmp_path: Path) -> None:
    """A site of one class has no AUROC; the mean is over the others."""
    tested = {"site-A": [f"NA{n}" for n in (0, 2, 4)], "site-B": ["NA1", "NA6"], "site-C": ["NA3", "NA8"]}
    folder = make_study(tmp_path, SEX, tested, seeds=(5,))
    pool_evaluations(folder, "evaluation")
    metrics = json.loads((folder / "evaluation" / "metrics.json").read_text())
    per_fold = [fold["values"]["auroc"] for fold in metrics["folds"]]
    assert per_fold[0] is None
    assert metrics["mean_over_folds"]["auroc"] == pytest.approx(np.mean(per_fold[1:]))
    assert metrics["std_over_folds"]["auroc"] == pytest.approx(np.std(per_fold[1:], ddof=1))
    assert set(metrics["std_over_seeds"].values()) == {None}
    assert set(read(folder / "evaluation" / "predictions.csv")["seed_spread"]) == {""}


def test_repeats_are_averaged_as_well(tmp_path: Path) -> None:
    subjects = [f"NA{n}" for n in range(9)]
    tested = {"repeat-1_fold-1": subjects[:5], "repeat-1_fold-2": subjects[5:], "repeat-2_fold-1": subjects[:4]}
    tested["repeat-2_fold-2"] = subjects[4:]
    folder = make_study(tmp_path, SEX, tested, plan={"repeats": 2})
    pool_evaluations(folder, "evaluation")
    pooled = read(folder / "evaluation" / "predictions.csv").set_index("subject")
    assert len(pooled) == 9
    assert pooled.loc["NA4", "fold"] == "repeat-1_fold-1;repeat-2_fold-2"
    places = [("repeat-1_fold-1", 3), ("repeat-1_fold-1", 4), ("repeat-2_fold-2", 3), ("repeat-2_fold-2", 4)]
    scores = [
        read(folder / split / f"seed-{seed}" / "finetune/evaluation/predictions.csv").set_index("subject").loc["NA4"]
        for split, seed in places
    ]
    values = np.array([float(row["score"]) for row in scores]).reshape(2, 2)
    assert float(pooled.loc["NA4", "score"]) == pytest.approx(values.mean())
    assert float(pooled.loc["NA4", "seed_spread"]) == pytest.approx(values.mean(axis=0).std(ddof=1))
    warnings = json.loads((folder / "evaluation" / "metrics.json").read_text())["warnings"]
    assert any("mean over the repeats" in sentence for sentence in warnings)


def test_scans_of_a_subject_at_two_held_out_sites_count_once(tmp_path: Path) -> None:
    members = []
    for split, session, subjects in (("site-A", "1", ["NA1", "NA2"]), ("site-B", "2", ["NA1", "NA3"])):
        run = member_place(tmp_path, split, 3) / "finetune"
        table = windows(SEX, subjects, 3).assign(session=session)
        table["scan"] += session
        write_evaluation(run / "evaluation", table, EvaluationSettings(SEX, bootstrap_samples=0, seed=3))
        members.append(Member(split, 3, run, tmp_path / f"{split}.json"))
    write_study_folder(tmp_path, StudyFolder("e", ("finetune",), {}, 2, tuple(members)))
    pool_evaluations(tmp_path, "evaluation")
    pooled = read(tmp_path / "evaluation" / "predictions.csv").set_index(["subject", "session"])
    assert pooled["scans"].to_dict() == {("NA1", 1): 2, ("NA1", 2): 2, ("NA2", 1): 1, ("NA3", 2): 2}
    counts = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())["counts"]
    assert (counts["scans"], counts["windows"]) == (7, 21)


def test_several_classes(tmp_path: Path) -> None:
    folder = make_study(tmp_path, SITE, TESTED)
    pool_evaluations(folder, "evaluation")
    pooled = read(folder / "evaluation" / "predictions.csv").set_index("subject")
    own = [read(folder / "fold-1" / f"seed-{s}/finetune/evaluation/predictions.csv") for s in (3, 4)]
    scores = np.array([table.loc[2, [f"score_{i}" for i in range(3)]].to_numpy(float) for table in own])
    subject = own[0].loc[2, "subject"]
    found = pooled.loc[subject, [f"score_{i}" for i in range(3)]].to_numpy(float)
    np.testing.assert_allclose(found, scores.mean(axis=0), rtol=1e-12)
    best = scores.mean(axis=0).argmax()
    assert pooled.loc[subject, "predicted"] == "ABC"[best]
    assert float(pooled.loc[subject, "seed_spread"]) == pytest.approx(scores[:, best].std(ddof=1))


def test_a_number_is_compared_with_the_mean_of_its_own_training_subjects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monai_tff.bundle import folds

    means = {"fold-1": 22.0, "fold-2": 31.0}
    monkeypatch.setattr(folds, "target_statistics", lambda datalist: (means[datalist.stem], 1.0))
    folder = make_study(tmp_path, AGE, TESTED, seeds=(3,))
    pool_evaluations(folder, "evaluation")
    metrics = json.loads((folder / "evaluation" / "metrics.json").read_text())
    ages = {split: np.array([20 + int(s.removeprefix("NA")) for s in subjects]) for split, subjects in TESTED.items()}
    expected = np.concatenate([np.abs(ages[split] - means[split]) for split in TESTED])
    assert metrics["values"]["baseline_mae"] == pytest.approx(expected.mean())
    pooled = read(folder / "evaluation" / "predictions.csv")
    error = pooled["score"].to_numpy(float) - pooled["truth"].to_numpy(float)
    assert metrics["values"]["mae"] == pytest.approx(np.abs(error).mean())


def test_units_are_sessions_in_all_folds_if_they_are_in_one(tmp_path: Path) -> None:
    """Only a subject of the first fold changes between sessions."""
    folder = make_study(tmp_path, SEX, TESTED, seeds=(3,))
    for split, subjects in TESTED.items():
        table = windows(SEX, subjects, 3)
        table["session"] = table["run"]
        if split == "fold-1":
            table.loc[(table["subject"] == "NA3") & (table["session"] == "1"), "truth"] = 0.0
        settings = EvaluationSettings(SEX, bootstrap_samples=50)
        write_evaluation(folder / split / "seed-3" / "finetune" / "evaluation", table, settings)
    pool_evaluations(folder, "evaluation")
    pooled = read(folder / "evaluation" / "predictions.csv")
    assert len(pooled) == 22
    assert set(pooled["scans"]) == {1}
    assert pooled.loc[pooled["subject"] == "NA9", "session"].astype(str).tolist() == ["0", "1"]


def test_baselines_lie_with_the_first_seed(tmp_path: Path) -> None:
    folder = make_study(tmp_path, SEX, TESTED)
    for split, subjects in TESTED.items():
        place = folder / split / "seed-3" / "finetune" / "baselines" / "covariates"
        write_evaluation(place, windows(SEX, subjects, 9), EvaluationSettings(SEX, bootstrap_samples=50))
    assert pool_evaluations(folder, "baselines/covariates") == folder / "baselines" / "covariates"
    assert len(read(folder / "baselines" / "covariates" / "predictions.csv")) == 15
    with pytest.raises(ConfigError, match=r"seed-3/finetune/controls/shuffled_frames/metrics.json: cannot be read"):
        pool_evaluations(folder, "controls/shuffled_frames")


def test_folds_that_were_not_run_are_said(tmp_path: Path) -> None:
    folder = make_study(tmp_path, SEX, TESTED, splits=5)
    pool_evaluations(folder, "evaluation")
    warnings = json.loads((folder / "evaluation" / "metrics.json").read_text())["warnings"]
    assert "2 of 5 folds were run: the other subjects are not tested here." in warnings


def test_pooled_numbers_of_fewer_members_are_no_longer_finished(tmp_path: Path) -> None:
    folder = make_study(tmp_path, SEX, TESTED, seeds=(3,))
    pool_evaluations(folder, "evaluation")
    make_study(tmp_path, SEX, TESTED, seeds=(3, 4))
    assert not (folder / "evaluation" / "metrics.json").exists()
    assert (folder / "fold-1" / "seed-3" / "finetune" / "evaluation" / "metrics.json").exists()
