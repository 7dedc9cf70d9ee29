"""The whole job on real scans, by the stock MONAI command and by `monai_tff`.

The scans are coarse and few and the networks tiny: these tests show that the pipeline reads and processes real files,
not that anything can be predicted from them.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

from monai_tff.cli.app import build_app
from monai_tff.contract import InputContract
from monai_tff.data import load_scan, read_header
from monai_tff.errors import ScanError
from monai_tff.networks import TFFPredictor
from monai_tff.resources import bundles_folder

REAL = (Path(__file__).parents[2] / ".." / "shared" / "realdata").resolve()
REST = REAL / "rest20"
LOCALIZER = REAL / "studyforrest_localizer" / "sub-02" / "func" / "sub-02_task-oneback_run-1_bold.nii.gz"
SHORT = REAL / "ds005_truncated" / "sub-01" / "func" / "sub-01_task-mixedgamblestask_run-01_bold.nii.gz"
SHORT_MASK = (
    REAL / "ds005_truncated" / "derivatives" / "fmriprep" / "sub-01" / "func"
) / "sub-01_task-mixedgamblestask_run-01_bold_space-MNI152NLin2009cAsym_brainmask.nii.gz"

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not REAL.exists(), reason="the real scans of ../shared/realdata are not beside the project"),
]

RECONSTRUCTION = bundles_folder() / "tff_fmri_reconstruction" / "configs"
PREDICTION = bundles_folder() / "tff_fmri_prediction" / "configs"
HIDDEN_SIZE = 32
SMALL = {"hidden_size": HIDDEN_SIZE, "max_epochs": 1, "windows_per_scan": 1, "use_tensorboard": False}
SMALL_RECONSTRUCTION = {**SMALL, "use_perceptual": False, "max_validation_windows": 1}


@pytest.fixture(scope="module")
def python(warm_python: Callable[..., Any]) -> Callable[..., str]:
    """What a Python prints, run with arguments in a folder; an exit code other than 0 fails the test."""

    def run(folder: Path, *arguments: str) -> str:
        done = warm_python(*arguments, folder=folder)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    return run


@pytest.fixture(scope="module")
def stock(python: Callable[..., str]) -> Callable[..., str]:
    """Runs `python -m monai.bundle run RUN_ID` in a folder."""

    def run(folder: Path, run_id: str, config_files: list[Path | str], **overrides: object) -> str:
        options = [part for key, value in overrides.items() for part in (f"--{key}", str(value))]
        files = str([str(file) for file in config_files])
        return python(folder, "-m", "monai.bundle", "run", run_id, "--config_file", files, *options)

    return run


def predict(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> Result:
    """Runs `monai_tff predict` in this process, to spare the imports."""
    # MONAI's loggers keep the stream of an earlier call, which is closed by then
    monkeypatch.setattr(logging, "raiseExceptions", False)
    # the bundle is written by hand here, so that its metadata is that of another grid
    return CliRunner().invoke(build_app(), ["predict", *map(str, arguments), "--device", "cpu", "--trust"])


def tiny_bundle(folder: Path, spatial_size: list[int], **contract: object) -> Path:
    """A copy of the prediction bundle with seeded random weights of a tiny network."""
    shutil.copytree(PREDICTION.parent, folder)
    config = yaml.safe_load((folder / "configs" / "inference.yaml").read_text())
    config["contract"].update(spatial_size=spatial_size, **contract)
    config["network_def"].update(spatial_size=spatial_size, hidden_size=HIDDEN_SIZE)
    (folder / "configs" / "inference.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    torch.manual_seed(0)
    network = TFFPredictor(spatial_size, hidden_size=HIDDEN_SIZE, code_normalisation=True)
    (folder / "models").mkdir(exist_ok=True)
    torch.save({"model": network.state_dict()}, folder / "models" / "model.pt")
    return folder


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the dataset layer of the cohort; the cohort's own folder is never written to."""
    folder = tmp_path_factory.mktemp("rest20")
    layer = {"dataset_dir": str(REST), "spatial_size": [17, 20, 17], "voxel_size": [10.0] * 3, "repetition_time": 2.0}
    (folder / "rest20.yaml").write_text(yaml.safe_dump(layer))
    return folder


