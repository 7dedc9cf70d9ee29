"""The content hash of a scan: two files with the same voxels have the same one, whatever they are called.

SHA-256 of the decompressed voxel bytes as they are stored, from the first frame to the last. The header is left out, so
that a copy with another description, compression or ID is still found to be the same data.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Literal

import numpy as np

from monai_tff.data.content_cache import ContentCache, FileState, file_state, user_cache
from monai_tff.data.header import ScanHeader, read_header
from monai_tff.data.stream import stored_runs
from monai_tff.errors import UserError

MAX_WORKERS = 16
"""Threads by default, at most: one each for the processor's cores, with 8 MiB for the voxels each is reading."""


class VoxelHash:
    """Content hash of a scan whose voxels come in runs, for a caller that reads them anyway.

    Example:
        >>> whole = VoxelHash()
        >>> whole.update(np.arange(6, dtype="<i2").reshape(2, 3))
        >>> parts = VoxelHash()
        >>> parts.update(np.arange(3, dtype="<i2"))
        >>> parts.update(np.arange(3, 6, dtype="<i2"))
        >>> whole.hexdigest() == parts.hexdigest()
        True
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, run: np.ndarray) -> None:
        """Adds the next frames.

        Args:
            run: stored values as `stored_runs` yields them, [frames, X * Y * Z], in the file's dtype and byte order.
        """
        self._hash.update(np.ascontiguousarray(run).view(np.uint8).data)

    def hexdigest(self) -> str:
        """The hash of all frames so far, 64 hexadecimal digits."""
        return self._hash.hexdigest()


def content_hash(path: str | os.PathLike[str], header: ScanHeader | None = None) -> str:
    """Content hash of one scan; its voxels are read and decompressed once, 8 MiB at a time.

    Args:
        path: `.nii` or `.nii.gz` file.
        header: its header where the caller has read it already.

    Returns:
        64 hexadecimal digits.

    Raises:
        ScanError: when the file cannot be read to its end.
    """
    voxels = VoxelHash()
    for run in stored_runs(path, header or read_header(path)):
        voxels.update(run)
    return voxels.hexdigest()


def content_hashes(
    paths: Sequence[str | os.PathLike[str]],
    *,
    workers: int | None = None,
    progress: bool = False,
    cache: str | os.PathLike[str] | Literal["user"] | None = "user",
) -> list[str | UserError]:
    """Content hashes of many scans, in threads: decompressing and hashing run beside each other in them.

    A scan that did not change since it was last hashed is not read again, see `ContentCache`.

    Args:
        paths: of scans.
        workers: threads; as many as there are cores, 16 at most, if None.
        progress: whether to show a progress bar with rate and time left.
        cache: file that keeps the hashes; `user` for the one in the user's cache folder, None for none.

    Returns:
        For each path its hash, or the error that says why it cannot be read.

    Example:
        >>> first, second = content_hashes(["run-1_bold.nii.gz", "run-2_bold.nii.gz"])  # doctest: +SKIP
    """
    known = ContentCache(user_cache() if cache == "user" else cache)
    states = {os.path.realpath(path): file_state(path) for path in paths}
    found: dict[str, str | UserError] = dict(known.find(states))
    todo = {path: state for path, state in states.items() if path not in found}
    with known, _bar(todo, progress) as advance:
        for path, outcome in _hash_all(list(todo), workers or _cores()):
            found[path] = outcome
            state = todo[path]
            # a file that was written to meanwhile may have been read half old, half new
            if isinstance(outcome, str) and state is not None and file_state(path) == state:
                known.add(path, state, outcome)
            advance(path)
    return [_named(found[os.path.realpath(path)], path) for path in paths]


def _hash_all(paths: Sequence[str], workers: int) -> Iterator[tuple[str, str | UserError]]:
    """Yields paths with their hashes as they get ready."""
    pool = ThreadPoolExecutor(workers)
    try:
        futures: dict[Future[str], str] = {pool.submit(content_hash, path): path for path in paths}
        for future in as_completed(futures):
            error = future.exception()
            if error is not None and not isinstance(error, UserError):
                raise error
            yield futures[future], future.result() if error is None else error
    finally:
        # Ctrl-C waits for the scans that are being read, not for those that are not begun
        pool.shutdown(cancel_futures=True)


def _cores() -> int:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MAX_WORKERS, usable)


def _named(outcome: str | UserError, path: str | os.PathLike[str]) -> str | UserError:
    """The outcome, its error with the path as the caller wrote it."""
    if isinstance(outcome, str):
        return outcome
    return type(outcome)(str(outcome).replace(os.path.realpath(path), str(path), 1))


@contextmanager
def _bar(todo: dict[str, FileState | None], shown: bool) -> Iterator[Callable[[str], None]]:
    """A progress bar over the bytes of the files, which foretell the time better than their number does."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    done = TextColumn("{task.fields[scans]} of " + f"{len(todo)} scans")
    columns = (TextColumn("{task.description}"), BarColumn(), done, TransferSpeedColumn(), TimeRemainingColumn())
    hidden = not shown or not todo
    console = Console(stderr=True)
    sizes = {path: 0 if state is None else state.size for path, state in todo.items()}
    with Progress(*columns, console=console, transient=True, disable=hidden, speed_estimate_period=300) as bar:
        task = bar.add_task("Hashing scans", total=sum(sizes.values()), scans=0)

        def advance(path: str) -> None:
            bar.update(task, advance=sizes[path], scans=bar.tasks[0].fields["scans"] + 1)

        yield advance
