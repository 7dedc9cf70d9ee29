"""Runs the command `prepare` on many small scans while its workers, and now and then the command itself, are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import torch
import yaml
from example_scan import write_scan

from monai_tff.contract import InputContract
from monai_tff.data.building import build_datalist
from monai_tff.data.cohorts.cohort import Cohort
from monai_tff.data.datalist import load_records, write_datalist
from monai_tff.data.loading import load_scan
from monai_tff.data.packed import PackedName, open_packed, verify_packed
from monai_tff.data.records import make_record
from monai_tff.data.splits import SECTIONS

LONGEST_SECONDS = 1800.0


def write_cohort(folder: Path, scans: int, frames: int, grid: tuple[int, int, int]) -> None:
    """Scans of as many subjects, their datalist and the dataset layer."""
    records = []
    for number in range(scans):
        image = folder / f"sub-{number:03d}" / "func" / f"sub-{number:03d}_task-rest_bold.nii.gz"
        image.parent.mkdir(parents=True)
        write_scan(image, frames, "int16", seed=number, grid=grid)
        label = "AB"[number % 2]
        records.append(make_record(str(image.relative_to(folder)), f"{number:03d}", f"sub-{number:03d}", label))
    content = build_datalist(Cohort(records), "group", dataset_dir=folder, mask="nonzero", content=False)
    write_datalist(content, folder / "datalist.json")
    layer = {"spatial_size": list(grid), "mask": "nonzero", "axis_codes": None}
    (folder / "layer.yaml").write_text(yaml.safe_dump(layer))


def prepare_under_fire(
    cohort: Path, packed: Path, scheduler: str | None, worker_life: float, command_life: float, seed: int
) -> dict[str, Any]:
    """Starts the command again and again until it ends by itself, and kills at random meanwhile.

    Args:
        cohort: folder of `write_cohort`.
        packed: folder of packed scans.
        scheduler: of the command, None for its own worker processes.
        worker_life: mean seconds between two kills of a worker; 0 for none.
        command_life: mean seconds until the whole command is killed; 0 for never.
        seed: of the kills.

    Returns:
        What was killed, how often the command was started, and how long it all took.
    """
    chance = random.Random(seed)
    arguments = ["prepare", str(cohort / "datalist.json"), "--dataset-dir", str(cohort), "--output", str(packed)]
    arguments += ["--layer", str(cohort / "layer.yaml"), "--workers", "2"]
    arguments += ["--scheduler", scheduler] if scheduler else []
    counts = {"starts": 0, "killed_workers": 0, "killed_commands": 0}
    start = time.perf_counter()
    status, output = -1, ""
    # a scan that lost several workers is named, and done by the next start
    while status != 0:
        if time.perf_counter() - start > LONGEST_SECONDS:
            raise RuntimeError(f"not done after {LONGEST_SECONDS:g} s and {counts}: {output[-2000:]}")
        counts["starts"] += 1
        with subprocess.Popen(
            [sys.executable, "-m", "monai_tff", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ) as command:
            _fire(command, chance, worker_life, command_life, counts)
            output = command.communicate()[0]
            status = command.returncode
    return {**counts, "seconds": round(time.perf_counter() - start, 1)}


def _fire(
    command: subprocess.Popen[str],
    chance: random.Random,
    worker_life: float,
    command_life: float,
    counts: dict[str, int],
) -> None:
    def from_now(life: float) -> float:
        return time.monotonic() + chance.expovariate(1 / life) if life else float("inf")

    next_worker, end = from_now(worker_life), from_now(command_life)
    while command.poll() is None:
        time.sleep(0.02)
        if time.monotonic() > end:
            command.send_signal(signal.SIGKILL)
            counts["killed_commands"] += 1
            return
        if time.monotonic() > next_worker:
            workers = _workers(command.pid)
            if workers:
                chance.choice(workers).kill()
                counts["killed_workers"] += 1
            next_worker = from_now(worker_life)


def _workers(command: int) -> list[psutil.Process]:
    """Worker processes of a command: what its server of processes has handed out."""
    try:
        servers = [c for c in psutil.Process(command).children() if "forkserver" in " ".join(c.cmdline())]
        return [worker for server in servers for worker in server.children()]
    except psutil.Error:
        return []


def check_files(cohort: Path, packed: Path, grid: tuple[int, int, int]) -> dict[str, int]:
    """Compares every packed file with its scan; counts what is right, and whatever else lies in the folder."""
    contract = InputContract(grid, 1, mask="nonzero", axis_codes=None)
    right, known = 0, set()
    for section in SECTIONS:
        for record in load_records(cohort / "datalist.json", cohort, section):
            path = PackedName.of_record(record["image"], contract, scan=record["scan"], encoding="int16").path(packed)
            known.add(path)
            if not path.is_file():
                continue
            verify_packed(path)
            wanted, _ = load_scan(record["image"], contract)
            found = open_packed(path)
            right += torch.equal(found.values, wanted.values) and torch.equal(found.voxel_mean, wanted.voxel_mean)
    others = [path for path in packed.rglob("*") if path.is_file() and path not in known]
    return {"scans": len(known), "right": right, "other_files": len(others)}
