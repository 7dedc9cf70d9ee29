"""From the tree of each cohort to a prediction: datalist, check, prepare, training from packed scans, predict."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import Result

from monai_tff.resources import bundles_folder

pytestmark = pytest.mark.end_to_end
Command = Callable[..., Result]

spec = importlib.util.spec_from_file_location("cohort_trees", Path(__file__).with_name("cohort_trees.py"))
assert spec is not None
assert spec.loader is not None
trees: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(trees)

TRAIN = bundles_folder() / "tff_fmri_prediction" / "configs" / "train.yaml"
SETTINGS = {
    "initial_weights": None,
    "hidden_size": 32,
    "window_length": 5,
    "max_epochs": 1,
    "batch_size": 4,
    "windows_per_scan": 1,
    "use_tensorboard": False,
}
EXPECTED = {
    "hcp": {"scans": 24, "repetition_time": 0.72, "motion": "mean relative RMS", "denoising": "fix"},
    "ucla": {"scans": 8, "repetition_time": 2.0, "motion": "mean FD", "denoising": "none"},
    "oasis3": {"scans": 24, "repetition_time": 2.0, "motion": None, "denoising": "none"},
    "bids": {"scans": 12, "repetition_time": 2.0, "motion": "mean FD", "denoising": "none"},
    "development_fmri": {"scans": 12, "repetition_time": 2.0, "motion": "mean FD", "denoising": "none"},
    "published": {"scans": 12, "repetition_time": 0.72, "motion": None, "denoising": "none"},
}


@pytest.fixture(params=list(EXPECTED), scope="module")
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, command: Command) -> Any:
    """A cohort's tree and its datalist, layer and experiment."""
    work = tmp_path_factory.mktemp(request.param)
    root = work / "my data"
    arguments = trees.TREES[request.param](root)
    datalist = work / "datalist.json"
    result = command("datalist", *arguments, "--ratios", "0.5,0.25,0.25", "--seed", 1, "--output", datalist)
    assert result.exit_code == 0, result.output
    content = json.loads(datalist.read_text())
    layer = {
        "dataset_dir": arguments[0],
        "datalist": str(datalist),
        "spatial_size": list(trees.GRID),
        "repetition_time": content["grid"]["repetition_time"],
        "denoising": content["denoising"],
        "packed_dir": str(work / "packed"),
    }
    (work / "layer.yaml").write_text(yaml.safe_dump(layer))
    phase = {"config_file": [str(TRAIN), str(work / "layer.yaml")], "overrides": SETTINGS}
    (work / "experiment.yaml").write_text(yaml.safe_dump({"name": "short", "phases": {"finetune": phase}}))
    return SimpleNamespace(name=request.param, work=work, folder=Path(arguments[0]), content=content, layer=layer)


def records_of(study: Any) -> list[dict[str, Any]]:
    return [record for section in ("training", "validation", "test") for record in study.content[section]]


def test_the_datalist_holds_the_cohort(study: Any) -> None:
    expected, records = EXPECTED[study.name], records_of(study)
    assert len(records) == expected["scans"]
    assert study.content["grid"]["repetition_time"] == expected["repetition_time"]
    assert study.content["denoising"] == expected["denoising"]
    assert {record["motion_kind"] for record in records} == {expected["motion"]}
    assert len({record["content"] for record in records}) == len(records)
    assert study.content["faults"] == []


def test_check_finds_nothing_to_fix(study: Any, command: Command) -> None:
    output = study.work / "report"
    result = command("check", "--layer", study.work / "layer.yaml", "--output", output)
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def trained(study: Any, command: Command) -> Path:
    """Prepares the scans and trains from them alone: the scans are out of reach meanwhile."""
    result = command("prepare", "--layer", study.work / "layer.yaml", "--workers", 1)
    assert result.exit_code == 0, result.output
    hidden = study.folder.with_name(study.folder.name + " elsewhere")
    study.folder.rename(hidden)
    try:
        alone = [part for step in ("control", "baselines", "explain", "report") for part in ("--without", step)]
        result = command("run", study.work / "experiment.yaml", "--run-dir", study.work / "run", *alone)
    finally:
        hidden.rename(study.folder)
    assert result.exit_code == 0, result.output
    return study.work / "run" / "finetune"


def test_every_scan_is_packed_once(study: Any, trained: Path) -> None:
    packed = sorted((study.work / "packed").rglob("*.safetensors"))
    assert len(packed) == len(records_of(study))


def test_a_scan_is_predicted_from_its_file_as_from_its_packed_form(study: Any, trained: Path, command: Command) -> None:
    evaluated = pd.read_csv(trained / "evaluation" / "predictions.csv", dtype={"subject": str, "session": str})
    record = study.content["test"][0]
    scans = [r["image"] for r in study.content["test"] if r["subject"] == record["subject"]]
    output = study.work / "predicted"
    result = command("predict", trained, *(study.folder / scan for scan in scans), "--output-dir", output)
    assert result.exit_code == 0, result.output
    predicted = pd.read_csv(output / "predictions.csv", dtype={"subject": str, "session": str})
    # a predicted scan has no label by which sessions could differ: one row for the subject
    wanted = evaluated[evaluated["subject"] == record["subject"]]
    # packed float32 sources are codes with an error of at most 1e-3 of a voxel's std
    assert predicted["score"].mean() == pytest.approx(wanted["score"].mean(), abs=1e-3)