@pytest.fixture(scope="module")
def datalist(work: Path, python: Callable[..., str]) -> Path:
    options = ["--target", "sex", "--ratios", "0.5,0.25,0.25", "--seed", "3", "--output", "rest20.json"]
    printed = python(work, "-m", "monai_tff", "datalist", str(REST), *options)
    assert "Frames: 148" in printed
    return work / "rest20.json"


@pytest.fixture(scope="module")
def autoencoder(work: Path, datalist: Path, stock: Callable[..., str]) -> Path:
    layers = [RECONSTRUCTION / "train.yaml", RECONSTRUCTION / "train_autoencoder.yaml", "rest20.yaml"]
    stock(work, "training", layers, datalist=datalist.name, run_dir="runs/autoencoder", **SMALL_RECONSTRUCTION)
    return work / "runs" / "autoencoder"


@pytest.fixture(scope="module")
def transformer(work: Path, datalist: Path, autoencoder: Path, stock: Callable[..., str]) -> SimpleNamespace:
    options = {"datalist": datalist.name, "run_dir": "runs/transformer", **SMALL_RECONSTRUCTION}
    weights = autoencoder / "models" / "model.pt"
    layers = [RECONSTRUCTION / "train.yaml", "rest20.yaml"]
    printed = stock(work, "training", layers, initial_weights=weights, **options)
    return SimpleNamespace(folder=work / "runs" / "transformer", printed=printed)


@pytest.fixture(scope="module")
def finetuned(work: Path, datalist: Path, transformer: SimpleNamespace, stock: Callable[..., str]) -> SimpleNamespace:
    """The run folder of phase 3 after its evaluation on the test set."""
    options = {"datalist": datalist.name, "run_dir": "runs/finetune", **SMALL}
    weights = transformer.folder / "models" / "model.pt"
    trained = stock(work, "training", [PREDICTION / "train.yaml", "rest20.yaml"], initial_weights=weights, **options)
    evaluated = stock(work, "evaluating", ["runs/finetune/configs/evaluate.yaml"])
    return SimpleNamespace(folder=work / "runs" / "finetune", trained=trained, evaluated=evaluated)


@pytest.fixture(scope="module")
def test_record(datalist: Path) -> dict:
    return json.loads(datalist.read_text())["test"][0]


def test_datalist_holds_the_cohort_and_its_repetition_time(datalist: Path):
    content = json.loads(datalist.read_text())
    sections = [content[name] for name in ("training", "validation", "test")]
    records = [record for section in sections for record in section]
    assert [len(section) for section in sections] == [10, 5, 5]
    assert len({record["subject"] for record in records}) == 20
    assert content["target"] == {"name": "sex", "kind": "binary", "class_names": ["F", "M"]}
    assert content["grid"]["shape"] == [17, 20, 17]
    # from the sidecars: every header says 0
    assert {record["tr"] for record in records} == {2.0}
    assert all((REST / record["image"]).is_file() for record in records)


def test_headers_say_big_endian_scaled_and_no_repetition_time():
    paths = sorted(REST.rglob("*_bold.nii.gz"))
    slopes = set()
    for path in paths:
        image, header = nib.load(path), read_header(path)
        assert image.header.get_data_dtype() == np.dtype(">i2")
        assert float(image.header.get_zooms()[3]) == 0.0
        assert header.repetition_time == 2.0
        assert (header.slope, header.intercept) == (image.dataobj.slope, image.dataobj.inter)
        slopes.add(header.slope)
    assert len(paths) == 20
    assert len(slopes) > 1


