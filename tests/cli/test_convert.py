"""The command `convert`: options to a bundle, and one sentence for what the user can put right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from monai_tff.bundle import layout
from monai_tff.bundle.predictor import Predictor
from monai_tff.cli.app import CommandGroup
from monai_tff.cli.convert import convert
from monai_tff.contract import Target
from monai_tff.networks import TFFAutoEncoder, TFFPredictor
from monai_tff.networks.original import original_name

SIZE = (8, 10, 9)
NETWORKS: dict[str, Callable[[], torch.nn.Module]] = {
    "autoencoder": lambda: TFFAutoEncoder(SIZE, hidden_size=32),
    "finetune": lambda: TFFPredictor(SIZE, hidden_size=32, num_layers=1, feedforward_size=64),
}
SEX = ("--target", "sex", "--kind", "binary", "--classes", "F, M")
Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Calls the command on weights of a phase with a whole layer: call("finetune", "--kind", ...)."""
    app = typer.Typer(cls=CommandGroup, pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    app.command("convert")(convert)
    layer = tmp_path / "layer.yaml"
    layer.write_text("spatial_size: [8, 10, 9]\naxis_codes: null\nmask: nonzero\nrepetition_time: 2.0\n")

    def run(phase: str, *arguments: Any, name: str = "published", layers: tuple[Any, ...] = (layer,)) -> Result:
        weights = tmp_path / f"{phase}.pth"
        if not weights.exists():
            torch.manual_seed(0)
            state = NETWORKS[phase]().state_dict()
            torch.save({"model_state_dict": {original_name(key): value for key, value in state.items()}}, weights)
        given = [part for path in layers for part in ("--layer", path)]
        words = ["convert", weights, "--name", name, "--out", tmp_path / "out", *given, *arguments]
        return CliRunner().invoke(app, [str(word) for word in words])

    return run


def test_weights_become_a_bundle(call: Call, tmp_path: Path) -> None:
    license_file = tmp_path / "license.txt"
    license_file.write_text("Open access terms of the cohort.\n")
    options = ["--phase", "finetune", *SEX, "--window-length", 4, "--version", "1.2.0", "--cohort-name", "HCP S1200"]
    result = call("finetune", *options, "--data-license", license_file, "--inference-only")
    assert result.exit_code == 0, result.output
    assert "finetune.pth: phase finetune, hidden size 32" in result.output
    folder = tmp_path / "out" / "published"
    assert f"python -m monai_tff verify {folder}" in " ".join(result.output.split())
    assert (tmp_path / "out" / "published_v1.2.0.zip").is_file()
    assert (folder / layout.DATA_LICENSE).read_text() == license_file.read_text()
    assert "it was HCP S1200." in (folder / layout.MODEL_CARD).read_text()
    assert not (folder / layout.TRAIN).exists()
    assert not (folder / layout.EVALUATE).exists()
    predictor = Predictor(folder, device="cpu")
    assert predictor.contract.target == Target("sex", "binary", ("F", "M"))
    assert predictor.contract.window_length == 4


@pytest.mark.parametrize(
    ("phase", "arguments", "sentence"),
    [
        ("finetune", (), "give --target, --kind and, for two classes, --classes."),
        ("finetune", SEX[:2], "--kind is not given, expected --target and --kind together"),
        ("finetune", SEX[2:], "--target is not given, expected --target and --kind together"),
        ("finetune", SEX[:4], "target 'sex': a binary target cannot have the classes []"),
        ("finetune", (*SEX[:4], "--classes", "F,F"), "--classes F,F: a name stands there twice"),
        ("finetune", ("--phase", "transformer", *SEX), "holds weights of phase 'finetune', expected 'transformer'"),
        ("finetune", (*SEX, "--window-length", 30), "window_length is 30, expected 1 to 29"),
        ("autoencoder", SEX, "which reconstructs scans; give no --target."),
        ("autoencoder", ("--version", "1"), "--version '1': expected three numbers"),
        ("autoencoder", ("--data-license", "none.txt"), "--data-license none.txt: cannot be read (FileNotFoundError)"),
        (
            "autoencoder",
            ("--layer", "monai_tff:configs/datasets/hcp_paper.yaml"),
            "the flattened bottleneck has 8 numbers",
        ),
        ("autoencoder", ("--layer", "none.yaml"), "none.yaml: cannot be read"),
    ],
)
def test_one_sentence_and_no_bundle(phase: str, arguments: tuple[Any, ...], sentence: str, call: Call, tmp_path: Path):
    result = call(phase, *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert sentence in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_layer_must_be_given(call: Call) -> None:
    result = call("autoencoder", layers=())
    assert result.exit_code == 1
    assert "error: --layer: spatial_size is not set" in result.stderr


@pytest.mark.parametrize("arguments", [("--kind", "multiclass"), ("--phase", "fourth"), ("--window-length", 0)])
def test_values_that_no_option_takes(arguments: tuple[Any, ...], call: Call) -> None:
    assert call("finetune", *arguments).exit_code == 2
