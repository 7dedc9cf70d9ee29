"""The command `init`: from a cohort to files that a run accepts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from monai_tff.bundle.experiment import check_phase, read_experiment
from monai_tff.bundle.step_cost import StepCost
from monai_tff.cli.app import CommandGroup
from monai_tff.cli.check import check
from monai_tff.cli.init import init
from monai_tff.data import load_datalist, simulate_cohort
from monai_tff.data.layers import read_dataset_layers

app = typer.Typer(cls=CommandGroup)
app.command("init")(init)
app.command("check")(check)


def invoke(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("init") / "cohort"
    simulate_cohort(folder, num_subjects=14, voxel_size=12.0, num_frames=12, seed=1)
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A given cost for the tests that are not about the measurement, which takes seconds."""
    cost = StepCost(seconds_per_step=0.1, seconds_per_frame=0.1, bytes_fixed=10**6, bytes_per_frame=10**6)
    monkeypatch.setattr("monai_tff.bundle.study_cost.measure_step", lambda network, device: cost)


@pytest.fixture
def folder(simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the cohort to change, and an empty working folder."""
    shutil.copytree(simulated, tmp_path / "my cohort")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "my cohort"


def test_a_study_is_ready_to_run(folder: Path) -> None:
    result = invoke("init", folder, "--target", "diagnosis", "--classes", "CONTROL,PATIENT")
    assert result.exit_code == 0, result.output
    files = ["datalist.json", "my_cohort_dataset.yaml", "my_cohort_experiment.yaml"]
    assert sorted(os.listdir("my_cohort")) == files
    study = Path("my_cohort")
    assert load_datalist(study / "datalist.json")["target"]["class_names"] == ["CONTROL", "PATIENT"]
    experiment = read_experiment(study / "my_cohort_experiment.yaml")
    assert [phase.name for phase in experiment.phases] == ["autoencoder", "transformer", "finetune"]
    for phase in experiment.phases:
        check_phase(phase)
    overrides = [phase.overrides for phase in experiment.phases]
    assert overrides == [
        {"hidden_size": 160, "batch_size": 16},
        {"hidden_size": 160, "batch_size": 4, "window_length": 8},
        {"hidden_size": 160, "batch_size": 8, "window_length": 8},
    ]
    shape = nib.load(next(folder.glob("sub-*/func/*_bold.nii.gz"))).shape
    layer = read_dataset_layers([study / files[1]])
    assert (layer["spatial_size"], layer["repetition_time"], layer["trim"]) == (list(shape[:3]), 2.0, 0)
    for words in ("Guessed", "an estimate", "batch size", f"check --layer my_cohort/{files[1]}", "--set"):
        assert words in result.stdout
    checked = invoke("check", "--layer", study / files[1], "--workers", 1)
    assert checked.exit_code == 0, checked.output


@pytest.mark.usefixtures("quick")
def test_the_tables_may_lie_in_the_raw_dataset(folder: Path) -> None:
    raw = Path("raw")
    raw.mkdir()
    shutil.move(folder / "participants.tsv", raw / "participants.tsv")
    result = invoke("init", raw, "--derivatives", folder, "--target", "age", "--output", "study", "--name", "ageing")
    assert result.exit_code == 0, result.output
    layer = read_dataset_layers(["study/ageing_dataset.yaml"])
    assert layer["dataset_dir"] == str(folder)
    assert yaml.safe_load(Path("study/ageing_experiment.yaml").read_text())["name"] == "ageing"
    for phase in read_experiment("study/ageing_experiment.yaml").phases:
        check_phase(phase)


@pytest.mark.usefixtures("quick")
def test_files_are_not_replaced_unasked(folder: Path) -> None:
    arguments = ["init", folder, "--target", "sex", "--output", "study", "--no-content"]
    assert invoke(*arguments).exit_code == 0
    edited = Path("study/my_cohort_dataset.yaml")
    edited.write_text("trim: 5\n")
    again = invoke(*arguments)
    assert again.exit_code == 1
    assert "datalist.json: exists already" in again.stderr
    Path("study/datalist.json").unlink()
    assert "my_cohort_dataset.yaml: exists already" in invoke(*arguments).stderr
    assert edited.read_text() == "trim: 5\n"
    assert invoke(*arguments, "--overwrite").exit_code == 0
    assert read_dataset_layers([edited])["trim"] == 0


@pytest.mark.usefixtures("quick")
def test_scans_that_do_not_fit_are_left_out_and_named(folder: Path) -> None:
    scans = sorted(folder.glob("sub-*/func/*_bold.nii.gz"))
    image = nib.load(scans[4])
    nib.Nifti1Image(np.ones((7, 8, 9, 12), np.int16), image.affine).to_filename(scans[4])
    next(scans[4].parent.glob("*mask*.nii.gz")).unlink()
    scans[5].write_bytes(scans[5].read_bytes()[:-100])
    result = invoke("init", folder, "--target", "sex", "--output", "study")
    assert result.exit_code == 1
    assert f"{scans[4].name}: the grid is 7 x 8 x 9 voxels" in result.stdout
    assert f"{scans[5].name}: the voxels cannot be read" in result.stdout
    content = load_datalist("study/datalist.json")
    assert sum(len(content[section]) for section in ("training", "validation", "test")) == 12
    for phase in read_experiment("study/my_cohort_experiment.yaml").phases:
        check_phase(phase)


@pytest.mark.usefixtures("quick")
def test_little_memory_gives_small_batches(folder: Path) -> None:
    result = invoke("init", folder, "--target", "sex", "--no-content", "--memory", 0.1)
    assert result.exit_code == 0, result.output
    phases = read_experiment("my_cohort/my_cohort_experiment.yaml").phases
    # 0.6 of 100 MB, of which a frame takes one
    assert [phase.overrides["batch_size"] for phase in phases] == [16, 4, 4]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--target", "height"], "height"),
        (["--target", "sex", "--ratios", "0.7;0.3"], "--ratios: found '0.7;0.3'"),
        (["--target", "sex", "--cohort", "hcp", "--space", "MNI"], "--space: the reader of hcp takes no such option"),
        (["--target", "sex", "--derivatives", "nowhere"], "nowhere: there is no such folder"),
    ],
)
def test_wrong_calls_are_one_sentence_and_write_nothing(folder: Path, arguments: list[str], sentence: str) -> None:
    result = invoke("init", folder, *arguments)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert sentence in result.stderr
    assert os.listdir(".") == []
