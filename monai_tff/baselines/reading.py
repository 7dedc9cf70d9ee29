"""Scans read one at a time, with the rate and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence

from monai_tff.bundle.finished_run import FinishedRun
from monai_tff.data.loading import load_scan
from monai_tff.data.records import Record
from monai_tff.data.scan import CompactScan
from monai_tff.handlers.progress import clock

BETWEEN_LINES = 5.0
"""Seconds."""


def read_scans(run: FinishedRun, records: Sequence[Record], purpose: str) -> Iterator[tuple[Record, CompactScan]]:
    """Reads scans as the run did, packed ones too; only one is in memory at a time.

    Args:
        run: says how scans are read.
        records: of `load_records`.
        purpose: shown with the progress.

    Yields:
        A record and its scan.

    Raises:
        ScanError: for a scan that cannot be used.
        ContractError: for a scan that does not match the contract.
    """
    with _Progress(purpose, len(records)) as progress:
        for record in records:
            scan, _ = load_scan(
                record["image"],
                run.contract,
                mask_file=record["mask"],
                repetition_time=record["tr"],
                confounds=record["confounds"],
                scan=record["scan"],
                memory_map=run.memory_map,
                **run.packing,
            )
            yield record, scan
            progress.advance()


class _Progress:
    """A bar in a terminal; elsewhere a line per tenth at most, and not more often than every few seconds."""

    def __init__(self, purpose: str, total: int) -> None:
        self.purpose, self.total = purpose, total
        self.done, self.begin = 0, time.monotonic()
        self.told, self.told_at = 0, self.begin

    def __enter__(self) -> _Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("scans"))
        rate = TextColumn("{task.fields[rate]}")
        console = Console(stderr=True)
        self.in_terminal = console.is_terminal
        self.bar = Progress(
            *columns, rate, TimeRemainingColumn(), console=console, transient=True, disable=not self.in_terminal
        )
        self.task = self.bar.add_task(self.purpose, total=self.total, rate="")
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def advance(self) -> None:
        self.done += 1
        now = time.monotonic()
        elapsed = max(now - self.begin, 1e-9)
        rate = f"{60 * self.done / elapsed:.3g} per minute"
        self.bar.update(self.task, advance=1, rate=rate)
        tenth = self.done * 10 // self.total > self.told * 10 // self.total
        if not self.in_terminal and tenth and now - self.told_at >= BETWEEN_LINES:
            self.told, self.told_at = self.done, now
            left = clock(elapsed / self.done * (self.total - self.done))
            line = f"{self.purpose}: {self.done}/{self.total} scans, {rate}, {left} left"
            print(line, file=sys.stderr, flush=True)
