"""The command `prepare`, from a datalist to packed scans, a summary and an exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import Result

from monai_tff.contract import InputContract
from monai_tff.data import load_records
from monai_tff.data.loading import LoadScand
from monai_tff.data.packed import verify_packed

CONTRACT = InputContract(spatial_size=(8, 10, 9), window_length=5, repetition_time=2.0)


@pytest.fixture
def study(cohort: SimpleNamespace, tmp_path: Path) -> SimpleNamespace:
    """A copy of the shared cohort, which tests may damage, and a layer that names its places."""
    folder = tmp_path / "cohort"
    shutil.copytree(cohort.folder, folder)
    datalist = folder / "datalist_sex.json"
    layer = tmp_path / "layer.yaml"
    layer.write_text(
        f"spatial_size: [8, 10, 9]\nrepetition_time: 2.0\ndataset_dir: {folder}\ndatalist: {datalist}\n"
        f"packed_dir: {tmp_path / 'packed'}\n"
    )
    return SimpleNamespace(folder=folder, datalist=datalist, layer=layer, packed=tmp_path / "packed")


@pytest.fixture
def prepare(command: Callable[..., Result]) -> Callable[..., Result]:
    """Calls the command without further processes: prepare("--layer", ...)."""
    return lambda *arguments: command("prepare", *arguments, "--workers", 0)


def counts(result: Result) -> dict[str, int]:
    rows = [line.replace("│", " ").split() for line in result.output.splitlines() if line.startswith("│")]
    return {row[0]: int(row[1]) for row in rows}


def test_a_cohort_is_packed_once_and_loads_the_same(study, prepare):
    result = prepare("--layer", study.layer)
    assert result.exit_code == 0, result.output
    assert counts(result) == {"packed": 24, "present": 0, "failed": 0}
    assert "24 of 24 scans are not packed: about" in result.output
    assert f"In {study.packed}" in result.output
    again = prepare("--layer", study.layer, "--verify")
    assert counts(again) == {"packed": 0, "present": 24, "failed": 0}
    records = load_records(study.datalist, study.folder, "test")
    for record in records:
        one, other = (LoadScand("image", CONTRACT, packed_dir=place)(record) for place in (None, str(study.packed)))
        assert torch.equal(one["image"].unpack(), other["image"].unpack())
        assert one["mask_source"] == other["mask_source"]


def test_what_cannot_be_packed_is_listed_and_the_rest_is_packed(study, prepare):
    scans = [record["image"] for record in json.loads(study.datalist.read_text())["training"]]
    (study.folder / scans[0]).unlink()
    content = (study.folder / scans[1]).read_bytes()
    (study.folder / scans[1]).write_bytes(content[: len(content) // 2])
    result = prepare(study.datalist, "--dataset-dir", study.folder, "--layer", study.layer, "-o", study.packed)
    assert result.exit_code == 1
    assert counts(result) == {"packed": 22, "present": 0, "failed": 2}
    lines = [line for line in result.output.splitlines() if line.startswith("Left out: ")]
    beginnings = [f"Left out: {study.folder / scan}: " for scan in scans[:2]]
    assert all(any(line.startswith(beginning) for beginning in beginnings) for line in lines)
    assert len(lines) == 2
    assert "To go on without a scan, build the datalist again with --exclude" in result.output
    assert "there is no such file" in next(line for line in lines if scans[0] in line)
    assert "truncated or damaged" in next(line for line in lines if scans[1] in line)
    # mended, only these are packed
    (study.folder / scans[1]).write_bytes(content)
    assert counts(prepare("--layer", study.layer)) == {"packed": 1, "present": 22, "failed": 1}


def test_a_removed_scan_that_was_packed_stays_usable(study, prepare):
    prepare("--layer", study.layer)
    record = load_records(study.datalist, study.folder, "test")[0]
    Path(record["image"]).unlink()
    result = prepare("--layer", study.layer)
    assert (result.exit_code, counts(result)) == (0, {"packed": 0, "present": 24, "failed": 0})


@pytest.mark.parametrize("encoding", ["int8", "float32"])
def test_encodings_have_files_of_their_own(study, prepare, encoding):
    prepare("--layer", study.layer)
    result = prepare("--layer", study.layer, "--encoding", encoding)
    assert counts(result)["packed"] == 24
    assert len(list(study.packed.rglob("*.safetensors"))) == 48


@pytest.mark.parametrize(("arguments", "words"), [
    ((), "datalist: neither the argument DATALIST nor a layer says where it is"),
    (("{datalist}",), "dataset_dir: neither --dataset-dir nor a layer"),
    (("{datalist}", "--dataset-dir", "{folder}"), "packed_dir: neither --output nor a layer"),
    (("{datalist}", "--dataset-dir", "{folder}", "-o", "{packed}"), "spatial_size is not set"),
    (("--layer", "{layer}", "-o", "{datalist}/packed"), "packed scans cannot be written there"),
    (("gone.json", "--layer", "{layer}"), "gone.json: cannot be read"),
])  # fmt: skip
def test_what_is_missing_is_one_sentence(study, prepare, arguments, words):
    result = prepare(*(text.format(**vars(study)) for text in arguments))
    assert result.exit_code == 1
    assert "error: " in result.output
    assert words in result.output
    assert "Traceback" not in result.output


def test_another_grid_is_a_sentence_for_each_scan(study, prepare):
    study.layer.write_text(study.layer.read_text().replace("[8, 10, 9]", "[8, 10, 8]"))
    result = prepare("--layer", study.layer)
    assert result.exit_code == 1
    assert counts(result) == {"packed": 0, "present": 0, "failed": 24}
    assert result.output.count("the grid after the crop is 8 x 10 x 9, expected 8 x 10 x 8") == 24


@pytest.mark.parametrize("seconds", [0.1, 2.0])
def test_an_interruption_while_workers_start_is_one_word(
    study: SimpleNamespace, forked: Callable[..., BaseProcess], tmp_path: Path, seconds: float
) -> None:
    process = forked("prepare", "--layer", study.layer, "--workers", 2)
    # this line comes just before the workers
    while "are not packed" not in (tmp_path / "stdout").read_text():
        assert process.is_alive()
        time.sleep(0.01)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    process.join(120)
    errors = (tmp_path / "stderr").read_text()
    assert process.exitcode == 130
    assert "Traceback" not in errors
    assert errors.split()[-1] == "interrupted"
    for path in study.packed.rglob("*.safetensors"):
        verify_packed(path)
