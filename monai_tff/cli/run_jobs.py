"""Child processes, several at a time, each with a log."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

SECONDS_BETWEEN_LOOKS = 0.05
SECONDS_TO_END = 10.0
"""How long an interrupted child may take, before it is killed."""

THREADS = "OMP_NUM_THREADS"
GPUS = "CUDA_VISIBLE_DEVICES"


@dataclasses.dataclass(frozen=True)
class Job:
    """What a process of its own is to do.

    Attributes:
        name: for a person.
        arguments: of Python.
        log: file that takes its output, after that of earlier calls.
    """

    name: str
    arguments: tuple[str, ...]
    log: Path


def run_jobs(
    jobs: Sequence[Job], at_once: int, on_start: Callable[[Job], None], on_end: Callable[[Job, int], None]
) -> None:
    """Runs jobs as children of this process; whatever ends it ends them.

    Args:
        jobs: what to run, started in this order.
        at_once: how many run at a time. Each of these places has a GPU, dealt out one after the other, and an even
            share of the CPU cores.
        on_start: called as a job starts.
        on_end: called with the exit code as a job ends; a job that fails does not stop the others.
    """
    waiting, places = list(jobs), list(range(at_once))
    running: dict[int, tuple[Job, subprocess.Popen[bytes]]] = {}
    gpus, cores = visible_gpus(), cores_of_each(at_once)
    try:
        while waiting or running:
            while waiting and places:
                job, place = waiting.pop(0), places.pop(0)
                on_start(job)
                running[place] = (job, start(job, {**cores, **gpu_of(place, gpus)}))
            for place, (job, process) in list(running.items()):
                code = process.poll()
                if code is not None:
                    del running[place]
                    places = sorted([*places, place])
                    on_end(job, code)
            time.sleep(SECONDS_BETWEEN_LOOKS)
    finally:
        end_all([process for _, process in running.values()])


def start(job: Job, environment: Mapping[str, str], folder: str | None = None) -> subprocess.Popen[bytes]:
    """Starts one job in a session of its own; its standard input is closed when this process ends.

    Args:
        job: what to run.
        environment: what is set besides the variables of this process.
        folder: to run it in, that of this process if None.
    """
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with open(job.log, "ab") as log:
        return subprocess.Popen(
            [sys.executable, *job.arguments],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends them
        )


def end_all(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ends processes with those that they started: politely, and after ten seconds by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
        end = time.monotonic() + SECONDS_TO_END
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, end - time.monotonic()))


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` takes them."""
    import torch

    count = torch.cuda.device_count()
    given = [name for name in os.environ.get(GPUS, "").split(",") if name.strip()]
    return given[:count] if given else [str(number) for number in range(count)]


def gpu_of(place: int, gpus: Sequence[str]) -> dict[str, str]:
    """The variable that shows a job the GPU of its place; none where there is no GPU."""
    return {GPUS: gpus[place % len(gpus)]} if gpus else {}


def cores_of_each(at_once: int) -> dict[str, str]:
    """The variable that gives each of several jobs its share of the cores; none where the user has set it."""
    from monai_tff.data.quality_workers import usable_cores

    return {} if THREADS in os.environ else {THREADS: str(max(1, usable_cores() // at_once))}


def last_error(log: Path) -> str:
    """What a job that failed said last: its own sentence, or the last line of its log."""
    if not log.is_file():
        return "it did not start"
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it said nothing"])[-1]