@pytest.mark.parametrize(
    ("number", "reader"), [(0, "NibabelReader"), (6, "NibabelReader"), (19, "NibabelReader"), (6, "ITKReader")]
)
def test_both_channels_are_what_nibabel_reads(number: int, reader: str):
    path = sorted(REST.rglob("*_bold.nii.gz"))[number]
    contract = InputContract(spatial_size=(17, 20, 17), window_length=20, repetition_time=2.0)
    scan, mask_source = load_scan(path, contract, reader=reader)
    stored = nib.as_closest_canonical(nib.load(path))
    np.testing.assert_allclose(scan.affine, stored.affine)
    values = stored.get_fdata(dtype=np.float64)  # [H, W, D, T]
    mask = scan.mask.numpy()
    # the scans have no background but an edge that is always 0
    assert mask_source == "nonzero voxels"
    np.testing.assert_array_equal(mask, (values != 0).any(axis=-1))

    signal = values[values != 0]
    wanted = np.where(values != 0, (values - signal.mean()) / signal.std(ddof=1), -signal.mean() / signal.std(ddof=1))
    std = values.std(axis=-1, ddof=1, keepdims=True)
    moving = (values != 0) & (std > 0)
    voxels = np.divide(values - values.mean(axis=-1, keepdims=True), std, where=moving, out=np.zeros_like(values))

    channels = scan.unpack().numpy()
    assert channels.shape == (2, 17, 20, 17, 148)
    np.testing.assert_allclose(channels[0][mask], wanted[mask], atol=1e-5)
    np.testing.assert_allclose(channels[1], voxels, atol=1e-4)


def test_each_phase_starts_from_the_one_before(transformer: SimpleNamespace, finetuned: SimpleNamespace):
    assert "initial weights:" in transformer.printed
    assert "new: 41 tensors (transformer.class_token 2, transformer.bert 39)" in transformer.printed
    assert "new: 4 tensors (transformer.class_token 2, head 2)" in finetuned.trained
    phases = [entry["phase"] for entry in json.loads((finetuned.folder / "lineage.json").read_text())["phases"]]
    assert phases == ["autoencoder", "transformer", "finetune"]


def test_evaluation_scores_the_test_subjects(datalist: Path, finetuned: SimpleNamespace):
    records = json.loads(datalist.read_text())["test"]
    predictions = pd.read_csv(finetuned.folder / "evaluation" / "predictions.csv", dtype={"subject": str})
    assert sorted(predictions["subject"]) == sorted(record["subject"] for record in records)
    # seven windows side by side and one that ends with the scan's 148 frames
    assert set(predictions["windows"]) == {8}
    truths = {record["subject"]: ["F", "M"].index(record["label"]) for record in records}
    assert dict(zip(predictions["subject"], predictions["truth"], strict=True)) == truths
    metrics = json.loads((finetuned.folder / "evaluation" / "metrics.json").read_text())
    assert metrics["counts"]["subjects"] == 5
    assert "test balanced accuracy" in finetuned.evaluated
    assert "fewer than 10" in finetuned.evaluated


