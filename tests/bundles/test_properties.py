"""Every workflow of both bundles, and of the run folders that they make, has what MONAI asks of a bundle."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out

ROOT = Path(__file__).parents[2]
BUNDLES = ("tff_fmri_reconstruction", "tff_fmri_prediction")
SCHEMA = ROOT / "monai_tff" / "bundle" / "verification" / "meta_schema_20240725.json"
RUN_FOLDERS = ("autoencoder", "transformer", "sex", "age", "site")


@pytest.fixture(autouse=True)
def deterministic_as_before() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.fixture
def run_folders(runs: Any, finetuned: dict[str, Path]) -> dict[str, Path]:
    return {"autoencoder": runs.autoencoder, "transformer": runs.transformer, **finetuned}


def missing_properties(config_files: Any, workflow_type: str, **overrides: Any) -> list[str] | None:
    files = [str(file) for file in config_files]
    workflow = ConfigWorkflow(files, workflow_type=workflow_type, logging_file=False, **overrides)
    workflow.initialize()
    return workflow.check_properties()


@pytest.mark.parametrize("name", RUN_FOLDERS)
def test_training(name: str, cohort: Any, phases: Any, small: dict[str, Any], tmp_path: Path) -> None:
    phase = phases.get(name, phases["finetune"])
    datalist = cohort.datalists.get(name, cohort.datalists["sex"])
    places = {"dataset_dir": str(cohort.folder), "datalist": str(datalist), "run_dir": str(tmp_path / "run")}
    overrides = {**phase.overrides, **small, **places, "val_iterations": 1}
    assert missing_properties(phase.config_files, "train", **overrides) == []


@pytest.mark.parametrize("name", RUN_FOLDERS)
def test_evaluation_of_a_run_folder(name: str, run_folders: dict[str, Path]) -> None:
    assert missing_properties([run_folders[name] / "configs" / "evaluate.yaml"], "eval") == []


@pytest.mark.parametrize("bundle", BUNDLES)
def test_evaluation_as_a_layer(bundle: str, runs: Any) -> None:
    """The bundle's own evaluate.yaml over a training configuration."""
    run = runs.finetune if bundle == "tff_fmri_prediction" else runs.transformer
    files = [run / "configs" / "train.yaml", ROOT / "bundles" / bundle / "configs" / "evaluate.yaml"]
    assert missing_properties(files, "eval") == []


@pytest.mark.parametrize("name", RUN_FOLDERS)
def test_inference_of_a_run_folder(name: str, run_folders: dict[str, Path], cohort: Any) -> None:
    files = [run_folders[name] / "configs" / "inference.yaml"]
    assert missing_properties(files, "infer", dataset_dir=str(cohort.folder)) == []


@pytest.mark.parametrize("name", RUN_FOLDERS)
def test_network_input_and_output_of_a_run_folder(name: str, run_folders: dict[str, Path]) -> None:
    configs = run_folders[name] / "configs"
    files = {"meta_file": str(configs / "metadata.json"), "config_file": str(configs / "inference.yaml")}
    verify_net_in_out("network_def", **files, device="cpu", p=1, n=1, any=4)


@pytest.mark.parametrize("name", [*BUNDLES, *RUN_FOLDERS])
def test_metadata(name: str, run_folders: dict[str, Path], tmp_path: Path) -> None:
    folder = ROOT / "bundles" / name if name in BUNDLES else run_folders[name]
    # MONAI may write to the schema's file, and downloads it where it is missing
    schema = shutil.copy(SCHEMA, tmp_path / "schema.json")
    verify_metadata(meta_file=str(folder / "configs" / "metadata.json"), filepath=str(schema))
