"""Phases 2 and 3 on windows longer than any phase before has seen, from codes that a frozen encoder computes once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from typer.testing import Result

from monai_tff.bundle import layout
from monai_tff.bundle.experiment import Phase, run_workflow
from monai_tff.bundle.export import Details, export_run
from monai_tff.bundle.verification.configs import config_findings
from monai_tff.errors import user_error_in
from monai_tff.handlers import EpochSeeds
from monai_tff.networks.weights import POSITIONS

pytestmark = pytest.mark.end_to_end
LONG = {"window_length": 9, "max_frames": 9, "transformer_dropout": 0.0}
FROM_IMAGES = {"frame_codes": None, "encoded_frames": None}
"""The same training without codes: the frozen encoder sees every window anew."""

Train = Callable[..., Path]


@pytest.fixture(scope="module")
def train(
    cohort: Any, phases: dict[str, Phase], small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Train:
    """Trains a phase on long windows: train(phase, initial weights, key=value, ...) gives the run folder."""
    places = {"dataset_dir": str(cohort.folder), "datalist": str(cohort.datalists["sex"])}

    def call(name: str, weights: Path | None, *, long: bool = True, **changes: Any) -> Path:
        first, *layers = phases[name].config_files
        files = [first, *([str(Path(first).with_name("train_long_context.yaml"))] if long else []), *layers]
        run_dir = changes.pop("run_dir", None) or tmp_path_factory.mktemp(name) / "run"
        initial = None if weights is None else str(weights / "models" / "model.pt")
        values = {**phases[name].overrides, **small, **places, "run_dir": str(run_dir), "initial_weights": initial}
        run_workflow(files, "train", {**values, **(LONG if long else {}), **changes})
        return run_dir

    return call


@pytest.fixture(scope="module")
def made(runs: Any, train: Train, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Phase 2 on 4 frames, then phases 2 and 3 on 9, which share the folder of codes."""
    codes = tmp_path_factory.mktemp("shared") / "codes"
    short = train("transformer", runs.autoencoder, long=False, window_length=4, max_frames=4, max_epochs=1)
    transformer = train("transformer", short, codes_dir=str(codes))
    files = {path: path.stat().st_mtime_ns for path in codes.rglob("*.safetensors")}
    finetune = train("finetune", transformer, codes_dir=str(codes))
    return SimpleNamespace(short=short, transformer=transformer, finetune=finetune, codes=codes, files=files)


def weights(run_dir: Path, name: str = "model.pt") -> dict[str, torch.Tensor]:
    return torch.load(run_dir / "models" / name, weights_only=True)["model"]


def metrics(run_dir: Path) -> pd.DataFrame:
    table = pd.read_csv(run_dir / "metrics.csv")
    return table.set_index(["epoch", "iteration", "split", "name"])["value"].drop(
        "seconds", level="name", errors="ignore"
    )


def test_every_scan_is_encoded_once_for_both_phases(made: SimpleNamespace, cohort: Any) -> None:
    datalist = json.loads(cohort.datalists["sex"].read_text())
    assert len(made.files) == len(datalist["training"]) + len(datalist["validation"])
    assert {path: path.stat().st_mtime_ns for path in made.codes.rglob("*.safetensors")} == made.files
    assert not (made.finetune / "codes").exists()


def test_the_encoder_stays_and_the_rest_learns(made: SimpleNamespace) -> None:
    before, between, after = weights(made.short), weights(made.transformer), weights(made.finetune)
    frozen = ("encoder.", "bottleneck_in.", "code_norm.")
    for key in (key for key in before if key.startswith(frozen)):
        assert torch.equal(before[key], between[key])
        assert torch.equal(before[key], after[key])
    assert [len(state[POSITIONS]) for state in (before, between, after)] == [5, 10, 10]
    for key in ("decoder.output.weight", "transformer.bert.encoder.layer.0.attention.self.query.weight"):
        assert not torch.equal(before[key], between[key])


