"""Seeds of an epoch, and the order in which ignite asks for them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.transforms import RandGaussianNoise
from torch.utils.data import Sampler

from monai_tff.handlers.seeds import EpochSeeds, epoch_seeds

whole = st.integers(0, 2**40)


class RecordingSampler(Sampler):
    """Notes when it is told the epoch and when it is asked for its order."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.epoch = 0
        self.calls: list[tuple[str, int]] = []

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.calls.append(("set_epoch", epoch))

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        self.calls.append(("iter", self.epoch))
        return iter((np.arange(self.size) + self.epoch) % self.size)


def _engine(seen: list[tuple[int, Any]], draw: Callable[[], Any]) -> Engine:
    return Engine(lambda engine, batch: seen.append((engine.state.epoch, draw())))


@given(seed=whole, epoch=st.integers(1, 10**6), rank=st.integers(0, 4096))
def test_seeds_repeat_and_neighbours_differ(seed: int, epoch: int, rank: int) -> None:
    own = epoch_seeds(seed, epoch, rank)
    assert own == epoch_seeds(seed, epoch, rank)
    assert all(0 <= word < 2**32 for word in own)
    for other in ((seed + 1, epoch, rank), (seed, epoch + 1, rank), (seed, epoch, rank + 1)):
        assert own != epoch_seeds(*other)


def test_every_generator_depends_on_the_epoch_alone() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    whole_run: list[Any] = []
    engine = _engine(whole_run, draw)
    EpochSeeds(5).attach(engine)
    engine.run([0, 1], max_epochs=3)
    assert len({numbers for _, numbers in whole_run}) == 6

    late: list[Any] = []
    engine = _engine(late, draw)
    EpochSeeds(5).attach(engine)
    engine.load_state_dict({"epoch": 2, "max_epochs": 3, "epoch_length": 2})
    random.random(), torch.rand(7)
    engine.run([0, 1])
    assert late == whole_run[4:]


@pytest.mark.parametrize("first_epoch", [1, 3])
@pytest.mark.parametrize("num_workers", [0, 1])
def test_sampler_is_told_before_it_is_asked(first_epoch: int, num_workers: int) -> None:
    sampler = RecordingSampler(4)
    loader = DataLoader(list(range(4)), batch_size=2, sampler=sampler, num_workers=num_workers)
    batches: list[Any] = []
    engine = Engine(lambda engine, batch: batches.append((engine.state.epoch, batch.tolist())))
    EpochSeeds(0, sampler).attach(engine)
    engine.state.max_epochs, engine.state.epoch_length = 4, 2

    @engine.on(Events.STARTED)
    def _continue(engine: Engine) -> None:
        engine.state.epoch, engine.state.iteration = first_epoch - 1, 2 * (first_epoch - 1)

    engine.run(loader, max_epochs=4)
    expected = [call for epoch in range(first_epoch, 5) for call in (("set_epoch", epoch), ("iter", epoch))]
    assert sampler.calls == expected
    for epoch, batch in batches[::2]:
        assert batch == [epoch % 4, (epoch + 1) % 4]


def test_an_epoch_shorter_than_the_loader_starts_at_its_first_batch() -> None:
    sampler = RecordingSampler(6)
    seen: list[Any] = []
    engine = Engine(lambda engine, batch: seen.append(batch.tolist()))
    EpochSeeds(0, sampler).attach(engine)
    engine.run(DataLoader(list(range(6)), batch_size=2, sampler=sampler), max_epochs=2, epoch_length=2)
    assert seen == [[1, 2], [3, 4], [2, 3], [4, 5]]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_random_transforms_of_the_dataset_follow_the_epoch(num_workers: int) -> None:
    def run(first_epoch: int) -> list[Any]:
        dataset = Dataset([torch.zeros(3)] * 2, transform=RandGaussianNoise(prob=1.0))
        seen: list[Any] = []
        engine = Engine(lambda engine, batch: seen.append((engine.state.epoch, batch.tolist())))
        EpochSeeds(1).attach(engine)
        engine.state.max_epochs, engine.state.epoch_length = 3, 2
        engine.state.epoch, engine.state.iteration = first_epoch - 1, 2 * (first_epoch - 1)
        engine.run(DataLoader(dataset, batch_size=1, num_workers=num_workers), max_epochs=3)
        return seen

    straight = run(1)
    assert straight[0][1] != straight[2][1]
    assert run(3) == straight[4:]
