"""Losses that two processes share: values and gradients are those of the whole batch, however it is shared."""

from __future__ import annotations

import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_tff.losses.process_mean import process_mean

SCRIPT = Path(__file__).with_name("processes_script.py")
NAMES = ["binary", "published", "age", "site", "equal sites", "intensity", "perceptual", "reconstruction"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[tuple[str, str], Any]]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {"WORLD_SIZE": "2", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(SCRIPT), str(folder)]
    processes = [
        subprocess.Popen(command, env={**shared, "RANK": str(rank)}, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=100)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def cases(script: dict[str, Any]) -> dict[str, Any]:
    return {name: case for name, *case in script["cases"]()}


@pytest.mark.parametrize("way", ["uneven", "empty"])
@pytest.mark.parametrize("name", NAMES)
def test_shares_make_the_whole(name: str, way: str, results: Any, cases: Any, script: dict[str, Any]) -> None:
    value, gradient = script["value_and_gradient"](*cases[name])
    assert value > 0
    (first, of_first), (second, of_second) = (result[name, way] for result in results)
    torch.testing.assert_close((first + second) / 2, value)
    together = torch.empty_like(gradient)
    for own, share in zip((of_first, of_second), script["SHARES"][way], strict=True):
        together[share] = own / 2  # distributed training averages over the processes
    torch.testing.assert_close(together, gradient)


@pytest.mark.parametrize("name", NAMES)
def test_a_process_evaluates_on_its_own(name: str, results: Any, cases: Any) -> None:
    loss, prediction, label = cases[name]
    torch.testing.assert_close(results[0][name, "alone"], loss(prediction[:2], label[:2]))
    assert [result[name, "nothing"] for result in results] == [0, 0]


def test_every_case_is_tested(cases: Any) -> None:
    assert list(cases) == NAMES


@pytest.mark.parametrize(("total", "count", "expected"), [(3.0, 4, 0.75), (0.0, 0, 0.0), (0.5, 0.25, 2.0)])
def test_one_process(total: float, count: float, expected: float) -> None:
    found = process_mean(torch.tensor(total, requires_grad=True), count)
    assert found.item() == expected
    assert found.requires_grad
    assert process_mean(torch.tensor(total), torch.tensor(count)).item() == expected
