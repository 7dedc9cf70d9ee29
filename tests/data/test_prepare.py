"""Packing many scans in worker processes: some die, and everything else is packed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_tff.contract import InputContract
from monai_tff.data import prepare
from monai_tff.data.packed import verify_packed
from monai_tff.data.packed_leftovers import OLD_SECONDS
from monai_tff.data.prepare import PreparedScan, prepare_scan, prepare_scans

GRID = (7, 8, 9)
CONTRACT = InputContract(spatial_size=GRID, window_length=5)


@pytest.fixture
def records(tmp_path: Path) -> list[dict]:
    found = []
    for number in range(7):
        values = np.random.default_rng(number).integers(200, 9000, (*GRID, 6)).astype(np.int16)
        values[:2] = 0
        path = tmp_path / "raw" / f"run-{number}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        nib.save(nib.Nifti1Image(values, np.diag([3.0, 3.0, 4.0, 1.0])), path)
        found.append({"image": str(path), "scan": f"run-{number}.nii.gz"})
    return found


def work_that_dies(record: dict, packed_dir: Path, **options: object) -> PreparedScan:
    """Packs, but some scans kill their worker: always, or the first time only."""
    mark = Path(record["image"]).with_suffix(".tried")
    if record["scan"] == "run-3.nii.gz" or (record["scan"] == "run-1.nii.gz" and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if record["scan"] == "run-5.nii.gz":
        raise RuntimeError("no memory for\n a buffer")
    return prepare_scan(record, packed_dir, **options)


@pytest.fixture
def _forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    # what is patched here is known in forked workers only, and they start at once
    monkeypatch.setattr(prepare, "worker_context", lambda: multiprocessing.get_context("fork"))


@pytest.mark.usefixtures("_forked_workers")
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_scans_of_killed_workers_are_redone(records, tmp_path, monkeypatch, workers):
    monkeypatch.setattr(prepare, "prepare_scan", work_that_dies)
    told = []
    results = prepare_scans(records, tmp_path / "packed", CONTRACT, workers=workers, on_done=told.append)
    assert [result.scan for result in results if result.status == "failed"] == ["run-3.nii.gz", "run-5.nii.gz"]
    for path in (tmp_path / "packed").glob("*.safetensors"):
        verify_packed(path)
    assert len(list((tmp_path / "packed").glob("*.safetensors"))) == 5
    assert "run-3.nii.gz: the process that packed it was killed 2 times" in results[3].sentence
    assert results[5].sentence.endswith("run-5.nii.gz: RuntimeError: no memory for a buffer")
    assert sorted(result.scan for result in told) == [record["scan"] for record in records]


def test_what_nobody_foresaw_does_not_stop_the_others_without_workers(records, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "prepare_scan", work_that_dies)
    results = prepare_scans(records[4:], tmp_path / "packed", CONTRACT, workers=0)
    assert [result.status for result in results] == ["packed", "failed", "packed"]
    assert results[1].sentence.endswith("run-5.nii.gz: RuntimeError: no memory for a buffer")


# 2: the workers that users get, whose server imports everything first (some seconds)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_scan_does_not_stop_the_others(records, tmp_path, workers):
    Path(records[2]["image"]).write_bytes(b"nothing")
    told = []
    results = prepare_scans(records, tmp_path / "packed", CONTRACT, workers=workers, on_done=told.append)
    assert [result.status for result in results] == ["packed" if i != 2 else "failed" for i in range(7)]
    assert [result.scan for result in results] == [record["scan"] for record in records]
    assert sorted(told) == sorted(results)
    again = prepare_scans(records, tmp_path / "packed", CONTRACT, workers=0, verify=True)
    assert [result.status for result in again] == ["present" if i != 2 else "failed" for i in range(7)]
    files = list((tmp_path / "packed").iterdir())
    assert len(files) == 6
    for path in files:
        verify_packed(path)


def test_old_leftovers_are_removed(records, tmp_path):
    packed_dir = tmp_path / "packed"
    packed_dir.mkdir()
    left = packed_dir / ".run-1.00000000-1-0123abcd.partial"
    left.touch()
    written = left.stat().st_mtime - OLD_SECONDS - 1
    os.utime(left, (written, written))
    prepare_scans(records[:1], packed_dir, CONTRACT, workers=0)
    assert not left.exists()


def test_workers_have_one_thread():
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=context, initializer=prepare.start_worker) as pool:
        assert pool.submit(torch.get_num_threads).result() == 1


def test_nothing_to_do(tmp_path):
    assert prepare_scans([], tmp_path / "packed", CONTRACT, workers=2) == []
