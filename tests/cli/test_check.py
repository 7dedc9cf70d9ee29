"""The command `check`: what it prints and writes, its exit code, and what an interruption leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from monai_tff.cli.app import CommandGroup
from monai_tff.cli.check import check
from monai_tff.data import build_datalist, read_bids, simulate_cohort, write_datalist
from monai_tff.data.overlap import SECTIONS, UNLABELLED, split_hash

app = typer.Typer(cls=CommandGroup)
app.command("check")(check)
# a second command keeps the name of the first in the command line
app.command("nothing")(lambda: None)


def invoke(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check") / "cohort"
    simulate_cohort(folder, num_subjects=12, voxel_size=20.0, num_frames=8, seed=1)
    content = build_datalist(read_bids(folder, "sex"), "sex", dataset_dir=folder, workers=1)
    write_datalist(content, folder / "datalist.json")
    return folder


@pytest.fixture
def folder(simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the cohort to break, and an empty working folder."""
    shutil.copytree(simulated, tmp_path / "cohort")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "cohort"


def scans(folder: Path) -> list[Path]:
    return sorted(folder.glob("sub-*/func/*_bold.nii.gz"))


def test_a_good_cohort_passes(folder: Path) -> None:
    result = invoke("check", folder / "datalist.json", "--dataset-dir", folder, "--workers", 2)
    assert result.exit_code == 0, result.output
    rows = [line.replace("│", " ").split() for line in result.stdout.splitlines()]
    assert ["training", "8", "0", "0", "8"] in rows
    for line in ("Orientation: RAS (12 scans)", "TR (s): 2 (12 scans)", "Frames: 8 (12 scans)"):
        assert line in result.stdout
    assert "Mask: beside the scan (12 scans)" in result.stdout
    assert "Findings" not in result.stdout
    content = json.loads(Path("datalist_check.json").read_text())
    assert content["summary"]["scans_with"] == {"must fix": 0, "note": 0}
    assert len(Path("datalist_check.csv").read_text().splitlines()) == 13


def test_what_must_be_fixed_is_shown_first_and_fails(folder: Path) -> None:
    broken, same = scans(folder)[0], scans(folder)[3]
    broken.write_bytes(broken.read_bytes()[:-100])
    shutil.copyfile(scans(folder)[2], same)
    layer = Path("layer.yaml")
    layer.write_text(f"dataset_dir: {folder}\ndatalist: {folder}/datalist.json\ntrim: 2\n")
    result = invoke("check", "--layer", layer, "--window-length", 7, "--output", "reports/", "--workers", 1)
    assert result.exit_code == 1, result.output
    words = " ".join(result.stdout.replace("│", " ").split())
    assert "must fix unreadable" in words
    assert "the voxels cannot be read after frame" in words
    assert "6 frames are left after dropping 2, a window has 7" in words
    assert "bold.nii.gz and 11 more" in words
    content = json.loads(Path("reports/datalist_check.json").read_text())
    assert content["summary"]["findings"]["must fix"] == {
        "unreadable": 1,
        "too few frames": 12,
        "content": 1,
        "duplicate": 2,
    }
    assert content["layer"]["trim"] == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["datalist.json"], "dataset_dir: neither --dataset-dir nor a layer says where it is"),
        ([], "datalist: neither the argument DATALIST nor a layer says where it is"),
        (["none.json", "--dataset-dir", "."], "none.json: cannot be read"),
        (["datalist.json", "--dataset-dir", ".", "--layer", "none.yaml"], "none.yaml: cannot be read"),
        (["datalist.json", "--dataset-dir", ".", "-o", "datalist"], "datalist.json: exists and is no report"),
    ],
)
def test_wrong_calls_are_one_sentence(folder: Path, arguments: list[str], sentence: str) -> None:
    shutil.copyfile(folder / "datalist.json", "datalist.json")
    result = invoke("check", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert sentence in result.stderr
    assert os.listdir(".") == ["datalist.json"]


def make_large(path: Path) -> None:
    """A scan that takes seconds to read: gigabytes of zeros behind a header, which take no room on the disk."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((91, 109, 91, 2000))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    path.write_bytes(header.binaryblock + bytes(4))
    os.truncate(path, 352 + 2 * 91 * 109 * 91 * 2000)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the worker processes in /proc")
@pytest.mark.parametrize(("ending", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_an_interruption_leaves_no_report_and_no_worker(
    folder: Path, forked: Callable[..., BaseProcess], ending: signal.Signals, code: int
) -> None:
    content = json.loads((folder / "datalist.json").read_text())
    for record in content["training"]:
        plain = record["image"].removesuffix(".gz")
        (folder / record["image"]).unlink()
        make_large(folder / plain)
        record["image"] = plain
    content["split"]["hash"] = split_hash({section: content[section] for section in (*SECTIONS, UNLABELLED)})
    (folder / "datalist.json").write_text(json.dumps(content))
    process = forked("check", folder / "datalist.json", "--dataset-dir", folder, "--workers", 2)
    assert process.pid is not None
    until = time.monotonic() + 60
    while len(workers := children(process.pid)) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    # Ctrl-C reaches the whole group
    end = os.killpg if ending == signal.SIGINT else os.kill
    end(process.pid, ending)
    process.join(60)
    assert process.exitcode == code
    assert len(workers) == 2
    while any(map(running, workers)) and time.monotonic() < until:
        time.sleep(0.02)
    assert [pid for pid in workers if running(pid)] == []
    assert os.listdir(".") == []
