"""What is no finished run is refused with a sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from monai_tff.bundle import layout
from monai_tff.bundle.export.run_source import read_run
from monai_tff.errors import BundleError


def without_weights(run: Path) -> None:
    (run / "models" / "model.pt").unlink()


def with_another_grid(run: Path) -> None:
    path = run / "configs" / "inference.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["contract"]["trim"] = 4
    path.write_text(yaml.safe_dump(config), encoding="utf-8")


def without_network(run: Path) -> None:
    path = run / "configs" / "inference.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    del config["network_def"]
    path.write_text(yaml.safe_dump(config), encoding="utf-8")


def with_damaged_versions(run: Path) -> None:
    (run / "versions.json").write_text("{", encoding="utf-8")


def with_damaged_metrics(run: Path) -> None:
    (run / "evaluation" / "metrics.json").write_text("[]", encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (without_weights, r"model.pt: there is no such file, expected the best weights of a finished run"),
        (with_another_grid, r"inference.yaml: the contract says trim 4, expected 0"),
        (without_network, r"inference.yaml: network_def is no mapping"),
        (with_damaged_versions, r"versions.json: cannot be read \(JSONDecodeError\)"),
        (with_damaged_metrics, r"metrics.json: cannot be read as metrics"),
    ],
)
def test_a_run_that_is_not_whole(damage: Callable[[Path], None], sentence: str, runs: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs.finetune, run)
    damage(run)
    with pytest.raises(BundleError, match=sentence):
        read_run(run)


def test_a_folder_that_is_no_run(runs: Any, tmp_path: Path) -> None:
    with pytest.raises(
        BundleError, match="holds the phases autoencoder, transformer, finetune, expected the run folder"
    ):
        read_run(runs.folder)
    with pytest.raises(BundleError, match=r"has no configs/train.yaml, expected a run folder"):
        read_run(tmp_path)
    with pytest.raises(BundleError, match="there is no such folder"):
        read_run(tmp_path / "nowhere")


def test_what_is_no_folder_of_a_run(tmp_path: Path) -> None:
    for name, kind in (("small.zip", "a zip file"), ("model.pt", "a file")):
        (tmp_path / name).write_bytes(b"PK")
        with pytest.raises(BundleError, match=rf"{name}: is {kind}, expected the run folder"):
            read_run(tmp_path / name)
    (tmp_path / layout.MANIFEST).write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match=r"is an exported bundle already, .*copy it, or export the run"):
        read_run(tmp_path)


def test_a_training_that_was_stopped_is_told(runs: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs.finetune, run)
    assert read_run(run).warning is None
    last = torch.load(run / "models" / "last.pt", weights_only=True)
    torch.save({**last, "epoch": 1}, run / "models" / "last.pt")
    source, sentence = read_run(run), "training was stopped after epoch 1 of 2"
    assert source.warning == f"{run}: {sentence}; the model card says so."
    assert source.sections["Training configuration"].endswith(f"The {sentence}.")
    (run / "models" / "last.pt").unlink()
    assert read_run(run).warning is None


def test_versions_say_versions_alone(runs: Any) -> None:
    """The name of the cohort stands beside them in the file."""
    versions = read_run(runs.finetune).versions
    assert set(versions) == {
        "monai_tff",
        "monai",
        "torch",
        "pytorch-ignite",
        "transformers",
        "nibabel",
        "nilearn",
        "numpy",
    }
