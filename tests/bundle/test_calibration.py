"""Temperature and threshold are fitted on validation subjects, and go wherever the weights go."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from scipy.special import expit, logit

from monai_tff.bundle.calibration import calibrate
from monai_tff.bundle.experiment import run_workflow
from monai_tff.bundle.export.card_contract import output_section
from monai_tff.bundle.export.run_source import read_run
from monai_tff.bundle.predictor import Predictor
from monai_tff.bundle.weights_contract import Calibrated, calibration_of, read_contract
from monai_tff.data import load_datalist
from monai_tff.data.overlap import split_hash
from monai_tff.metrics.calibration import fit_calibration

TEXTS = dict.fromkeys(("subject", "session", "run", "group", "scan"), str)


def read(folder: Path, name: str = "windows.csv") -> pd.DataFrame:
    return pd.read_csv(folder / name, dtype=TEXTS)


def test_what_is_fitted_on_the_validation_subjects(calibrated: Path, long_validation: Path) -> None:
    windows = read(calibrated / "validation")
    assert set(windows["subject"]) == {record["subject"] for record in load_datalist(long_validation)["validation"]}
    contract = read_contract(calibrated / "models" / "model.pt")
    assert contract is not None
    assert contract.target is not None
    fitted = fit_calibration(windows, contract.target)
    assert fitted.temperature != 1
    assert fitted.threshold != 0.5
    report = json.loads((calibrated / "calibration.json").read_text())
    numbers = (report["temperature"], report["threshold"], report["units"])
    assert numbers == (fitted.temperature, fitted.threshold, fitted.units)
    assert (report["fitted_on"], report["fitted"], report["reason"]) == ("validation", True, None)
    assert report["cross_entropy"]["after"] < report["cross_entropy"]["before"]
    assert (contract.temperature, contract.threshold) == (fitted.temperature, fitted.threshold)
    inference = yaml.safe_load((calibrated / "configs" / "inference.yaml").read_text())["contract"]
    assert {key: value for key, value in inference.items() if key != "_target_"} == contract.to_dict()


def test_the_validation_subjects_are_scored_uncalibrated_and_the_test_subjects_calibrated(calibrated: Path) -> None:
    temperature, threshold = calibration_of(calibrated / "models" / "model.pt")
    plain = {"temperature": 1.0, "threshold": 0.5, "pretraining_overlap": None, "bootstrap_samples": 0}
    output = calibrated.parent / "plain"
    run_workflow([str(calibrated / "configs" / "evaluate.yaml")], "eval", {**plain, "output_dir": str(output)})
    expected = expit(logit(read(output)["score"]) / temperature)
    assert np.abs(read(output)["score"] - read(calibrated / "evaluation")["score"]).max() > 1e-4
    np.testing.assert_allclose(read(calibrated / "evaluation")["score"], expected, rtol=1e-5)
    for folder, used in ((calibrated / "evaluation", threshold), (calibrated / "validation", 0.5)):
        units = read(folder, "predictions.csv")
        assert (units["predicted"] == np.where(units["score"] > used, "M", "F")).all()
        assert json.loads((folder / "metrics.json").read_text())["threshold"] == used


def test_predictions_of_scans_are_those_of_the_evaluation(
    calibrated: Path, long_validation: Path, cohort: Any, command: Callable[..., Any], tmp_path: Path
) -> None:
    scans = [cohort.folder / record["image"] for record in load_datalist(long_validation)["test"]]
    result = command("predict", calibrated, *scans, "--output-dir", tmp_path)
    assert result.exit_code == 0, result.output
    found = read(tmp_path, "predictions.csv").set_index("subject")
    evaluated = read(calibrated / "evaluation", "predictions.csv").set_index("subject")
    for column in ("score", "predicted"):
        assert found[column].tolist() == evaluated.loc[found.index, column].tolist()
    predicted = Predictor(calibrated, device="cpu").predict(scans[0])
    assert predicted.label == found["predicted"].iloc[0]
    assert predicted.scores["M"] == found["score"].iloc[0]


def test_an_export_reads_both_and_its_card_tells_them(calibrated: Path) -> None:
    source, fitted = read_run(calibrated), calibration_of(calibrated / "models" / "model.pt")
    assert (source.contract.temperature, source.contract.threshold) == fitted
    told = " ".join(output_section(source.contract).split())
    assert f"A probability above {fitted.threshold:g} names the positive class" in told
    assert f"divides logits by the temperature {fitted.temperature:g}" in told
    # the numbers are for this threshold
    assert "are for the threshold" not in source.sections["Performance"]


def test_nothing_else_of_the_run_changes_and_a_second_time_nothing_at_all(calibrated_copy: Path) -> None:
    """What a kill before the calibration leaves is calibrated to the same bytes."""

    def contents() -> dict[str, bytes]:
        return {
            str(path.relative_to(calibrated_copy)): path.read_bytes()
            for path in calibrated_copy.rglob("*")
            if path.is_file()
        }

    first, weights = contents(), calibrated_copy / "models" / "model.pt"
    calibrate(calibrated_copy)
    assert contents() == first

    checkpoint = torch.load(weights, weights_only=True)
    plain = {**checkpoint["contract"], "temperature": 1.0, "threshold": 0.5}
    torch.save({**checkpoint, "contract": plain}, weights)
    (calibrated_copy / "calibration.json").unlink()
    shutil.rmtree(calibrated_copy / "validation")
    calibrate(calibrated_copy)
    assert contents() == first


def test_weights_without_a_contract_are_not_calibrated(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "model.pt")
    assert calibration_of(tmp_path / "model.pt") == Calibrated(1.0, 0.5)


@pytest.mark.parametrize(("target", "reason"), [("age", "the target is a number"), ("site", None)])
def test_targets_of_other_kinds(target: str, reason: str | None, finetuned: dict[str, Path]) -> None:
    report = json.loads((finetuned[target] / "calibration.json").read_text())
    assert (report["fitted"], report["reason"]) == (reason is None, reason)
    # 6 validation subjects are too few for a temperature, and several classes have no threshold
    assert (report["temperature"], report["threshold"]) == (1.0, 0.5)
    assert calibration_of(finetuned[target] / "models" / "model.pt") == (1.0, 0.5)
    assert set(read(finetuned[target] / "validation")["scan"]) != set()
    assert len(report["warnings"]) == (0 if target == "age" else 1)


def changed_config(run: Path, **values: Any) -> None:
    path = run / "configs" / "evaluate.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}, sort_keys=False))


def without_validation(run: Path) -> None:
    """As a datalist of folds without validation subjects."""
    content = load_datalist(yaml.safe_load((run / "configs" / "evaluate.yaml").read_text())["datalist"])
    content = {**content, "validation": [], "test": [*content["test"], *content["validation"]]}
    content["split"] = {**content["split"], "hash": split_hash(content)}
    (run / "datalist.json").write_text(json.dumps(content))
    changed_config(run, datalist=str(run / "datalist.json"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without_validation, "there is no validation subject"),
        (lambda run: (run / "models" / "model.pt").unlink(), "there are no best weights"),
        (lambda run: changed_config(run, paper_head=True), "the published head gives probabilities"),
    ],
)
def test_a_run_that_cannot_be_calibrated_stays_as_it_is(
    change: Callable[[Path], None], reason: str, calibrated_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(calibrated_copy)
    files = [
        file
        for file in (calibrated_copy / "models" / "model.pt", calibrated_copy / "configs" / "inference.yaml")
        if file.is_file()
    ]
    before = [file.read_bytes() for file in files]
    report = json.loads(calibrate(calibrated_copy).read_text())
    assert not report["fitted"]
    assert report["reason"].startswith(reason)
    assert [file.read_bytes() for file in files] == before
    assert f"calibration: nothing fitted, {reason}" in capsys.readouterr().out


def test_one_class_alone_gives_no_threshold(calibrated_copy: Path) -> None:
    content = load_datalist(yaml.safe_load((calibrated_copy / "configs" / "evaluate.yaml").read_text())["datalist"])
    content["validation"] = [record for record in content["validation"] if record["label"] == "M"]
    content["split"] = {**content["split"], "hash": split_hash(content)}
    (calibrated_copy / "datalist.json").write_text(json.dumps(content))
    changed_config(calibrated_copy, datalist=str(calibrated_copy / "datalist.json"))
    report = json.loads(calibrate(calibrated_copy).read_text())
    assert (report["fitted"], report["temperature"], report["threshold"]) == (True, 1.0, 0.5)
    assert report["warnings"][0] == "temperature 1, not fitted: there is no validation subject of class 'F'."
    assert calibration_of(calibrated_copy / "models" / "model.pt") == (1.0, 0.5)


def test_a_continued_run_is_calibrated_to_the_same_bytes(
    runs: Any, phases: dict[str, Any], small: dict[str, Any], cohort: Any, tmp_path: Path
) -> None:
    """With the cohort elsewhere than the configuration in its folder says."""
    folder = Path(shutil.copytree(runs.finetune, tmp_path / "run"))
    before = {name: (folder / name).read_bytes() for name in ("models/model.pt", "calibration.json")}
    moved = Path(shutil.copytree(cohort.folder, tmp_path / "moved"))
    values = {**phases["finetune"].overrides, **small, "dataset_dir": str(moved), "run_dir": str(folder)}
    values |= {"datalist": str(moved / cohort.datalists["sex"].name), "resume": True}
    values["initial_weights"] = str(runs.transformer / "models" / "model.pt")
    changed_config(folder, dataset_dir=str(tmp_path / "gone"), datalist=str(tmp_path / "gone.json"))
    run_workflow(list(phases["finetune"].config_files), "train", values)
    assert {name: (folder / name).read_bytes() for name in before} == before
