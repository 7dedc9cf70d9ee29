"""Windows of cached compact scans: the training set, and the samplers that decide which windows an epoch sees."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from monai.data import CacheDataset
from torch.utils.data import Sampler

from monai_tff.data.frame_codes import FrameCodes
from monai_tff.transforms.temporal import published_window_count, window_starts


class WindowIndex(NamedTuple):
    """One window of the cohort.

    Attributes:
        scan: index of the scan in the dataset.
        start: first frame of the window.
        seed: seed of whatever else is drawn for this window (augmentation).
        filler: whether the window only stands in for an empty share of a batch, see `monai_tff.data.process_share`.
    """

    scan: int
    start: int
    seed: int
    filler: bool = False


def scan_name(record: Mapping[str, Any]) -> str:
    """What a record's scan is called: its path in the datalist, or its file."""
    return str(record.get("scan", record["image"]))


class WindowDataset(CacheDataset):
    """MONAI's CacheDataset of compact scans, indexed by window.

    The deterministic `transform` ends in a compact scan under `image`; it is computed once and never copied, and an
    item is a view of `window_length` frames of it. Which windows there are is the sampler's business, so an item
    depends on its index alone, whatever worker process reads it.

    Args:
        data: records, see `monai_tff.data.datalist.load_records`.
        transform: deterministic chain that ends in `LoadScand`.
        window_length: frames in a window.
        cache_rate: share of the scans that stays in memory.
        num_workers: threads that fill the cache.
        progress: show a progress bar while the cache fills.
        codes: codes of the frames, which an item then has too; None without.
        with_images: whether an item has the frames themselves; a training that needs the codes alone moves less.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable,
        window_length: int,
        cache_rate: float = 1.0,
        num_workers: int | None = 1,
        progress: bool = True,
        codes: FrameCodes | None = None,
        with_images: bool = True,
    ) -> None:
        super().__init__(
            data=data,
            transform=transform,
            cache_rate=cache_rate,
            num_workers=num_workers,
            progress=progress,
            copy_cache=False,
        )
        self.window_length = window_length
        self.codes = codes
        self.with_images = with_images

    def scan(self, index: int) -> dict[str, Any]:
        """The whole record of one scan, its compact scan under `image`."""
        return self._transform(index)

    def __getitem__(  # type: ignore[override]  # a window is asked for, not a scan
        self, index: WindowIndex | tuple[int, int, int]
    ) -> dict[str, Any]:
        """Cuts one window.

        Returns:
            The record with the window under `image`, its first frame under `window`, its seed under `seed`, under
            `filler` whether it is none of the batch, and with `codes` those of its frames, float32
            [window_length, hidden].
        """
        window = WindowIndex(*index)
        record = dict(self.scan(window.scan))
        scan = record.pop("image")
        if self.with_images:
            record["image"] = scan.window(window.start, self.window_length)
        if self.codes is not None:
            name = scan_name(self.data[window.scan])
            record["codes"] = self.codes.window(name, window.start, self.window_length)
        record["window"] = window.start
        record["seed"] = window.seed
        record["filler"] = window.filler
        return record


class RandomWindowSampler(Sampler):
    """Draws the windows of one training epoch from (seed, epoch, scan, draw).

    The starts are uniform over every possible position, the last one included, and a batch mixes scans. The number
    of windows of an epoch is what the paper's loader gives: `len(range(0, N - L, L))` per scan of N frames.

    Args:
        dataset: the windows' dataset.
        seed: seed of all draws.
        windows_per_scan: windows per scan and epoch; None for the paper's number.
        balance_subjects: give every subject the same share of the epoch, whatever number of scans it has. The
            paper's recipe draws per scan (False).
    """

    def __init__(
        self,
        dataset: WindowDataset,
        seed: int = 0,
        windows_per_scan: int | None = None,
        balance_subjects: bool = True,
    ) -> None:
        self.dataset = dataset
        self.seed = seed
        self.epoch = 0
        self._frames = [dataset.scan(i)["image"].num_frames for i in range(len(dataset))]
        self._names = [scan_name(dataset.data[i]) for i in range(len(dataset))]
        per_scan = [windows_per_scan or published_window_count(n, dataset.window_length) for n in self._frames]
        self._scans = [i for i, count in enumerate(per_scan) for _ in range(count)]
        self._subjects: dict[str, list[int]] | None = None
        if balance_subjects:
            self._subjects = defaultdict(list)
            for i in range(len(dataset)):
                self._subjects[str(dataset.data[i]["subject"])].append(i)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose windows the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Windows in an epoch."""
        return len(self._scans)

    def _balanced_scans(self, generator: np.random.Generator) -> list[int]:
        """As many scans as an epoch has windows; subjects differ by at most one, their scans take turns."""
        assert self._subjects is not None
        subjects = [self._subjects[name] for name in sorted(self._subjects)]
        order = generator.permutation(len(subjects))
        offsets = [int(generator.integers(len(scans))) for scans in subjects]
        chosen = []
        for turn in range(len(self._scans)):
            subject = int(order[turn % len(subjects)])
            scans = subjects[subject]
            chosen.append(scans[(offsets[subject] + turn // len(subjects)) % len(scans)])
        return chosen

    def __iter__(self) -> Iterator[WindowIndex]:
        """Yields the epoch's windows in their shuffled order."""
        generator = np.random.default_rng([self.seed, self.epoch])
        scans = self._scans if self._subjects is None else self._balanced_scans(generator)
        draws: dict[int, int] = defaultdict(int)
        windows = []
        for scan in scans:
            key = [self.seed, self.epoch, zlib.crc32(self._names[scan].encode()), draws[scan]]
            draws[scan] += 1
            drawn = np.random.default_rng(key)
            start = int(drawn.integers(0, self._frames[scan] - self.dataset.window_length + 1))
            windows.append(WindowIndex(scan, start, int(drawn.integers(2**31))))
        for position in generator.permutation(len(windows)):
            yield windows[int(position)]


class EveryWindowSampler(Sampler):
    """All windows of all scans in a fixed order: the validation of the reconstruction phases.

    Args:
        dataset: the windows' dataset.
        max_windows_per_scan: at most this many evenly spaced windows of a scan; None for all.
    """

    def __init__(self, dataset: WindowDataset, max_windows_per_scan: int | None = None) -> None:
        self.windows: list[WindowIndex] = []
        for scan in range(len(dataset)):
            starts = window_starts(dataset.scan(scan)["image"].num_frames, dataset.window_length)
            if max_windows_per_scan is not None and len(starts) > max_windows_per_scan:
                chosen = np.linspace(0, len(starts) - 1, max_windows_per_scan).round().astype(int)
                starts = [starts[i] for i in chosen]
            self.windows += [WindowIndex(scan, start, 0) for start in starts]

    def __len__(self) -> int:
        """Windows in all scans together."""
        return len(self.windows)

    def __iter__(self) -> Iterator[WindowIndex]:
        """Yields the windows, scan by scan."""
        return iter(self.windows)


def collate_records(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Turns a list of records into a dictionary of lists: masks differ in size, so scans cannot be stacked.

    Args:
        records: records of one batch, with the same keys.

    Returns:
        One list per key, in the order of the records; a key that some records lack holds None there.
    """
    keys = dict.fromkeys(key for record in records for key in record)
    return {key: [record.get(key) for record in records] for key in keys}
