"""What a user can get wrong reaches them as one line, and leaves nothing behind that looks finished."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from typer.testing import Result

DEMO = "monai_tff:configs/experiments/demo.yaml"
NAME = "sub-77_task-rest_bold.nii.gz"
Command = Callable[..., Result]
Change = Callable[[Path], None]


def assert_one_line(result: Result, *parts: str) -> None:
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    lines = result.stderr.splitlines()
    assert [number for number, line in enumerate(lines) if line.startswith("error: ")] == [len(lines) - 1], (
        result.stderr
    )
    assert [part for part in parts if part not in lines[-1]] == [], lines[-1]


def write(path: Path, values: np.ndarray, repetition_time: float = 2.0) -> None:
    image = nib.Nifti1Image(values, nib.load(path).affine)
    if values.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], repetition_time))
        image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)


def values_of(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def as_3d(path: Path) -> None:
    write(path, values_of(path)[..., 0])


def on_another_grid(path: Path) -> None:
    write(path, values_of(path)[:, :, 1:])


def with_few_frames(path: Path) -> None:
    write(path, values_of(path)[..., :4])


def at_another_rate(path: Path) -> None:
    write(path, values_of(path), repetition_time=0.8)


def all_zero(path: Path) -> None:
    write(path, np.zeros_like(values_of(path)))


def with_value(value: float) -> Change:
    def change(path: Path) -> None:
        values = values_of(path).astype(np.float32)
        values[4, 5, 4, 6] = value
        write(path, values)

    return change


def truncated(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def no_nifti(path: Path) -> None:
    path.write_bytes(b"this is text")


def with_mask_on_another_grid(path: Path) -> None:
    mask = np.ones((8, 10, 5), dtype=np.uint8)
    nib.save(nib.Nifti1Image(mask, nib.load(path).affine), path.with_name("sub-77_task-rest_desc-brain_mask.nii.gz"))


HEADER_FAULTS: list[tuple[Change, tuple[str, ...]]] = [
    (as_3d, ("3",)),
    (on_another_grid, ("the grid after the crop is 8 x 10 x 8, expected 8 x 10 x 9",)),
    (with_few_frames, ("4 frames are left after dropping 0, expected at least 5",)),
    (at_another_rate, ("the repetition time is 0.8 s, expected 2 s",)),
    (no_nifti, ()),
    (with_mask_on_another_grid, ("desc-brain_mask.nii.gz",)),
]
VOXEL_FAULTS: list[tuple[Change, tuple[str, ...]]] = [
    (all_zero, ()),
    (with_value(np.nan), ()),
    (with_value(np.inf), ()),
    (truncated, ("the voxels cannot be read", "truncated or damaged")),
]


def name_of(item: Any) -> str | None:
    return getattr(item, "__qualname__", "").replace("<locals>.", "") if callable(item) else ""


@pytest.fixture
def scan(cohort: Any, tmp_path: Path) -> Path:
    """A copy of one good scan, without the mask beside it."""
    content = json.loads(cohort.datalists["sex"].read_text())
    path = tmp_path / "scans" / NAME
    path.parent.mkdir()
    shutil.copy(cohort.folder / content["test"][0]["image"], path)
    return path


def test_the_good_scan_is_good(scan: Path, runs: Any, command: Command, tmp_path: Path) -> None:
    assert command("predict", runs.finetune, scan, "--output-dir", tmp_path / "out").exit_code == 0


@pytest.mark.parametrize(("change", "parts"), [*HEADER_FAULTS, *VOXEL_FAULTS], ids=name_of)
def test_prediction_of_a_bad_scan_among_good_ones(
    change: Change, parts: tuple[str, ...], scan: Path, cohort: Any, runs: Any, command: Command, tmp_path: Path
) -> None:
    change(scan)
    good = json.loads(cohort.datalists["sex"].read_text())["test"][1]["image"]
    result = command("predict", runs.finetune, cohort.folder / good, scan, "--output-dir", tmp_path / "out")
    assert_one_line(result, NAME, *parts)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def copied(cohort: Any, tmp_path: Path) -> Path:
    """A copy of the cohort that may be spoilt."""
    return Path(shutil.copytree(cohort.folder, tmp_path / "cohort"))


@pytest.fixture
def train(command: Command, phases: dict[str, Any], small: dict[str, Any], tmp_path: Path) -> Callable[..., Result]:
    """`monai_tff run` of the last phase on a cohort: train(folder, key=value, ...)."""

    def call(folder: Path, **overrides: Any) -> Result:
        values = {**small, "initial_weights": "null", **overrides}
        settings = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
        places = ["--run-dir", tmp_path / "run", "--dataset-dir", folder, "--datalist", folder / "datalist_sex.json"]
        alone = [part for step in ("control", "baselines", "explain", "report") for part in ("--without", step)]
        return command("run", DEMO, "--phase", "finetune", *places, *settings, *alone)

    return call


def first_training_scan(folder: Path) -> Path:
    return folder / json.loads((folder / "datalist_sex.json").read_text())["training"][0]["image"]


@pytest.mark.parametrize(("change", "parts"), HEADER_FAULTS[:3], ids=name_of)
def test_training_with_a_fault_in_a_header(
    change: Change, parts: tuple[str, ...], copied: Path, train: Callable[..., Result], tmp_path: Path
) -> None:
    path = first_training_scan(copied)
    change(path)
    assert_one_line(train(copied), path.name, *parts)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("change", "parts"), VOXEL_FAULTS, ids=name_of)
def test_training_with_a_fault_in_the_voxels(
    change: Change, parts: tuple[str, ...], copied: Path, train: Callable[..., Result], tmp_path: Path
) -> None:
    path = first_training_scan(copied)
    change(path)
    assert_one_line(train(copied), path.name, *parts)
    run_dir = tmp_path / "run" / "finetune"
    assert list((run_dir / "models").iterdir()) == []
    assert not (run_dir / "finished").exists()
    assert not (run_dir / "evaluation").exists()


def test_a_missing_file_of_the_datalist(copied: Path, train: Callable[..., Result], tmp_path: Path) -> None:
    path = first_training_scan(copied)
    path.unlink()
    assert_one_line(train(copied), "datalist_sex.json: 1 of", f"files do not exist, the first is {path}")
    assert not (tmp_path / "run").exists()


def edited(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Writes a datalist as somebody might have made it who did not use ours."""
    from monai_tff.data.splits import split_hash

    path = folder / "datalist_sex.json"
    content = json.loads(path.read_text())
    edit(content)
    content["split"]["hash"] = split_hash({name: content[name] for name in ("training", "validation", "test")})
    path.write_text(json.dumps(content))


