"""Packing the scans of a datalist on one machine: worker processes that may die, and nothing done twice."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import torch

from monai_tff.contract import InputContract
from monai_tff.data.packed_leftovers import remove_leftovers
from monai_tff.data.prepare_scan import PreparedScan, Record, prepare_scan, scan_of
from monai_tff.errors import user_error_in

__all__ = ["PreparedScan", "prepare_scan", "prepare_scans"]

MOST_LOSSES = 2
"""Workers that a scan may lose before it counts as the reason."""

_Task = tuple[int, Record]


def prepare_scans(
    records: Sequence[Record],
    packed_dir: str | os.PathLike[str],
    contract: InputContract,
    *,
    encoding: str = "int16",
    workers: int = 1,
    reader: str | None = None,
    verify: bool = False,
    on_done: Callable[[PreparedScan], None] | None = None,
) -> list[PreparedScan]:
    """Packs scans in worker processes, of one thread each.

    When a worker is killed, the scans that were being packed are packed one by one in workers of their own, so that
    the one whose worker dies again is known; it is reported as failed and the rest goes on.

    Args:
        records: of `monai_tff.data.datalist.load_records`.
        packed_dir: folder of packed scans.
        contract: the input contract.
        encoding: `int16`, `int8` or `float32`.
        workers: processes; 0 packs in this process.
        reader: name of the MONAI reader.
        verify: compare files that are there with their checksums.
        on_done: called here after each scan.

    Returns:
        What became of each record, in their order.
    """
    remove_leftovers(Path(packed_dir))
    work = partial(
        prepare_scan, packed_dir=packed_dir, contract=contract, encoding=encoding, reader=reader, verify=verify
    )
    run = _Run(records, work, on_done)
    if workers == 0:
        run.without_workers()
    else:
        run.with_workers(workers)
    return [run.results[number] for number in range(len(records))]


class _Run:
    """The state of one call: what is waiting, and what became of the rest."""

    def __init__(
        self,
        records: Sequence[Record],
        work: Callable[[Record], PreparedScan],
        on_done: Callable[[PreparedScan], None] | None,
    ) -> None:
        self.results: dict[int, PreparedScan] = {}
        self._waiting: deque[_Task] = deque(enumerate(records))
        self._suspects: deque[_Task] = deque()
        self._losses: dict[int, int] = {}
        self._work = work
        self._on_done = on_done

    def done(self, number: int, result: PreparedScan) -> None:
        self.results[number] = result
        if self._on_done is not None:
            self._on_done(result)

    def without_workers(self) -> None:
        """Packs everything that waits in this process."""
        while self._waiting:
            number, record = self._waiting.popleft()
            try:
                result = self._work(record)
            except Exception as error:  # one scan that breaks a library must not end the others
                result = unforeseen(record, error)
            self.done(number, result)

    def with_workers(self, workers: int) -> None:
        """Packs everything that waits; a pool that broke is followed by a new one."""
        while self._waiting or self._suspects:
            alone = bool(self._suspects)
            queue = self._suspects if alone else self._waiting
            in_flight = self._drain(queue, 1 if alone else min(workers, len(queue)))
            for task in in_flight:
                self._lost(task)

    def _drain(self, queue: deque[_Task], workers: int) -> list[_Task]:
        """Packs a queue in one pool; returns the scans that were being packed when it broke."""
        pool = ProcessPoolExecutor(workers, mp_context=worker_context(), initializer=start_worker)
        broken = False
        running: dict[Future[PreparedScan], _Task] = {}
        try:
            while queue or running:
                # never more than there are workers: what is running then is what a dead worker may have had
                while queue and len(running) < workers:
                    with _interrupt_later():
                        running[pool.submit(self._work, queue[0][1])] = queue[0]
                    queue.popleft()
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    self._take(future, running)
        except BrokenProcessPool:
            broken = True
            return list(running.values())
        finally:
            # idle workers end at once, and after Ctrl-C the others finish their scan; a broken pool has none
            pool.shutdown(wait=not broken, cancel_futures=True)
        return []

    def _take(self, future: Future[PreparedScan], running: dict[Future[PreparedScan], _Task]) -> None:
        number, record = running[future]
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            raise error
        del running[future]
        self.done(number, future.result() if error is None else unforeseen(record, error))

    def _lost(self, task: _Task) -> None:
        number, record = task
        self._losses[number] = self._losses.get(number, 0) + 1
        if self._losses[number] < MOST_LOSSES:
            self._suspects.append(task)
        else:
            self.done(number, lost_twice(record))


def unforeseen(record: Record, error: BaseException) -> PreparedScan:
    """The result for a scan that raised: the user's sentence where there is one, else the error's own words."""
    found = user_error_in(error)
    words = str(found) if found is not None else f"{record['image']}: {type(error).__name__}: {error}"
    return PreparedScan(scan_of(record), "failed", " ".join(words.split()), 0, 0.0)


def lost_twice(record: Record) -> PreparedScan:
    """The result for a scan whose worker died twice."""
    sentence = (
        f"{record['image']}: the process that packed it was killed {MOST_LOSSES} times, expected it to end by itself; "
        "memory may not be enough, use fewer workers and start again."
    )
    return PreparedScan(scan_of(record), "failed", sentence, 0, 0.0)


@contextmanager
def _interrupt_later() -> Iterator[None]:
    """Holds Ctrl-C back while workers start: one that is half started could not be waited for."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        raise KeyboardInterrupt


def worker_context() -> BaseContext:
    """How worker processes start: from a server that has imported everything once, where there are such."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["monai_tff.data.prepare_scan"])
    # Ctrl-C goes to all processes: the server must not say with a traceback what it was importing
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            forkserver.ensure_running()
        finally:
            signal.signal(signal.SIGINT, before)
    return context


def start_worker() -> None:
    """Sets a worker to one thread, and lets it end with the process that started it, however that ends."""
    torch.set_num_threads(1)
    # Ctrl-C goes to all processes: a worker finishes its scan, and the command that started it says what happened
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