@pytest.mark.parametrize(("name", "earlier"), [("transformer", "short"), ("finetune", "transformer")])
def test_codes_give_the_losses_of_images(made: SimpleNamespace, train: Train, name: str, earlier: str) -> None:
    images = {"train#dataset#with_images": True} if name == "finetune" else {}
    other = train(name, getattr(made, earlier), **FROM_IMAGES, **images)
    found, expected = metrics(getattr(made, name)), metrics(other)
    assert {"training", "validation"} <= set(found.index.get_level_values("split"))
    pd.testing.assert_series_equal(found, expected, rtol=1e-5, atol=1e-6)


def test_continued_with_the_encoder_that_it_began_with(
    made: SimpleNamespace, runs: Any, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = EpochSeeds.__call__

    def stop(self: EpochSeeds, engine: Any) -> None:
        if engine.state.epoch == 2:
            raise KeyboardInterrupt
        original(self, engine)

    with monkeypatch.context() as patch:
        patch.setattr(EpochSeeds, "__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            train("finetune", made.transformer, run_dir=tmp_path / "run", codes_dir=str(made.codes))
    # other initial weights, whose encoder is another: a continued run has its own in the checkpoint
    train("finetune", runs.transformer, run_dir=tmp_path / "run", codes_dir=str(made.codes), resume=True)
    assert len(list(made.codes.rglob("*.safetensors"))) == len(made.files)
    pd.testing.assert_series_equal(metrics(tmp_path / "run"), metrics(made.finetune))
    for key, value in weights(made.finetune, "last.pt").items():
        assert torch.equal(value, weights(tmp_path / "run", "last.pt")[key])


def test_configurations_of_the_run(made: SimpleNamespace) -> None:
    for run in (made.transformer, made.finetune):
        inference = yaml.safe_load((run / "configs" / "inference.yaml").read_text())
        assert inference["contract"]["window_length"] == 9
        assert inference["network_def"]["max_frames"] == 9
        assert not {"frozen_encoder", "codes_dir", "frame_codes", "encoded_frames"} & set(inference)


@pytest.mark.parametrize("name", ["transformer", "finetune"])
def test_evaluation_sees_scans_that_have_no_codes(made: SimpleNamespace, name: str) -> None:
    run = getattr(made, name)
    run_workflow([str(run / "configs" / "evaluate.yaml")], "eval", {})
    assert json.loads((run / "evaluation" / "metrics.json").read_text())
    assert len(list(made.codes.rglob("*.safetensors"))) == len(made.files)


def test_prediction(made: SimpleNamespace, cohort: Any, command: Callable[..., Result], tmp_path: Path) -> None:
    scan = next(cohort.folder.rglob("*_bold.nii.gz"))
    result = command("predict", made.finetune, scan, "--output-dir", tmp_path / "predictions")
    assert result.exit_code == 0, result.output
    windows = pd.read_csv(tmp_path / "predictions" / "windows.csv")
    assert list(windows["window"]) == [0, 3]


@pytest.mark.parametrize("name", ["transformer", "finetune"])
def test_the_export_verifies(made: SimpleNamespace, name: str, tmp_path: Path) -> None:
    bundle = export_run(getattr(made, name), tmp_path, Details(name="tff_long"), say=lambda _: None)
    # every rule was checked when it was exported; these have the configurations
    assert list(config_findings(bundle.folder, layout.TRAIN)) == []
    assert list(config_findings(bundle.folder, layout.EVALUATE)) == []
    train_config = yaml.safe_load((bundle.folder / "configs" / "train.yaml").read_text())
    assert train_config["codes_dir"] == "$@run_dir + '/codes'"


@pytest.mark.parametrize(
    ("earlier", "changes", "message"),
    [
        (None, {}, "frozen_encoder is true, but initial_weights is null"),
        ("short", {"window_length": 13, "max_frames": 13}, "12 frames are left .* expected at least 13 for one window"),
        ("short", {"window_length": 9, "max_frames": 8}, r"window_length is 9, expected 1 to 8 \(max_frames\)"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(
    made: SimpleNamespace, train: Train, earlier: str | None, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="Failed to evaluate") as caught:
        train("transformer", earlier and getattr(made, earlier), run_dir=tmp_path / "run", **changes)
    error = user_error_in(caught.value)
    assert error is not None
    assert pd.Series([str(error)]).str.contains(message).all(), error
    assert not (tmp_path / "run").exists()
