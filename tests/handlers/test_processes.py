"""The same numbers and files on one process and on two."""

from __future__ import annotations

import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

SCRIPT = Path(__file__).with_name("processes_script.py")


@pytest.fixture
def printed(tmp_path: Path) -> list[str]:
    """What each of two processes printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {"WORLD_SIZE": "2", "PYTHONPATH": str(Path(__file__).parents[2])}
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(tmp_path)],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        output = [process.communicate(timeout=150) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], output[0][1] + output[1][1]
    return [out for out, _ in output]


def test_two_processes_give_the_numbers_of_one(tmp_path: Path, printed: list[str]) -> None:
    """Eleven scans do not divide by two: one process has one more, or one scan is in both."""
    assert printed[0].count("test AUROC") == 2
    different = "models/last.pt: is of iteration 5 for process 0, but of 0 for process 1 (0: it is not there), expected"
    assert [different in text for text in printed] == [True, True]
    assert printed[0].splitlines()[-3:] == ["of process 0", "ConfigError the folder is not empty", "process 0 is done"]
    assert printed[1].splitlines()[1:] == ["of process 0", "SystemExit 1", "process 1 is done"]
    one = tmp_path / "one"
    runpy.run_path(str(SCRIPT))["train"](one, distributed=False, even=False)
    expected = pd.read_csv(one / "metrics.csv").set_index(["split", "name"])["value"]["validation"]
    assert "mean_total" in expected
    for name in ("uneven", "even"):
        folder = tmp_path / name
        for file in ("predictions.csv", "windows.csv", "metrics.json"):
            assert (folder / file).read_bytes() == (one / file).read_bytes()
        found = pd.read_csv(folder / "metrics.csv").set_index(["split", "name"])["value"]["validation"]
        assert found.index.is_unique
        assert found.to_dict() == pytest.approx(expected[found.index].to_dict(), nan_ok=True)
        model = torch.load(folder / "models" / "model.pt", weights_only=True)
        assert set(model["model"]) == {"weight", "bias"}
        assert model["metric"]["value"] == found["val_selection"]
    assert len(expected) - len(found) == 2  # the mean loss and its total: left out where a scan is in both
