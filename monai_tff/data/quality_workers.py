"""Many scans read in several processes: one that is killed costs its scan, never the others."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from monai_tff.data.quality_facts import ScanFacts, ScanJob, read_facts

QUEUED_PER_WORKER = 2
"""Scans handed out per worker: one that it reads and one that waits."""

KILLED = (
    "the process that read it was ended from outside, most likely because memory ran out; check the file, or use fewer "
    "workers."
)

OnScan = Callable[[int, ScanFacts], object]


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_all(jobs: Sequence[ScanJob], workers: int, on_scan: OnScan | None = None) -> list[ScanFacts]:
    """Reads scans, each whole.

    Args:
        jobs: the scans.
        workers: processes; 1 reads in this process.
        on_scan: told the number of each scan and its facts as it is done, in any order.

    Returns:
        Facts in the order of the jobs.
    """
    found: dict[int, ScanFacts] = {}

    def done(number: int, facts: ScanFacts) -> None:
        found[number] = facts
        if on_scan is not None:
            on_scan(number, facts)

    waiting = deque(range(len(jobs)))
    workers = max(1, min(workers, len(jobs)))
    while waiting and workers == 1:
        number = waiting.popleft()
        done(number, read_facts(jobs[number]))
    while waiting:
        # one dead process breaks the pool: its scan is among those that were handed out, each is tried on its own
        for number in _read_in_pool(jobs, waiting, workers, done):
            alone: deque[int] = deque([number])
            for killed in _read_in_pool(jobs, alone, 1, done):
                done(killed, ScanFacts(error=KILLED))
    return [found[number] for number in range(len(jobs))]


def _read_in_pool(
    jobs: Sequence[ScanJob], waiting: deque[int], workers: int, done: Callable[[int, ScanFacts], None]
) -> list[int]:
    """Reads what is waiting until nothing is, or a process died; those that were handed out then and are not done."""
    # a forked process would share the locks of whatever threads this one runs
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)
    running: dict[Future[ScanFacts], int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < QUEUED_PER_WORKER * workers:
                running[pool.submit(read_facts, jobs[waiting[0]])] = waiting[0]
                waiting.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                done(running[future], future.result())
                del running[future]
    except BrokenProcessPool:
        return sorted(running.values())
    finally:
        # after Ctrl-C only the scans that are being read are waited for
        pool.shutdown(cancel_futures=True)
    return []


def _end_with_parent() -> None:
    """Lets a worker end with the process that started it, however that ends."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
