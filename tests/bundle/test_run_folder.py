"""The run folder is a bundle: what is in it, and that it stands alone."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from monai_tff.bundle.experiment import run_workflow
from monai_tff.contract import InputContract

FILES = {
    "configs": {"train.yaml", "evaluate.yaml", "inference.yaml", "metadata.json", "logging.conf"},
    "models": {"model.pt", "last.pt"},
    ".": {"metrics.csv", "versions.json", "lineage.json", "content_hashes.json", "finished", ".lock"},
}


def load(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text())


@pytest.mark.parametrize("phase", ["autoencoder", "transformer", "finetune"])
def test_the_files_of_a_run(phase: str, runs: Any) -> None:
    folder = runs.folder / phase
    calibrated = {"calibration.json"} if phase == "finetune" else set()
    for name, files in {**FILES, ".": FILES["."] | calibrated}.items():
        assert {path.name for path in (folder / name).iterdir() if path.is_file()} == files
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.parametrize("phase", ["autoencoder", "finetune"])
def test_contents_of_all_scans_seen_lie_beside_the_lineage(phase: str, runs: Any, cohort: Any) -> None:
    datalist = json.loads(cohort.datalists["sex"].read_text())
    seen = {record["content"] for section in ("training", "validation") for record in datalist[section]}
    text = (runs.folder / phase / "content_hashes.json").read_text()
    assert json.loads(text) == {"complete": True, "hashes": sorted(seen)}
    assert not [record["subject"] for record in datalist["training"] if f'"{record["subject"]}"' in text]


def test_the_merged_configuration_holds_every_override(runs: Any, cohort: Any, small: dict[str, Any]) -> None:
    config = load(runs.finetune / "configs" / "train.yaml")
    assert {key: config[key] for key in small} == small
    assert config["dataset_dir"] == str(cohort.folder)
    assert config["datalist"] == str(cohort.datalists["sex"])
    assert config["initial_weights"] == str(runs.transformer / "models" / "model.pt")
    assert (config["run_dir"], config["resume"], config["repetition_time"]) == ("@bundle_root", False, 2.0)


@pytest.mark.parametrize("target", ["sex", "age", "site"])
def test_inference_holds_the_contract_and_the_network_in_numbers(target: str, finetuned: dict[str, Path]) -> None:
    config = load(finetuned[target] / "configs" / "inference.yaml")
    checkpoint = torch.load(finetuned[target] / "models" / "model.pt", weights_only=True)
    contract = {key: value for key, value in config["contract"].items() if key != "_target_"}
    assert InputContract.from_dict(contract).to_dict() == checkpoint["contract"]
    assert (contract["spatial_size"], contract["window_length"], contract["target"]["name"]) == ([8, 10, 9], 5, target)
    assert (contract["target_mean"] is not None) == (target == "age")
    network = config["network_def"]
    assert network["_target_"] == "monai_tff.networks.TFFPredictor"
    assert network["num_outputs"] == (3 if target == "site" else 1)
    assert not [key for key, value in network.items() if isinstance(value, str) and value.startswith(("$", "@"))]


@pytest.mark.parametrize(
    ("target", "channels"),
    [("sex", {"0": "M"}), ("age", {"0": "age"}), ("site", None)],
)
def test_metadata_describes_the_network(target: str, channels: Any, finetuned: dict[str, Path]) -> None:
    formats = json.loads((finetuned[target] / "configs" / "metadata.json").read_text())["network_data_format"]
    names = load(finetuned[target] / "configs" / "inference.yaml")["contract"]["target"]["class_names"]
    channels = channels or {str(number): name for number, name in enumerate(names)}
    assert formats["inputs"]["image"]["spatial_shape"] == [8, 10, 9, "*"]
    assert formats["outputs"]["pred"]["channel_def"] == channels
    assert formats["outputs"]["pred"]["num_channels"] == len(channels)


def test_versions(runs: Any, cohort: Any) -> None:
    versions = json.loads((runs.finetune / "versions.json").read_text())
    assert versions["torch"] == version("torch")
    assert versions["split"] == json.loads(cohort.datalists["sex"].read_text())["split"]["hash"]


@pytest.mark.parametrize("phase", ["autoencoder", "finetune"])
def test_the_saved_configuration_alone_gives_the_same_weights(phase: str, runs: Any, tmp_path: Path) -> None:
    run_workflow([str(runs.folder / phase / "configs" / "train.yaml")], "train", {"run_dir": str(tmp_path / "again")})
    first, again = (
        torch.load(folder / "models" / "last.pt", weights_only=True)
        for folder in (runs.folder / phase, tmp_path / "again")
    )
    assert [name for name in first["model"] if not torch.equal(first["model"][name], again["model"][name])] == []
    for name in FILES["configs"]:
        saved, anew = (folder / "configs" / name for folder in (runs.folder / phase, tmp_path / "again"))
        assert anew.read_text() == saved.read_text()


def test_the_hardware_does_not_change_the_result(runs: Any, tmp_path: Path) -> None:
    """Windows are drawn from (seed, epoch, scan, draw), never from the state of a worker or a cache."""
    hardware = {"run_dir": str(tmp_path / "run"), "num_workers": 2, "cache_rate": 0.4, "cache_workers": 1}
    run_workflow([str(runs.autoencoder / "configs" / "train.yaml")], "train", hardware)
    first, again = (
        torch.load(folder / "models" / "last.pt", weights_only=True) for folder in (runs.autoencoder, tmp_path / "run")
    )
    assert [name for name in first["model"] if not torch.equal(first["model"][name], again["model"][name])] == []


def test_a_saved_configuration_with_changes_makes_a_whole_bundle(runs: Any, tmp_path: Path) -> None:
    """evaluate.yaml of the new run follows the change, although its template is a run folder's merged one."""
    changes = {"run_dir": str(tmp_path / "wider"), "hidden_size": 48, "initial_weights": None, "max_epochs": 1}
    run_workflow([str(runs.finetune / "configs" / "train.yaml")], "train", changes)
    assert load(tmp_path / "wider" / "configs" / "evaluate.yaml")["hidden_size"] == 48
    run_workflow([str(tmp_path / "wider" / "configs" / "evaluate.yaml")], "eval", {"bootstrap_samples": 20})
    assert (tmp_path / "wider" / "evaluation" / "predictions.csv").is_file()
    assert load(tmp_path / "wider" / "configs" / "inference.yaml")["network_def"]["hidden_size"] == 48
