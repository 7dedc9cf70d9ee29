"""Files of an evaluation."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator

from monai_tff.contract import Target
from monai_tff.errors import ConfigError, ContractError
from monai_tff.handlers.predictions import PredictionsWriter

SEX = Target("sex", "binary", ("F", "M"))
AGE = Target("age", "regression")
DIAGNOSIS = Target("diagnosis", "multiclass", ("control", "a", "b"))


def _records(num_classes: int = 2, labelled: bool = True) -> list[dict[str, Any]]:
    """24 subjects in 12 families, two scans each, of two and three windows; the scores follow the label closely."""
    generator = np.random.default_rng(4)
    records = []
    for scan in range(48):
        subject = scan // 2
        label = subject % num_classes
        images = generator.normal(0.7 * label, 0.6, size=(2 + scan % 2, num_classes if num_classes > 2 else 1))
        images[:, label % images.shape[1]] += 1.0 if num_classes > 2 else 0.0
        records.append(
            {
                "image": torch.as_tensor(images, dtype=torch.float32),
                "label": float(label) if labelled else None,
                "subject": f"{subject:02d}",
                "session": str(scan % 2),
                "run": None,
                "group": f"family-{subject // 2}",
                "scan": f"sub-{subject:02d}_ses-{scan % 2}_bold.nii.gz",
            }
        )
    return records


def _evaluate(records: list[dict[str, Any]], writer: PredictionsWriter, postprocessing: Any) -> None:
    SupervisedEvaluator(
        device="cpu",
        val_data_loader=DataLoader(
            records, batch_size=1, collate_fn=lambda batch: {key: [r[key] for r in batch] for key in batch[0]}
        ),
        network=torch.nn.Identity(),
        prepare_batch=lambda batch, device, non_blocking, **kwargs: (batch["image"][0], None),
        postprocessing=lambda data: {**data, "pred": postprocessing(data["pred"])},
        val_handlers=[writer],
        decollate=False,
    ).run()


def test_binary_files_and_closing_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = PredictionsWriter(tmp_path / "evaluation", SEX, bootstrap_samples=200, threshold=0.6, seed=3)
    records = _records()
    _evaluate(records, writer, torch.sigmoid)
    folder = tmp_path / "evaluation"
    assert {path.name for path in folder.iterdir()} == {
        "predictions.csv",
        "predictions.json",
        "windows.csv",
        "metrics.json",
    }

    windows = pd.read_csv(folder / "windows.csv", dtype={"subject": str, "session": str})
    assert list(windows) == ["subject", "session", "run", "group", "scan", "window", "truth", "score"]
    assert len(windows) == 24 * 5

    table = pd.read_csv(folder / "predictions.csv", dtype={"subject": str})
    assert list(table) == ["subject", "session", "scans", "windows", "score", "spread", "truth", "predicted"]
    assert (len(table), set(table["scans"]), set(table["windows"])) == (24, {2}, {5})
    own = windows[windows["subject"] == "07"]
    row = table[table["subject"] == "07"].iloc[0]
    assert row["score"] == pytest.approx(own.groupby("scan")["score"].mean().mean())
    assert row["spread"] == pytest.approx(own["score"].std())
    assert (table["predicted"] == np.where(table["score"] > 0.6, "M", "F")).all()

    metrics = json.loads((folder / "metrics.json").read_text())
    low, high = metrics["intervals"]["auroc"]
    assert low <= metrics["values"]["auroc"] <= high
    assert metrics["values"]["accuracy"] == pytest.approx(np.mean((table["score"] > 0.6) == table["truth"]))
    assert metrics["counts"] == {"units": 24, "subjects": 24, "groups": 12, "scans": 48, "windows": 120}
    assert (metrics["split"], metrics["target"]["class_names"], metrics["threshold"]) == ("test", ["F", "M"], 0.6)

    lines = capsys.readouterr().out.splitlines()
    assert "predictions.csv" in lines[0]
    assert re.fullmatch(r"test balanced accuracy \d\.\d\d, cross-entropy \d\.\d\d", lines[-2])
    assert re.fullmatch(r"test AUROC \d\.\d\d \[\d\.\d\d, \d\.\d\d\] \(24 subjects\)", lines[-1])


def test_multiclass_and_few_subjects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = PredictionsWriter(tmp_path, DIAGNOSIS, split="validation", bootstrap_samples=0)
    _evaluate(_records(3), writer, lambda outputs: torch.softmax(outputs, dim=-1))
    table = pd.read_csv(tmp_path / "predictions.csv")
    scores = table[["score_0", "score_1", "score_2"]].to_numpy()
    assert scores.sum(axis=1) == pytest.approx(1.0)
    assert (table["predicted"] == np.asarray(DIAGNOSIS.class_names)[scores.argmax(axis=1)]).all()
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["intervals"] == {}
    assert len(metrics["warnings"]) == 3
    assert "only 8 subjects of class 'control' (fewer than 10)" in capsys.readouterr().out


def test_regression_beside_the_training_mean(tmp_path: Path) -> None:
    writer = PredictionsWriter(tmp_path, AGE, baseline_value=30.0, bootstrap_samples=100)
    _evaluate(_records(), writer, lambda outputs: 10 * outputs + 30)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert list(table)[-1] == "truth"
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["values"]["mae"] == pytest.approx((table["score"] - table["truth"]).abs().mean())
    assert metrics["values"]["baseline_mae"] == pytest.approx(29.5)
    assert metrics["values"]["nmse"] is None  # a true value is 0: not defined, and JSON has no NaN


def test_scans_without_labels_get_predictions_by_session(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "metrics.json").write_text("of another evaluation")
    _evaluate(_records(labelled=False), PredictionsWriter(tmp_path, SEX, split="prediction"), torch.sigmoid)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert len(table) == 48
    assert table["truth"].isna().all()
    assert set(table["session"]) == {0, 1}
    assert not (tmp_path / "metrics.json").exists()
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_scores_that_are_not_finite_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"bold\.nii\.gz: the score of the window at frame 0 is nan"):
        _evaluate(_records(), PredictionsWriter(tmp_path, SEX), lambda outputs: outputs * float("nan"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", [".", "evaluation"])
def test_a_file_in_place_of_the_folder_is_found_before_the_first_scan(below: str, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("notes")

    def never(windows: torch.Tensor) -> torch.Tensor:
        raise AssertionError("a scan was predicted")

    with pytest.raises(ConfigError, match=r"taken.*: could not be written \(Not a directory\)"):
        _evaluate(_records(), PredictionsWriter(taken / below, SEX), never)
    assert taken.read_text() == "notes"


def test_a_second_evaluation_starts_anew(tmp_path: Path) -> None:
    writer = PredictionsWriter(tmp_path, SEX, bootstrap_samples=50)
    _evaluate(_records(), writer, torch.sigmoid)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    _evaluate(_records()[:8], writer, torch.sigmoid)
    assert json.loads((tmp_path / "metrics.json").read_text())["counts"]["subjects"] == 4
    _evaluate(_records(), writer, torch.sigmoid)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MONAI_TFF_LEDGER", str(tmp_path / "state" / "ledger.jsonl"))
    return tmp_path / "state" / "ledger.jsonl"


def test_each_use_of_a_test_set_is_counted_and_told(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (kind, model) in enumerate([("model", "m1"), ("model", "m1"), ("control", "m1")], start=1):
        writer = PredictionsWriter(
            tmp_path / str(number), SEX, bootstrap_samples=0, test_set="3f2a9c01" * 8, kind=kind, model=model
        )
        _evaluate(_records(), writer, torch.sigmoid)
    found = [json.loads((tmp_path / str(number) / "metrics.json").read_text()) for number in (1, 2, 3)]
    assert [metrics["ledger"]["evaluations"] for metrics in found] == [1, 2, 2]
    assert found[2]["ledger"] == {"test_set": "3f2a9c01" * 8, "evaluations": 2, "models": 1, "others": 1}
    assert (found[2]["kind"], found[2]["model"]) == ("control", "m1")
    lines = capsys.readouterr().out.splitlines()
    assert "test set 3f2a9c01 used 2 times, by 1 model" in lines
    assert "test set 3f2a9c01 used 2 times, by 1 model; by baselines and controls 1 time" in lines
    assert lines[-1].startswith("test AUROC")
    assert len(ledger.read_text().splitlines()) == 3


def test_what_is_no_test_set_is_not_counted(ledger: Path, tmp_path: Path) -> None:
    _evaluate(_records(), PredictionsWriter(tmp_path, SEX, bootstrap_samples=0), torch.sigmoid)
    records = _records(labelled=False)
    _evaluate(records, PredictionsWriter(tmp_path / "unlabelled", SEX, test_set="a" * 64), torch.sigmoid)
    assert "ledger" not in json.loads((tmp_path / "metrics.json").read_text())
    assert not ledger.exists()


def test_an_evaluation_does_not_end_where_the_ledger_cannot_be_written(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.parent.write_text("notes")
    writer = PredictionsWriter(tmp_path / "out", SEX, bootstrap_samples=0, test_set="a" * 64, model="m1")
    _evaluate(_records(), writer, torch.sigmoid)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["ledger"] == {"test_set": "a" * 64, "evaluations": None, "models": None, "others": None}
    (warning,) = [sentence for sentence in metrics["warnings"] if "ledger" in sentence]
    assert str(tmp_path) not in warning  # metrics may be passed on
    output = capsys.readouterr().out
    assert f"warning (test): {warning} It is {ledger}; set MONAI_TFF_LEDGER to another file." in output
    assert "test set aaaaaaaa: nobody knows how often it was used" in output
