"""Stored frames in a file of their own, from where they are read again without decompressing the scan twice.

Only columns with signal are kept. Which ones have signal is known at the end, so columns join as they are found: what a
column was before it joined is background. The file is read with ordinary reads; mapped pages would count as memory.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from monai_tff.data.frames import Taker, signal_columns
from monai_tff.errors import ScanError


class _Segment(NamedTuple):
    """Frames `start` to `stop`, `width` columns each, from byte `offset` on."""

    start: int
    stop: int
    width: int
    offset: int


class FileRows:
    """Rows of a file that holds frames one after the other; see `monai_tff.data.frames.Rows`.

    Attributes:
        dtype: of the stored values, in the machine's byte order.
    """

    def __init__(self, file: BinaryIO, dtype: np.dtype, size: int, num_frames: int, offset: int) -> None:
        self._file = file
        self._stored = dtype
        self._size = size
        self._segments = [_Segment(0, num_frames, size, offset)]
        self._position: np.ndarray | None = None
        self._background: float = 0.0
        self._found = np.zeros(size, dtype=bool)
        self.dtype = dtype.newbyteorder("=")

    def taker(self, columns: np.ndarray | None) -> Taker:
        """A function that reads some columns (int64), or all of them, of a run of frames."""
        wanted = np.arange(self._size) if columns is None else columns
        places = wanted if self._position is None else self._position[wanted]
        last, first = int(places.max(initial=-1)), int(places.min(initial=0))
        in_order = len(places) == last + 1 and bool((places == np.arange(len(places))).all())

        def take(run: slice) -> np.ndarray:
            parts = []
            wanted_start, wanted_stop, _ = run.indices(self._segments[-1].stop)
            for segment in self._segments:
                start, stop = max(wanted_start, segment.start), min(wanted_stop, segment.stop)
                if start >= stop:
                    continue
                values = self._read(segment, start, stop)
                if first >= 0 and last < segment.width:
                    parts.append(values if in_order and len(places) == segment.width else values.take(places, axis=1))
                else:
                    parts.append(self._with_background(values, places))
            return (parts[0] if len(parts) == 1 else np.concatenate(parts)).astype(self.dtype, copy=False)

        return take

    def nonzero(self, background: float | None) -> np.ndarray:
        """Columns that are not `background` in every frame, bool [size]; known since the frames came by."""
        del background
        return self._found

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> FileRows:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def note_signal(self, run: np.ndarray, background: float | None) -> None:
        """Notes which columns of some stored frames [frames, size] are not background."""
        self._found |= signal_columns(run, background)

    def _with_background(self, values: np.ndarray, places: np.ndarray) -> np.ndarray:
        held = (places >= 0) & (places < values.shape[1])
        out = np.full((len(values), len(places)), self._background, dtype=self._stored)
        out[:, held] = values[:, places[held]]
        return out

    def _read(self, segment: _Segment, start: int, stop: int) -> np.ndarray:
        values = np.empty((stop - start, segment.width), dtype=self._stored)
        row_bytes = segment.width * self._stored.itemsize
        self._file.seek(segment.offset + (start - segment.start) * row_bytes)
        rest = values.view(np.uint8).reshape(-1).data
        while rest:
            count = self._file.readinto(rest)  # type: ignore[attr-defined]
            if not count:
                raise ScanError(f"{self._file.name}: ends too early, expected {stop} frames; the file was changed.")
            rest = rest[count:]
        return values


class Spill(FileRows):
    """A temporary file of stored frames that is written run by run, then read.

    Args:
        path: of the file; it is removed by `close`.
        dtype: of the stored values, with their byte order.
        size: columns of a frame, X * Y * Z.
        columns: int64 [C], the columns to keep, in their order; None to keep all that turn out to have signal.
        background: stored value that means 0, None where there is none.

    Raises:
        OSError: where the file cannot be made; later also where the disk is full.
    """

    def __init__(
        self, path: Path, dtype: np.dtype, size: int, columns: np.ndarray | None, background: float | None
    ) -> None:
        self.path = path
        # unbuffered: every write and read is a whole run
        super().__init__(open(path, "xb+", buffering=0), dtype, size, 0, 0)  # noqa: SIM115
        self._segments = []
        self._fixed = columns is not None
        self._columns = np.empty(0, dtype=np.int64) if columns is None else columns
        self._places = np.full(size, -1, dtype=np.int64)
        self._places[self._columns] = np.arange(len(self._columns))
        self._position = self._places
        self._zero = background
        self._background = 0.0 if background is None else background
        self._end = 0

    def add(self, run: np.ndarray) -> None:
        """Writes the next frames [frames, size]."""
        if not self._fixed:
            self._let_join(run)
        kept = np.take(run, self._columns, axis=1)
        rest = memoryview(kept.view(np.uint8).reshape(-1).data)
        while rest:
            rest = rest[self._file.write(rest) :]
        start = self._segments[-1].stop if self._segments else 0
        self._segments.append(_Segment(start, start + len(run), len(self._columns), self._end))
        self._end += kept.nbytes

    def _let_join(self, run: np.ndarray) -> None:
        before = self._found.copy()
        self.note_signal(run, self._zero)
        joining = np.flatnonzero(self._found & ~before)
        self._places[joining] = np.arange(len(self._columns), len(self._columns) + len(joining))
        self._columns = np.concatenate([self._columns, joining])

    def close(self) -> None:
        """Closes and removes the file."""
        super().close()
        self.path.unlink(missing_ok=True)


def open_rows(path: str | os.PathLike[str], dtype: np.dtype, size: int, num_frames: int, offset: int) -> FileRows:
    """Rows of an uncompressed scan, read where they lie.

    Args:
        path: of the file.
        dtype: of the stored values, with their byte order.
        size: columns of a frame, X * Y * Z.
        num_frames: frames.
        offset: first byte of the first of these frames.
    """
    return FileRows(open(path, "rb", buffering=0), dtype, size, num_frames, offset)
