"""Two commands on one folder, killed at random moments: every file is right or absent, and a later run completes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from monai_tff.cli.prepare import prepare
from monai_tff.data import build_datalist, read_bids, simulate_cohort, write_datalist
from monai_tff.data.packed import verify_packed

KILLS = 50
LAYER = "spatial_size: [8, 10, 9]\nrepetition_time: 2.0\n"


@pytest.fixture(scope="module")
def run_prepare(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], multiprocessing.Process]:
    """Starts the command in a process of its own: run_prepare(packed_dir)."""
    root = tmp_path_factory.mktemp("killed")
    simulate_cohort(root / "cohort", num_subjects=6, voxel_size=20.0, num_frames=60, seed=3)
    content = build_datalist(read_bids(root / "cohort", "sex"), "sex", dataset_dir=root / "cohort")
    write_datalist(content, root / "datalist.json")
    (root / "layer.yaml").write_text(LAYER)

    def command(packed_dir: Path) -> None:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            prepare(root / "datalist.json", root / "cohort", [str(root / "layer.yaml")], packed_dir, workers=0)

    # forked: everything is imported already, so that a kill hits the work and not the start
    context = multiprocessing.get_context("fork")

    def start(packed_dir: Path) -> multiprocessing.Process:
        process = context.Process(target=command, args=(packed_dir,))
        process.start()
        return process

    return start


def packed(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.safetensors")}


def finish(process: multiprocessing.Process) -> float:
    start = time.perf_counter()
    process.join(timeout=120)
    assert process.exitcode == 0
    return time.perf_counter() - start


def test_files_are_right_or_absent_after_50_kills(run_prepare: Callable, tmp_path: Path) -> None:
    finish(run_prepare(tmp_path / "clean"))
    clean = packed(tmp_path / "clean")
    assert len(clean) == 6
    seconds = finish(run_prepare(tmp_path / "timed"))
    folder, generator = tmp_path / "packed", random.Random(11)
    interrupted = completed = kills = rounds = 0
    # a kill counts if it met a writer at work; those that come too late make the next ones come earlier
    while kills < KILLS and rounds < 4 * KILLS:
        rounds += 1
        writers = [run_prepare(folder) for _ in range(2)]
        time.sleep(generator.uniform(0, seconds))
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
        for writer in writers:
            writer.join()
        met = sum(writer.exitcode == -signal.SIGKILL for writer in writers)
        interrupted += met
        kills += met > 0
        seconds *= 1 if met else 0.9
        found = packed(folder)
        assert found.items() <= clean.items()
        for name in found:
            verify_packed(folder / name)
        if len(found) == len(clean):
            completed += 1
        # something must be left to do for the next two
        for name in generator.sample(sorted(found), k=len(found) // 2):
            (folder / name).unlink()
    assert kills == KILLS
    # often both were at work, and mostly something was left to do
    assert interrupted > KILLS
    assert completed < rounds
    finish(run_prepare(folder))
    assert packed(folder) == clean
    # what the killed ones left behind is gone too
    assert not [path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".safetensors"]


def test_two_undisturbed_commands_share_a_folder(run_prepare: Callable, tmp_path: Path) -> None:
    writers = [run_prepare(tmp_path / "packed") for _ in range(2)]
    for writer in writers:
        finish(writer)
    found = packed(tmp_path / "packed")
    assert len(found) == 6
    for name in found:
        verify_packed(tmp_path / "packed" / name)
