"""One job at a time, and no more callers than there are places."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from monai_tff.apps.monailabel.work_queue import QueueFullError, WorkQueue


def test_jobs_run_one_after_another_in_their_order() -> None:
    queue, running, most, order = WorkQueue(8), [], [], []

    def job(number: int) -> int:
        running.append(number)
        most.append(len(running))
        order.append(number)
        running.remove(number)
        return number**2

    futures = [queue.submit(lambda number=number: job(number)) for number in range(8)]
    assert [future.result(5) for future in futures] == [number**2 for number in range(8)]
    assert [order, max(most)] == [list(range(8)), 1]


@pytest.mark.parametrize("capacity", [1, 3])
def test_places_are_counted_and_given_back(capacity: int) -> None:
    queue = WorkQueue(capacity)
    for _ in range(2):
        with ExitStack() as stack:
            for _ in range(capacity):
                stack.enter_context(queue.slot())
            with pytest.raises(QueueFullError) as error, queue.slot():
                pass
            assert error.value.retry_after >= 1


def test_an_error_goes_to_the_one_who_asked_and_the_next_job_runs() -> None:
    queue = WorkQueue(2)
    failed, done = queue.submit(lambda: 1 // 0), queue.submit(lambda: 3)
    assert isinstance(failed.exception(5), ZeroDivisionError)
    assert done.result(5) == 3


def test_a_job_that_has_not_begun_can_be_dropped() -> None:
    queue, begun, go = WorkQueue(2), threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        go.wait(5)

    one, two = queue.submit(first), queue.submit(lambda: pytest.fail("was dropped"))
    assert begun.wait(5)
    assert [queue.busy, two.cancel(), one.cancel()] == [True, True, False]
    go.set()
    assert one.result(5) is None
    assert queue.submit(lambda: 1).result(5) == 1
