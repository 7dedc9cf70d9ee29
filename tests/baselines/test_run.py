"""The baselines find what was planted for them, never fit on a test subject, and are done once."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from monai_tff.baselines import BaselineOptions, run_baselines
from monai_tff.baselines import run as run_module
from monai_tff.baselines.features import fit_features
from monai_tff.baselines.run import fit_models
from monai_tff.baselines.sections import read_section
from monai_tff.bundle.finished_run import FinishedRun
from monai_tff.data import SplitPlan, build_datalist, read_bids, simulate_cohort, write_datalist
from monai_tff.errors import ConfigError, DatalistError

FEW = BaselineOptions(parcels=8)


@pytest.fixture
def baselines_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Runs baselines of a finished run that has no network: metrics by name, and what was said."""

    def of(run: FinishedRun, names: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        monkeypatch.setattr(run_module, "read_finished_run", lambda _: run)
        said: list[str] = []
        made = run_baselines(run.folder, names, said.append, **kwargs)
        reports = {path.name: json.loads((path / "metrics.json").read_text("utf-8")) for path in made}
        return {**reports, "said": said}

    return of


def test_each_baseline_finds_the_effect_that_it_can_see(planted: SimpleNamespace, baselines_of: Callable[..., Any]):
    sex = baselines_of(planted.sex, ["covariates", "mean_image"])
    assert sex["mean_image"]["values"]["auroc"] > 0.8
    assert 0.2 < sex["covariates"]["values"]["auroc"] < 0.8
    assert sex["covariates"]["baseline"]["covariates"] == ["age", "site", "motion"]
    assert sex["covariates"]["baseline"]["left_out"] == {"sex": "it is the target"}
    diagnosis = baselines_of(planted.diagnosis, ["mean_image", "connectivity"], options=BaselineOptions(parcels=20))
    assert diagnosis["connectivity"]["values"]["auroc"] > 0.8
    assert diagnosis["mean_image"]["values"]["auroc"] < 0.75
    facts = diagnosis["connectivity"]["baseline"]
    assert (facts["parcels"], facts["features"], facts["training"]["subjects"]) == (20, 210, 48)
    assert diagnosis["connectivity"]["threshold"] == diagnosis["connectivity"]["calibration"]["threshold"] != 0.5


def parameters(run: FinishedRun) -> dict[str, list[Any]]:
    """Everything that is fitted before a test scan is read."""
    training = read_section(run, "training")
    names = ["covariates", "only_site", "mean_image", "connectivity"]
    features = fit_features(run, training, names, FEW, lambda _: None)
    models = fit_models(run, training, features, lambda _: None)
    mean, connectivity = (features[name].fitted for name in names[2:])
    fitted: dict[str, list[Any]] = {
        "mean_image": [mean.scaler.mean_, mean.scaler.var_, mean.components.mean_, mean.components.components_],
        "connectivity": [connectivity.parcels.labels, connectivity.tangent.mean_, connectivity.tangent.whitening_],
    }
    fitted["connectivity"] += [connectivity.centre.mean_, np.array(connectivity.scale)]
    for name in names[:2]:
        columns, scaler = (step for _, step in features[name].fitted.pipeline.steps)
        fitted[name] = [scaler.mean_, scaler.scale_, *columns.named_transformers_["classes"].categories_]
    fitted["covariates"].append(features["covariates"].fitted.pipeline[0].named_transformers_["numbers"].statistics_)
    for name, model in models.items():
        fitted[name] += [model.model.coef_, model.model.intercept_, np.array(model.strength), features[name].training]
    return fitted


def same(first: dict[str, list[Any]], second: dict[str, list[Any]]) -> dict[str, bool]:
    """Whether every parameter is bit for bit the same, by baseline."""
    return {
        name: [np.asarray(value).tolist() for value in first[name]]
        == [np.asarray(value).tolist() for value in second[name]]
        for name in first
    }


def corrupt(scan: Path, seed: int) -> None:
    image = nib.load(scan)
    noise = np.random.default_rng(seed).integers(1, 30000, image.shape, dtype=np.int16)
    nib.save(nib.Nifti1Image(noise, image.affine, image.header), scan)


def copy_of(cohort: Any, folder: Path, finished: Callable[..., FinishedRun]) -> FinishedRun:
    shutil.copytree(cohort.folder, folder / "cohort")
    datalist = folder / "cohort" / cohort.datalists["sex"].name
    return finished(folder / "run", datalist, folder / "cohort")


def test_nothing_is_fitted_on_test_subjects(
    cohort: Any,
    tmp_path: Path,
    finished: Callable[..., FinishedRun],
    edited: Callable[..., None],
    baselines_of: Callable[..., Any],
):
    clean = copy_of(cohort, tmp_path / "clean", finished)
    broken = copy_of(cohort, tmp_path / "broken", finished)
    test = [record["scan"] for record in read_section(clean, "test").records]
    kept, *others = test
    for number, scan in enumerate(others):
        corrupt(broken.dataset_dir / scan, number)

    def change(section: str, record: dict[str, Any]) -> None:
        if section == "test" and record["image"] != kept:
            label = {"F": "M", "M": "F"}[record["label"]]
            record.update(label=label, age=150.0, site="elsewhere", motion=99.0, sex=None)

    edited(broken.datalist, change)
    before, after = parameters(clean), parameters(broken)
    assert same(before, after) == dict.fromkeys(before, True)

    names = ["covariates", "only_site", "mean_image", "connectivity"]
    reports = [baselines_of(run, names, options=FEW) for run in (clean, broken)]
    for name in names:
        assert reports[0][name]["calibration"] == reports[1][name]["calibration"]
        tables = [
            pd.read_csv(run.folder / "baselines" / name / "windows.csv", index_col="scan") for run in (clean, broken)
        ]
        scores = [table["score"] for table in tables]
        assert scores[0][kept] == scores[1][kept]
        assert (scores[0][others] != scores[1][others]).any()

    # a training scan, and a training covariate, do change what is fitted: the comparison can fail
    corrupt(broken.dataset_dir / read_section(broken, "training").records[0]["scan"], 77)
    edited(broken.datalist, lambda section, record: record.update(motion=5.0) if section == "training" else None)
    changed = same(before, parameters(broken))
    assert changed == {"covariates": False, "only_site": True, "mean_image": False, "connectivity": False}


@pytest.mark.parametrize(("target", "number"), [("age", "mae"), ("site", "auroc")])
def test_numbers_and_several_classes_are_predicted(
    target: str,
    number: str,
    cohort: Any,
    tmp_path: Path,
    finished: Callable[..., FinishedRun],
    baselines_of: Callable[..., Any],
):
    run = finished(tmp_path / "run", cohort.datalists[target], cohort.folder)
    found = baselines_of(run, options=FEW)
    assert f"baseline only_{target} is not made: it is the target." in found["said"]
    assert {"covariates", "only_sex", "only_motion", "mean_image", "connectivity"} < set(found)
    for name in ("covariates", "mean_image", "connectivity"):
        report = found[name]
        assert np.isfinite(report["values"][number])
        assert report["split"] == "test"
        units = pd.read_csv(run.folder / "baselines" / name / "predictions.csv")
        assert len(units) == report["counts"]["scans"] == 6
        if target == "age":
            assert (report["threshold"], report["calibration"]["temperature"]) == (0.5, 1.0)
            assert report["values"]["baseline_mae"] > 0
        else:
            assert units[["score_0", "score_1", "score_2"]].sum(axis=1).to_numpy() == pytest.approx(np.ones(6))


def test_sessions_are_scored_where_the_target_changes(
    tmp_path: Path,
    finished: Callable[..., FinishedRun],
    edited: Callable[..., None],
    baselines_of: Callable[..., Any],
):
    scans, datalist = tmp_path / "cohort", tmp_path / "age.json"
    simulate_cohort(scans, num_subjects=14, voxel_size=20.0, num_frames=6, seed=1, num_sessions=2)
    content = build_datalist(read_bids(scans, "age"), "age", dataset_dir=scans, plan=SplitPlan(ratios=(0.6, 0.2, 0.2)))
    write_datalist(content, datalist)
    edited(datalist, lambda _, record: record.update(label=record["label"] + 3) if record["session"] == "2" else None)
    run = finished(tmp_path / "run", datalist, scans)
    report = baselines_of(run, ["mean_image"])["mean_image"]
    units = pd.read_csv(run.folder / "baselines" / "mean_image" / "predictions.csv")
    assert sorted(units["session"]) == [1] * (len(units) // 2) + [2] * (len(units) // 2)
    assert report["counts"]["units"] == 2 * report["counts"]["subjects"]
    assert report["baseline"]["training"]["scans"] == 2 * report["baseline"]["training"]["subjects"]


def ledgerless(content: bytes) -> dict[str, Any]:
    return {name: value for name, value in json.loads(content).items() if name != "ledger"}


def test_what_is_finished_is_left_and_done_anew_alike(
    cohort: Any,
    tmp_path: Path,
    finished: Callable[..., FinishedRun],
    edited: Callable[..., None],
    baselines_of: Callable[..., Any],
):
    run = copy_of(cohort, tmp_path, finished)
    names = ["only_age", "mean_image"]
    baselines_of(run, names)
    files = [run.folder / "baselines" / name / "metrics.json" for name in names]
    first = [(path.stat().st_mtime_ns, path.read_bytes()) for path in files]
    again = baselines_of(run, [*names, "only_motion"])
    assert again["said"][0] == "finished before: only_age, mean_image"
    assert "only_motion" in again
    assert [(path.stat().st_mtime_ns, path.read_bytes()) for path in files] == first
    baselines_of(run, names, overwrite=True)
    # the ledger alone has another count
    assert [ledgerless(path.read_bytes()) for path in files] == [ledgerless(content) for _, content in first]
    assert all(path.stat().st_mtime_ns > time for path, (time, _) in zip(files, first, strict=True))
    # another datalist: the old numbers are not those of this split, and an age that nobody knows leaves none behind
    edited(run.datalist, lambda _, record: record.update(age=None))
    found = baselines_of(run, names)
    assert "only_age" not in found
    assert not files[0].exists()
    assert any(sentence.startswith("baseline only_age is not made: it is known for 0 of") for sentence in found["said"])
    assert files[1].read_bytes() != first[1][1]


def test_mistakes_are_one_sentence(cohort: Any, tmp_path: Path, finished: Callable[..., FinishedRun], baselines_of):
    with pytest.raises(ConfigError, match=r"is no finished run of phase 3"):
        run_baselines(tmp_path)
    with pytest.raises(ConfigError, match=r"baseline 'forest' does not exist, expected one of covariates, only_age"):
        run_baselines(tmp_path, ["forest"])
    run = copy_of(cohort, tmp_path, finished)
    with pytest.raises(ConfigError, match=r"parcels is 900, expected at most the \d+ voxels"):
        baselines_of(run, ["connectivity"], options=BaselineOptions(parcels=900))
    scan = run.dataset_dir / read_section(run, "test").records[0]["scan"]
    scan.unlink()
    with pytest.raises(DatalistError, match=rf"the first is {re.escape(str(scan))}, expected all"):
        baselines_of(run, ["only_age"])
    assert not (run.folder / "baselines").exists()
