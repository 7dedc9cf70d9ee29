"""One worker for all predictions, and a bounded number of requests that wait for it."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any


class QueueFullError(Exception):
    """There is no room for another request.

    Args:
        retry_after: seconds after which there may be.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"try again in {retry_after} s")
        self.retry_after = retry_after


class WorkQueue:
    """Runs jobs one after another on a thread of its own.

    One scan is in memory at a time, whatever number of requests waits; a request that waits holds a name, or a file.

    Args:
        capacity: requests that run or wait at once.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._slots = threading.BoundedSemaphore(capacity)
        self._seconds = 1.0
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._running = threading.Event()
        # a daemon: a prediction cannot be interrupted, and the server must end without it
        threading.Thread(target=self._work, name="predictions", daemon=True).start()

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Takes a place in the queue, without waiting, for as long as the block lasts.

        Raises:
            QueueFullError: if all places are taken.
        """
        if not self._slots.acquire(blocking=False):
            raise QueueFullError(max(1, math.ceil(self._seconds)))
        try:
            yield
        finally:
            self._slots.release()

    def submit(self, job: Callable[[], Any]) -> Future[Any]:
        """Hands over a job; call it within a `slot`.

        Returns:
            What becomes of it; one that has not begun can be cancelled.
        """
        future: Future[Any] = Future()
        self._jobs.put((future, job))
        return future

    @property
    def busy(self) -> bool:
        """Whether a job runs now."""
        return self._running.is_set()

    def _work(self) -> None:
        while True:
            future, job = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            self._running.set()
            began = time.monotonic()
            try:
                future.set_result(job())
            except BaseException as error:  # what went wrong belongs to the one who asked
                future.set_exception(error)
            self._seconds = time.monotonic() - began
            self._running.clear()
            del future, job
