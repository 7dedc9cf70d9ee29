from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from monai.transforms import Compose, MapTransform

from monai_tff.data import CompactScan
from monai_tff.data.windows import EveryWindowSampler, RandomWindowSampler, WindowDataset, collate_records

LENGTHS = {"a": 11, "b": 7, "c": 23, "d": 5}


class Packed(MapTransform):
    """Stands for the loading: a scan of the length that the record names."""

    def __call__(self, data):
        generator = torch.Generator().manual_seed(data["frames"])
        frames = torch.randint(1, 900, (data["frames"], 3, 4, 2), generator=generator)
        return {**data, "image": CompactScan.from_frames(frames, torch.ones(3, 4, 2, dtype=torch.bool))}


@pytest.fixture
def dataset() -> WindowDataset:
    records = [
        {"image": name, "scan": name, "subject": "01" if name in "ab" else name, "frames": frames}
        for name, frames in LENGTHS.items()
    ]
    return WindowDataset(records, Compose([Packed("image")]), window_length=5, progress=False)


def test_a_window_is_a_view_of_the_cached_scan(dataset):
    window = dataset[(2, 18, 9)]["image"]
    whole = dataset.scan(2)["image"]
    assert window.num_frames == 5
    assert window.values.data_ptr() == whole.values[18:].data_ptr()
    assert torch.equal(window.unpack(), whole.unpack()[..., 18:23])
    assert dataset[(2, 18, 9)]["window"] == 18
    assert dataset[(2, 18, 9)]["seed"] == 9


def test_the_number_of_windows_is_that_of_the_paper(dataset):
    # len(range(0, N - 5, 5)): 11 -> 2, 7 -> 1, 23 -> 4, 5 -> 0, at least 1
    sampler = RandomWindowSampler(dataset, balance_subjects=False)
    assert Counter(window.scan for window in sampler) == {0: 2, 1: 1, 2: 4, 3: 1}


def test_balanced_draws_give_every_subject_the_same_share(dataset):
    sampler = RandomWindowSampler(dataset, windows_per_scan=6, balance_subjects=True)
    drawn = Counter(window.scan for window in sampler)
    assert drawn[0] + drawn[1] == drawn[2] == drawn[3] == 8
    assert abs(drawn[0] - drawn[1]) <= 1


def test_every_start_is_drawn_and_none_beyond_the_last(dataset):
    sampler = RandomWindowSampler(dataset, windows_per_scan=200, balance_subjects=False)
    starts = {scan: {w.start for w in sampler if w.scan == scan} for scan in range(4)}
    assert starts == {0: set(range(7)), 1: set(range(3)), 2: set(range(19)), 3: {0}}


def test_draws_depend_on_seed_epoch_scan_and_draw_alone(dataset):
    first, again = (RandomWindowSampler(dataset, seed=4, windows_per_scan=3) for _ in range(2))
    assert list(first) == list(again)
    first.set_epoch(1)
    assert sorted(first) != sorted(again)
    other = RandomWindowSampler(dataset, seed=5, windows_per_scan=3)
    assert sorted(other) != sorted(again)


def test_a_scan_keeps_its_draws_when_others_join(dataset):
    fewer = WindowDataset(dataset.data[:2], dataset.transform, window_length=5, progress=False)
    few = RandomWindowSampler(fewer, windows_per_scan=4, balance_subjects=False)
    many = RandomWindowSampler(dataset, windows_per_scan=4, balance_subjects=False)
    assert sorted(few) == sorted(window for window in many if window.scan < 2)


def test_a_batch_mixes_scans(dataset):
    order = [window.scan for window in RandomWindowSampler(dataset, windows_per_scan=10, balance_subjects=False)]
    assert order != sorted(order)


def test_every_window_sampler_covers_each_scan(dataset):
    windows = list(EveryWindowSampler(dataset))
    assert [w.start for w in windows if w.scan == 0] == [0, 5, 6]
    assert [w.start for w in windows if w.scan == 3] == [0]
    assert len(EveryWindowSampler(dataset)) == len(windows)


def test_every_window_sampler_takes_evenly_spaced_windows(dataset):
    windows = list(EveryWindowSampler(dataset, max_windows_per_scan=2))
    assert [w.start for w in windows if w.scan == 2] == [0, 18]


def test_collate_records_keeps_scans_apart():
    batch = collate_records([{"image": 1, "label": 0.0}, {"image": 2, "label": 1.0, "mask": "m"}])
    assert batch == {"image": [1, 2], "label": [0.0, 1.0], "mask": [None, "m"]}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_worker_processes_change_nothing(dataset, num_workers):
    loader = torch.utils.data.DataLoader(
        dataset,
        sampler=RandomWindowSampler(dataset, seed=1),
        batch_size=3,
        num_workers=num_workers,
        collate_fn=collate_records,
    )
    seen = [
        (start, image.values.double().sum().item())
        for b in loader
        for start, image in zip(b["window"], b["image"], strict=True)
    ]
    expected = [
        (w.start, dataset.scan(w.scan)["image"].window(w.start, 5).values.double().sum().item())
        for w in RandomWindowSampler(dataset, seed=1)
    ]
    np.testing.assert_array_equal(seen, expected)


class Codes:
    """Stands for the files: the code of frame t of a scan is [length of its name, t]."""

    def window(self, name, start, length):
        return torch.stack([torch.full((length,), float(LENGTHS[name])), torch.arange(start, start + length)], dim=1)


@pytest.mark.parametrize("with_images", [True, False])
def test_windows_of_codes_beside_those_of_the_scan(dataset, with_images):
    coded = WindowDataset(dataset.data, dataset.transform, 5, progress=False, codes=Codes(), with_images=with_images)
    item = coded[(2, 6, 9)]
    assert item["codes"].tolist() == [[23, 6], [23, 7], [23, 8], [23, 9], [23, 10]]
    assert (item["scan"], item["window"], item["filler"]) == ("c", 6, False)
    assert ("image" in item) == with_images
    if with_images:
        assert torch.equal(item["image"].values, dataset[(2, 6, 9)]["image"].values)
    assert "codes" not in dataset[(2, 6, 9)]
    # the samplers look at whole scans
    assert list(RandomWindowSampler(coded)) == list(RandomWindowSampler(dataset))