def without_label(content: dict[str, Any]) -> None:
    content["training"][2]["label"] = None


def of_one_class(content: dict[str, Any]) -> None:
    for record in content["training"]:
        record["label"] = "F"


def with_overlap(content: dict[str, Any]) -> None:
    content["test"].append(content["training"][0])


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        (without_label, ("in 'training' has no label, expected one of F, M",)),
        (of_one_class, ("all training records are of class 'F'",)),
        (with_overlap, ("datalist_sex.json",)),
    ],
    ids=name_of,
)
def test_a_datalist_that_is_wrong(
    edit: Callable[[dict[str, Any]], None],
    parts: tuple[str, ...],
    copied: Path,
    train: Callable[..., Result],
    tmp_path: Path,
) -> None:
    edited(copied, edit)
    assert_one_line(train(copied), *parts)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        ({"window_length": 30}, ("12 frames are left after dropping 0, expected at least 30",)),
        ({"window_length": 9, "max_frames": 8}, ("window_length is 9, expected 1 to 8 (max_frames)",)),
        ({"window_length": 0}, ("window_length is 0, expected a whole number of at least 1",)),
        ({"initial_weights": "no_such.pt"}, ("no_such.pt: there is no such file",)),
        ({"spatial_size": "[8, 10, 8]"}, ("the grid after the crop is 8 x 10 x 9, expected 8 x 10 x 8",)),
        ({"trim": 8}, ("4 frames are left after dropping 8",)),
        ({"tr_policy": "perhaps"}, ("tr_policy is 'perhaps', expected one of refuse, allow",)),
        ({"crop": "[[0, -1], [0, null], [0, null]]"}, ("the grid after the crop is 7 x 10 x 9, expected 8 x 10 x 9",)),
    ],
    ids=str,
)
def test_settings_that_do_not_fit(
    overrides: dict[str, Any], parts: tuple[str, ...], cohort: Any, train: Callable[..., Result], tmp_path: Path
) -> None:
    assert_one_line(train(cohort.folder, **overrides), *parts)
    assert not (tmp_path / "run").exists()


def test_initial_weights_of_another_shape(runs: Any, cohort: Any, train: Callable[..., Result], tmp_path: Path) -> None:
    weights = runs.transformer / "models" / "model.pt"
    result = train(cohort.folder, hidden_size=48, initial_weights=weights)
    assert_one_line(result, f"{weights}: '", "has the shape", "expected")
    assert not (tmp_path / "run").exists()


def test_weights_of_another_shape_in_a_run_folder(runs: Any, scan: Path, command: Command, tmp_path: Path) -> None:
    shutil.copytree(runs.finetune, tmp_path / "mixed")
    weights = tmp_path / "mixed" / "models" / "model.pt"
    shutil.copy(runs.transformer / "models" / "model.pt", weights)
    assert_one_line(command("predict", tmp_path / "mixed", scan, "--output-dir", tmp_path / "out"), str(weights))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"no checkpoint", b""])
def test_weights_that_cannot_be_read(content: bytes, runs: Any, scan: Path, command: Command, tmp_path: Path) -> None:
    shutil.copytree(runs.finetune, tmp_path / "broken")
    weights = tmp_path / "broken" / "models" / "model.pt"
    weights.write_bytes(content)
    assert_one_line(command("predict", tmp_path / "broken", scan), "models/model.pt: cannot be read as a zip archive")
    untold = command("predict", tmp_path / "broken", scan, "--trust")
    assert_one_line(untold, f"{weights}: cannot be read as a checkpoint")


def test_weights_with_nan(runs: Any, scan: Path, command: Command, tmp_path: Path) -> None:
    shutil.copytree(runs.finetune, tmp_path / "broken")
    weights = tmp_path / "broken" / "models" / "model.pt"
    checkpoint = torch.load(weights, weights_only=True)
    checkpoint["model"]["head.weight"][0, 3] = torch.nan
    torch.save(checkpoint, weights)
    assert_one_line(command("predict", tmp_path / "broken", scan), "'head.weight' holds NaN or infinite values")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("name: [x", "mine.yaml: cannot be read as YAML or JSON"),
        ("phases: {a: {config_file: [layer.yaml]}}", "layer.yaml: key 'seed' stands on line 1 and again on line 2"),
        ("phases: {a: {config_file: [none.yaml]}}", "none.yaml: there is no such config file"),
    ],
)
def test_a_configuration_that_cannot_be_read(content: str, part: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    (tmp_path / "layer.yaml").write_text("seed: 1\nseed: 2\n")
    assert_one_line(command("run", tmp_path / "mine.yaml", "--run-dir", tmp_path / "run"), part)
    assert not (tmp_path / "run").exists()
