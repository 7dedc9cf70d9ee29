"""What each process takes: together everything and nothing twice, in steps of the same number."""

from __future__ import annotations

from collections.abc import Callable

import ignite.distributed as idist
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_tff.data import EvaluationBatches, EvaluationScans, TrainingBatches
from monai_tff.data.windows import WindowIndex
from monai_tff.errors import ConfigError

COUNTS = st.integers(0, 23)
PROCESSES = st.integers(1, 5)


def of_each_process(make: Callable[[], object], processes: int) -> list[list]:
    """What a sampler gives in each process; its length is checked."""
    shares = []
    for rank in range(processes):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(idist, "get_world_size", lambda: processes)
            patch.setattr(idist, "get_rank", lambda own=rank: own)
            sampler = make()
            shares.append(list(sampler))
            assert len(sampler) == len(shares[-1])
    return shares


def windows(count: int) -> list[WindowIndex]:
    return [WindowIndex(number // 3, 5 * (number % 3), number) for number in range(count)]


@given(COUNTS, st.integers(1, 9), PROCESSES)
def test_training_batches(count: int, batch_size: int, processes: int) -> None:
    batch_size = max(batch_size, processes)
    (alone,) = of_each_process(lambda: TrainingBatches(windows(count), batch_size), 1)
    shares = of_each_process(lambda: TrainingBatches(windows(count), batch_size), processes)
    assert {len(share) for share in shares} == {len(alone)}
    for batch, *parts in zip(alone, *shares, strict=True):
        sizes = [sum(not window.filler for window in part) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        assert all(parts)  # a process without a share has a filler to go on with
        assert sorted(window for part in parts for window in part if not window.filler) == sorted(batch)


@given(COUNTS, st.integers(1, 9), PROCESSES)
def test_evaluation_batches(count: int, batch_size: int, processes: int) -> None:
    (alone,) = of_each_process(lambda: EvaluationBatches(windows(count), batch_size), 1)
    shares = of_each_process(lambda: EvaluationBatches(windows(count), batch_size), processes)
    assert all(shares) or not count
    whole = [batch for share in shares for batch in share if not batch[0].filler]
    assert sorted(whole) == sorted(alone)
    assert all(len(batch) == 1 for share in shares for batch in share if batch[0].filler)


@given(COUNTS, PROCESSES)
def test_evaluation_scans(count: int, processes: int) -> None:
    shares = of_each_process(lambda: EvaluationScans(range(count)), processes)
    assert all(shares) or not count
    taken = [scan for share in shares for scan in share]
    assert set(taken) == set(range(count))
    if count >= processes:
        assert len(taken) == count


def test_fewer_windows_in_a_batch_than_processes() -> None:
    with pytest.raises(ConfigError, match=r"batch_size is 2, .* 3 processes, .* multiple of 3, or start fewer"):
        of_each_process(lambda: TrainingBatches(windows(9), 2), 3)
