"""Controls: the same weights on spoilt test scans."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from monai_tff.bundle.controls import evaluate_shuffled
from monai_tff.errors import ConfigError
from monai_tff.networks import weights_digest

FILES = {"metrics.json", "predictions.csv", "predictions.json", "windows.csv"}


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MONAI_TFF_LEDGER", str(tmp_path / "ledger.jsonl"))
    return tmp_path / "ledger.jsonl"


def test_the_frames_of_test_scans_in_a_random_order(
    calibrated_copy: Path, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = evaluate_shuffled(calibrated_copy)
    assert folder == calibrated_copy / "controls" / "shuffled_frames"
    assert {path.name for path in folder.iterdir()} == FILES
    both = (calibrated_copy / "evaluation", folder)
    model, control = (json.loads((path / "metrics.json").read_text()) for path in both)
    weights = calibrated_copy / "models" / "model.pt"
    assert (model["kind"], control["kind"]) == ("model", "control")
    assert model["model"] == control["model"] == weights_digest(weights)
    assert (model["frame_order_seed"], control["frame_order_seed"]) == (None, 7)
    for name in ("split", "threshold", "temperature", "counts"):
        assert control[name] == model[name]
    assert control["ledger"]["test_set"] == model["ledger"]["test_set"]
    assert (control["ledger"]["evaluations"], control["ledger"]["others"]) == (0, 1)

    plain, shuffled = (pd.read_csv(path / "windows.csv") for path in both)
    assert plain.drop(columns="score").equals(shuffled.drop(columns="score"))
    assert (plain["score"] - shuffled["score"]).abs().min() > 0  # the network looks at the order

    times = [path.stat().st_mtime_ns for path in folder.iterdir()]
    capsys.readouterr()
    assert evaluate_shuffled(calibrated_copy) == folder
    assert [path.stat().st_mtime_ns for path in folder.iterdir()] == times
    assert capsys.readouterr().out == f"{folder} is finished already\n"
    assert len(ledger.read_text().splitlines()) == 1

    scores = pd.read_csv(folder / "windows.csv")["score"]
    checkpoint = torch.load(weights, weights_only=True)
    checkpoint["model"]["head.bias"] += 1
    torch.save(checkpoint, weights)
    evaluate_shuffled(calibrated_copy)
    assert (pd.read_csv(folder / "windows.csv")["score"] > scores).all()
    assert json.loads((folder / "metrics.json").read_text())["model"] == weights_digest(weights) != control["model"]


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no finished run of phase 3"):
        evaluate_shuffled(tmp_path)