def test_stock_inference_and_the_command_give_the_evaluated_score(
    work: Path,
    finetuned: SimpleNamespace,
    test_record: dict,
    stock: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    subject = test_record["subject"]
    folder = REST / f"sub-{subject}"
    stock(work, "inferring", ["runs/finetune/configs/inference.yaml"], dataset_dir=folder, output_dir="inferred")
    result = predict(monkeypatch, finetuned.folder, REST / test_record["image"], "--output-dir", tmp_path)
    assert result.exit_code == 0, result.output
    assert subject in result.output
    evaluated, inferred, predicted = (
        pd.read_csv(place / "predictions.csv", dtype={"subject": str}).set_index("subject")
        for place in (finetuned.folder / "evaluation", work / "inferred", tmp_path)
    )
    assert list(inferred.index) == list(predicted.index) == [subject]
    assert inferred.loc[subject, "score"] == pytest.approx(evaluated.loc[subject, "score"], abs=1e-6)
    assert predicted.loc[subject, "score"] == pytest.approx(evaluated.loc[subject, "score"], abs=1e-6)


def test_reconstruction_lies_where_the_scan_lies(
    transformer: SimpleNamespace, test_record: dict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    path = REST / test_record["image"]
    result = predict(monkeypatch, transformer.folder, path, "--output-dir", tmp_path)
    assert result.exit_code == 0, result.output
    written = nib.load(next(tmp_path.rglob("*desc-reconstruction_bold.nii.gz")))
    stored = nib.as_closest_canonical(nib.load(path))
    assert written.shape == stored.shape == (17, 20, 17, 148)
    np.testing.assert_allclose(written.affine, stored.affine)
    assert float(written.header.get_zooms()[3]) == 2.0
    assert np.isfinite(written.get_fdata()).all()


def test_scan_of_another_grid_is_refused(finetuned: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    result = predict(monkeypatch, finetuned.folder, LOCALIZER, "--output-dir", tmp_path / "out")
    assert result.exit_code == 1
    sentence = result.output.strip().splitlines()[-1]
    assert f"error: {LOCALIZER}: the grid after the crop is 80 x 80 x 35, expected 17 x 20 x 17" in sentence
    assert not (tmp_path / "out").exists()


def test_full_length_scan_goes_through_prediction(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    # whole in time and in slices; the crop in the plane keeps the test cheap
    bundle = tiny_bundle(tmp_path / "bundle", [24, 28, 35], crop=[[28, 52], [26, 54], [None, None]])
    output = tmp_path / "out"
    result = predict(monkeypatch, bundle, LOCALIZER.parents[2], "--output-dir", output)
    assert result.exit_code == 0, result.output
    windows = pd.read_csv(output / "windows.csv")
    assert list(windows["window"]) == [0, 20, 40, 60, 80, 100, 120, 136]
    assert windows["score"].between(0, 1).all()
    predictions = pd.read_csv(output / "predictions.csv", dtype={"subject": str})
    assert list(predictions["subject"]) == ["02"]
    assert predictions["score"][0] == pytest.approx(windows["score"].mean(), abs=1e-6)
    (row,) = json.loads((output / "predictions.json").read_text())
    assert row["score"] == pytest.approx(predictions["score"][0], abs=1e-6)


def test_sixteen_frames_are_too_few_for_a_window_of_twenty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    bundle = tiny_bundle(tmp_path / "bundle", [50, 50, 34])
    result = predict(monkeypatch, bundle, SHORT, "--output-dir", tmp_path / "out")
    assert result.exit_code == 1
    sentence = result.output.strip().splitlines()[-1]
    assert f"error: {SHORT}: 16 frames are left after dropping 0, expected at least 20 for one window" in sentence
    assert not (tmp_path / "out").exists()


def test_sixteen_frames_are_one_window_of_sixteen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    bundle = tiny_bundle(tmp_path / "bundle", [50, 50, 34], window_length=16)
    result = predict(monkeypatch, bundle, SHORT, "--output-dir", tmp_path / "out")
    assert result.exit_code == 0, result.output
    windows = pd.read_csv(tmp_path / "out" / "windows.csv")
    assert list(windows["window"]) == [0]
    assert windows["score"].between(0, 1).all()


def test_mask_on_another_grid_is_refused_and_the_zero_background_taken():
    contract = InputContract(spatial_size=(50, 50, 34), window_length=16)
    with pytest.raises(ScanError, match=r"brainmask.*\(49, 58, 49\), expected \(50, 50, 34\)"):
        load_scan(SHORT, contract, mask_file=SHORT_MASK)
    scan, mask_source = load_scan(SHORT, contract)
    assert mask_source == "nonzero voxels"
    stored = nib.as_closest_canonical(nib.load(SHORT)).get_fdata()
    np.testing.assert_array_equal(scan.mask.numpy(), (stored != 0).any(axis=-1))
