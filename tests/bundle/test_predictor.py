"""A bundle in memory predicts what the command predicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_tff.bundle.predictor import Predictor, inference_config, known_device
from monai_tff.data.find_scans import find_scans
from monai_tff.errors import ConfigError, ScanError

TARGETS = ("sex", "age", "site")


@pytest.fixture(scope="module")
def scans(cohort: Any) -> list[str]:
    return [record["image"] for record in find_scans(cohort.folder)][:3]


@pytest.mark.parametrize("target", TARGETS)
def test_numbers_are_those_of_the_command(
    target: str, finetuned: dict[str, Path], scans: list[str], command: Callable[..., Any], tmp_path: Path
) -> None:
    result = command("predict", finetuned[target], *scans, "--output-dir", tmp_path)
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "predictions.json").read_text(encoding="utf-8"))
    predictor = Predictor(finetuned[target], device="cpu")
    found = [predictor.predict(scan) for scan in scans]
    assert [prediction.spread for prediction in found] == [row["spread"] for row in rows]
    assert [prediction.label for prediction in found] == [row.get("predicted") for row in rows]
    assert [len(prediction.windows) for prediction in found] == [row["windows"] for row in rows]
    if target == "site":
        expected = [[row[f"score_{i}"] for i in range(3)] for row in rows]
        assert [[*prediction.scores.values()] for prediction in found] == expected
    else:
        assert [[*prediction.scores.values()][-1] for prediction in found] == [row["score"] for row in rows]


def test_scores_of_two_classes_are_named_and_sum_to_one(finetuned: dict[str, Path], scans: list[str]) -> None:
    predictor = Predictor(finetuned["sex"], stride=2)
    prediction = predictor.predict(scans[0])
    assert predictor.target is not None
    assert set(prediction.scores) == set(predictor.target.class_names)
    assert sum(prediction.scores.values()) == pytest.approx(1)
    assert [window["start"] for window in prediction.windows] == [0, 2, 4, 6, 7]
    assert all(set(window["scores"]) == set(prediction.scores) for window in prediction.windows)


def test_a_number_comes_under_the_name_of_its_target(finetuned: dict[str, Path], scans: list[str]) -> None:
    prediction = Predictor(finetuned["age"]).predict(scans[0])
    assert [*prediction.scores] == ["age"]
    assert prediction.label is None


@pytest.mark.parametrize("phase", ["autoencoder", "transformer"])
def test_reconstruction_is_the_file_of_the_command(
    phase: str, runs: Any, scans: list[str], command: Callable[..., Any], tmp_path: Path
) -> None:
    result = command("predict", runs.folder / phase, scans[0], "--output-dir", tmp_path)
    assert result.exit_code == 0, result.output
    (written,) = tmp_path.rglob("*.nii.gz")
    assert Predictor(runs.folder / phase).reconstruct(scans[0]) == written.read_bytes()


def test_a_bundle_does_what_it_is_for(runs: Any, scans: list[str]) -> None:
    with pytest.raises(ConfigError, match="reconstructs scans, expected one with a target"):
        Predictor(runs.transformer).predict(scans[0])
    with pytest.raises(ConfigError, match="predicts sex, expected one that reconstructs"):
        Predictor(runs.finetune).reconstruct(scans[0])


def test_the_folder_of_all_phases_names_them(runs: Any) -> None:
    with pytest.raises(ConfigError, match=r"name one of its phases \(autoencoder, finetune, transformer\)"):
        inference_config(runs.folder)


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="device cuda:9: there is no such device here, expected one of cpu"):
        known_device("cuda:9")


def test_a_scan_that_is_not_there(finetuned: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="there is no such file or folder"):
        Predictor(finetuned["sex"]).predict(tmp_path / "sub-01_bold.nii.gz")
