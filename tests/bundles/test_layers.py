"""Layers and experiments: they fit the bundles, and the paper's recipe is the published one, value by value."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from monai_tff.bundle import Workflow
from monai_tff.bundle.experiment import Phase, read_experiment

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted(file.stem for file in (ROOT / "configs" / "experiments").glob("*.yaml"))
PAPER = [name for name in EXPERIMENTS if name.startswith("paper_")]
LAYERS = sorted([*(ROOT / "configs" / "datasets").glob("*.yaml"), *(ROOT / "configs" / "hardware").glob("*.yaml")])
TRAIN = sorted((ROOT / "bundles").glob("*/configs/train.yaml"))


def phases_of(name: str) -> dict[str, Phase]:
    experiment = read_experiment(f"monai_tff:configs/experiments/{name}.yaml")
    return {phase.name: phase for phase in experiment.phases}


def config_of(phase: Phase) -> ConfigParser:
    """The merged configuration, checked, with every `@` of a plain value followed."""
    return Workflow(list(phase.config_files), logging_file=False, **phase.overrides).parser


def value(parser: ConfigParser, key: str) -> Any:
    found = parser[key]
    while isinstance(found, str) and found.startswith("@"):
        found = parser[found[1:]]
    return found


@pytest.mark.parametrize("layer", LAYERS, ids=lambda file: f"{file.parent.name}/{file.stem}")
@pytest.mark.parametrize("train", TRAIN, ids=lambda file: file.parts[-3])
def test_a_layer_fits_a_bundle(train: Path, layer: Path) -> None:
    Workflow([str(train), str(layer)], logging_file=False)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_fits_the_bundles(name: str) -> None:
    phases = phases_of(name)
    assert list(phases) == ["autoencoder", "transformer", "finetune"]
    for phase in phases.values():
        assert value(config_of(phase), "phase") == phase.name


def test_the_three_published_experiments_are_there() -> None:
    assert PAPER == ["paper_hcp_age", "paper_hcp_sex", "paper_ucla_schizophrenia"]


PUBLISHED = {
    "autoencoder": {
        "batch_size": 4,
        "window_length": 1,
        "max_epochs": 10,
        "val_iterations": 1000,
        "optimizer#lr": 1e-3,
        "optimizer#weight_decay": 1e-7,
        "lr_scheduler#step_size": 500,
        "lr_scheduler#gamma": 0.97,
        "network_def#dropout": 0.2,
        "loss#perceptual#fraction": 0.25,
        "validate#loss#perceptual#fraction": 0.25,
    },
    "transformer": {
        "batch_size": 1,
        "window_length": 20,
        "max_epochs": 5,
        "val_iterations": 500,
        "optimizer#lr": "$monai_tff.networks.read_learning_rate(@initial_weights)",
        "optimizer#weight_decay": 1e-7,
        "lr_scheduler#step_size": 1000,
        "lr_scheduler#gamma": 0.97,
        "network_def#dropout": 0.2,
        "network_def#transformer_dropout": 0.1,
        "network_def#max_frames": 29,
        "loss#perceptual#fraction": 0.10,
        "validate#loss#perceptual#fraction": 0.10,
    },
    "finetune": {
        "batch_size": 3,
        "window_length": 20,
        "max_epochs": 30,
        "val_iterations": 200,
        "optimizer#lr": 1e-4,
        "optimizer#weight_decay": 1e-2,
        "lr_scheduler#step_size": 1500,
        "lr_scheduler#gamma": 0.9,
        "network_def#dropout": 0.35,
        "network_def#transformer_dropout": 0.1,
        "network_def#max_frames": 29,
        "paper_head": True,
        "weight_classes": False,
        "flat_average": True,
        "selection_metric": "$'mae' if @is_regression else 'auroc'",
        "selection_mode": "$'min' if @is_regression else 'max'",
    },
}
PUBLISHED_IN_EVERY_PHASE = {
    "optimizer#_target_": "torch.optim.Adam",
    "lr_scheduler#_target_": "monai_tff.handlers.FlooredStepLR",
    "lr_scheduler#floor": 1e-5,
    "gradient_clip": 0,
    "amp": False,
    "val_interval": 1,
    "hidden_size": 2640,
    "code_normalisation": False,
    "balance_subjects": False,
    "windows_per_scan": None,
    "mask": "nonzero",
    "axis_codes": None,
    "trim": 10,
}


@pytest.mark.parametrize("phase", list(PUBLISHED))
@pytest.mark.parametrize("name", PAPER)
def test_the_published_training(name: str, phase: str) -> None:
    parser = config_of(phases_of(name)[phase])
    expected = {**PUBLISHED_IN_EVERY_PHASE, **PUBLISHED[phase]}
    assert {key: value(parser, key) for key in expected} == expected


@pytest.mark.parametrize("phase", ["autoencoder", "transformer"])
@pytest.mark.parametrize("name", PAPER)
def test_the_published_losses(name: str, phase: str) -> None:
    parser = config_of(phases_of(name)[phase])
    assert parser["loss#_target_"] == "monai_tff.losses.ReconstructionLoss"
    assert (parser["use_perceptual"], parser["perceptual_weights"]) == (True, "imagenet")
    # every term with the factor 1, which is the default
    assert set(parser["loss"]) == {"_target_", "perceptual"}
    handler = next(entry for entry in parser["train#handlers"] if entry["_target_"].endswith("RunCheckpoint"))
    assert handler["mode"] == "min"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["paper_hcp_age", "paper_hcp_sex"],
            {
                "spatial_size": [75, 93, 81],
                "crop": [[8, -8], [8, -8], [0, -10]],
                "repetition_time": 0.72,
                "voxel_size": [2.0, 2.0, 2.0],
            },
        ),
        (["paper_ucla_schizophrenia"], {"spatial_size": [65, 77, 49], "crop": None, "repetition_time": 2.0}),
    ],
)
def test_the_published_grids(names: list[str], expected: dict[str, Any]) -> None:
    for name in names:
        for phase in phases_of(name).values():
            parser = config_of(phase)
            assert {key: value(parser, key) for key in expected} == expected


def test_the_published_learning_rate_per_step() -> None:
    """Stepped after every batch, not after every epoch."""
    for phase in phases_of("paper_hcp_sex").values():
        handlers = config_of(phase)["train#handlers"]
        (schedule,) = [entry for entry in handlers if entry["_target_"] == "LrScheduleHandler"]
        assert schedule["epoch_level"] is False


def test_the_experiment_of_the_page_on_long_windows(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how_to" / "train_on_long_windows.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "long.yaml").write_text(snippet)
    (tmp_path / "my_study.yaml").write_text("spatial_size: [75, 93, 81]\nrepetition_time: 0.72\n")
    phases = {phase.name: config_of(phase) for phase in read_experiment(tmp_path / "long.yaml").phases}
    for name in ("transformer_long", "finetune_long"):
        assert value(phases[name], "train#dataset#window_length") == 256
        assert value(phases[name], "network_def#max_frames") == 256
        assert value(phases[name], "frame_codes#folder") == "codes"
        assert phases[name]["frozen_encoder"] is True
    for name in ("autoencoder", "transformer"):
        assert phases[name]["frozen_encoder"] is False
