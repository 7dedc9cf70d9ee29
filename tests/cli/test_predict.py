"""`monai_tff predict`: from scans to a table, CSV and JSON, or to reconstructed scans."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from typer.testing import Result

from monai_tff.contract import InputContract
from monai_tff.data import load_scan
from monai_tff.networks import TFFReconstructor, load_finished
from monai_tff.transforms import window_starts

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def test_scans(cohort: Any) -> dict[str, list[Path]]:
    """The scans of the test section of each target's datalist."""
    sections = {name: json.loads(path.read_text())["test"] for name, path in cohort.datalists.items()}
    return {name: [cohort.folder / record["image"] for record in records] for name, records in sections.items()}


def predicted(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "predictions.csv", dtype={"subject": str}).set_index("subject")


@pytest.mark.parametrize("target", ["sex", "age", "site"])
def test_predictions_are_those_of_the_evaluation(
    target: str, finetuned: dict[str, Path], test_scans: dict[str, list[Path]], command: Command, tmp_path: Path
) -> None:
    if not (finetuned[target] / "evaluation").exists():
        from monai_tff.bundle.experiment import run_workflow

        run_workflow([str(finetuned[target] / "configs" / "evaluate.yaml")], "eval", {"bootstrap_samples": 20})
    result = command("predict", finetuned[target], *test_scans[target], "--output-dir", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found, expected = predicted(tmp_path / "out"), predicted(finetuned[target] / "evaluation")
    columns = [column for column in expected if column.startswith(("score", "predicted", "spread", "windows"))]
    pd.testing.assert_frame_equal(found[columns].sort_index(), expected[columns].sort_index(), check_exact=True)
    assert found["truth"].isna().all()
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_table_csv_and_json_say_the_same(
    finetuned: dict[str, Path], test_scans: dict[str, list[Path]], command: Command, tmp_path: Path
) -> None:
    result = command("predict", finetuned["sex"], *test_scans["sex"][:2], "--output-dir", tmp_path)
    table = predicted(tmp_path)
    rows = json.loads((tmp_path / "predictions.json").read_text())
    assert [row["subject"] for row in rows] == list(table.index)
    assert [row["score"] for row in rows] == pytest.approx(list(table["score"]), rel=1e-12)
    assert {row["truth"] for row in rows} == {None}
    assert {row["predicted"] for row in rows} <= {"F", "M"}
    for subject, score in table["score"].items():
        (line,) = [line for line in result.stdout.splitlines() if f" {subject} " in line and "│" in line]
        assert f" {score:.4g} " in line


def test_a_folder_of_scans(finetuned: dict[str, Path], cohort: Any, command: Command, tmp_path: Path) -> None:
    result = command("predict", finetuned["sex"], cohort.folder, "--output-dir", tmp_path, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert len(predicted(tmp_path)) == 24


def test_stride(
    finetuned: dict[str, Path], test_scans: dict[str, list[Path]], command: Command, tmp_path: Path
) -> None:
    scan = test_scans["sex"][0]
    assert command("predict", finetuned["sex"], scan, "--output-dir", tmp_path, "--stride", 2).exit_code == 0
    windows = pd.read_csv(tmp_path / "windows.csv")
    assert list(windows["window"]) == window_starts(12, 5, 2) == [0, 2, 4, 6, 7]


@pytest.mark.parametrize("phase", ["autoencoder", "transformer"])
def test_reconstruction(
    phase: str, runs: Any, test_scans: dict[str, list[Path]], command: Command, tmp_path: Path
) -> None:
    run, scan = runs.folder / phase, test_scans["sex"][0]
    (tmp_path / "predictions.csv").write_text("subject,session\nearlier,\n", encoding="utf-8")
    result = command("predict", run, scan, "--output-dir", tmp_path)
    assert result.exit_code == 0, result.output
    assert f"reconstructions of 1 scans: {tmp_path}" in result.stdout
    assert "earlier" not in result.stdout
    (file,) = tmp_path.glob("*.nii.gz")
    image, original = nib.load(file), nib.load(scan)
    assert file.name == scan.name.replace("_desc-preproc_", "_desc-reconstruction_")
    assert image.shape == original.shape == (8, 10, 9, 12)
    np.testing.assert_allclose(image.affine, original.affine)
    assert image.header.get_zooms()[3] == pytest.approx(original.header.get_zooms()[3]) == 2.0
    assert image.header.get_xyzt_units() == ("mm", "sec")
    if phase == "transformer":
        np.testing.assert_allclose(image.get_fdata(), reconstructed_by_hand(run, scan), rtol=1e-4, atol=1e-2)


def reconstructed_by_hand(run: Path, path: Path) -> np.ndarray:
    """The definition: windows of 5 frames at 0, 5 and 7, the mean where two overlap, in the scan's units."""
    config = yaml.safe_load((run / "configs" / "inference.yaml").read_text())
    contract = InputContract.from_dict({k: v for k, v in config["contract"].items() if k != "_target_"})
    network = TFFReconstructor(**{k: v for k, v in config["network_def"].items() if k != "_target_"}).eval()
    load_finished(network, run / "models" / "model.pt")
    scan, _ = load_scan(path, contract)
    total, count = torch.zeros(*scan.mask.shape, 12), torch.zeros(12)
    with torch.no_grad():
        for start in (0, 5, 7):
            total[..., start : start + 5] += network(scan.unpack()[None, ..., start : start + 5])[0, 0]
            count[start : start + 5] += 1
    values = total / count * scan.global_std + scan.global_mean
    return torch.where(scan.mask[..., None], values, 0).numpy()


def test_a_reconstruction_is_the_same_file_each_time(
    runs: Any, test_scans: dict[str, list[Path]], command: Command, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        command("predict", runs.transformer, test_scans["sex"][0], "--output-dir", tmp_path / name)
    (one,), (two,) = (list((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "gpu"], "device gpu: there is no such device here, expected one of cpu"),
        (["--stride", "9"], "the stride of the windows is 9, expected 1 to 5 (window_length)"),
        (["--stride", "0"], "the stride of the windows is 0, expected 1 to 5"),
    ],
)
def test_options_that_are_wrong(
    options: list[str],
    message: str,
    finetuned: dict[str, Path],
    test_scans: dict[str, list[Path]],
    command: Command,
    tmp_path: Path,
) -> None:
    result = command("predict", finetuned["sex"], test_scans["sex"][0], "--output-dir", tmp_path / "out", *options)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(f"error: {message}")
    assert not (tmp_path / "out").exists()


def test_a_bundle_that_is_none(command: Command, cohort: Any, tmp_path: Path) -> None:
    result = command("predict", tmp_path, cohort.folder)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {tmp_path / 'configs' / 'inference.yaml'}: there is no such file")


def test_a_bundle_without_weights(finetuned: dict[str, Path], command: Command, cohort: Any, tmp_path: Path) -> None:
    shutil.copytree(finetuned["sex"] / "configs", tmp_path / "bundle" / "configs")
    result = command("predict", tmp_path / "bundle", cohort.folder, "--output-dir", tmp_path / "out")
    assert result.exit_code == 1
    assert "models/model.pt: there is no such file, expected a checkpoint" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_run_folder_may_be_moved(
    finetuned: dict[str, Path], test_scans: dict[str, list[Path]], command: Command, tmp_path: Path
) -> None:
    shutil.copytree(finetuned["sex"], tmp_path / "moved")
    result = command("predict", tmp_path / "moved", test_scans["sex"][0], "--output-dir", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert len(predicted(tmp_path / "out")) == 1


def test_a_torn_scan_is_one_sentence_and_nothing_else(
    finetuned: dict[str, Path], cohort: Any, forked: Callable[..., BaseProcess], tmp_path: Path
) -> None:
    scan = next(cohort.folder.rglob("*_bold.nii.gz"))
    torn = tmp_path / "torn_bold.nii.gz"
    torn.write_bytes(scan.read_bytes()[:-2000])
    # in a process, whose libraries may write to its streams too
    process = forked("predict", finetuned["sex"], torn, "--output-dir", tmp_path / "out", "--device", "cpu")
    process.join(300)
    assert process.exitcode == 1
    (line,) = (tmp_path / "stderr").read_text().splitlines()
    assert line.startswith(f"error: {torn}: the voxels cannot be read")
    assert not (tmp_path / "out").exists()
