"""The frames of a scan as a file or an array holds them, read a run at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from monai.utils import convert_to_numpy

from monai_tff.errors import ScanError
from monai_tff.transforms.statistics import runs_of_frames

Taker = Callable[[slice], np.ndarray]
"""From a slice of frames to stored values [frames, columns], in the machine's byte order."""


class Rows(Protocol):
    """Stored frames as rows of X * Y * Z columns, wherever they are."""

    dtype: np.dtype

    def taker(self, columns: np.ndarray | None) -> Taker:
        """A function that reads some columns (int64), or all of them, of a run of frames."""

    def nonzero(self, background: float | None) -> np.ndarray:
        """Columns that are not `background` in every frame, bool [X * Y * Z]."""


class ArrayRows:
    """Rows of an array [T, X * Y * Z], memory-mapped or not.

    Attributes:
        values: the array.
        dtype: of the stored values, in the machine's byte order.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.dtype = values.dtype.newbyteorder("=")

    def taker(self, columns: np.ndarray | None) -> Taker:
        """See `Rows`."""

        def take(run: slice) -> np.ndarray:
            taken = self.values[run] if columns is None else np.take(self.values[run], columns, axis=1)
            return taken.astype(self.dtype, copy=False)

        return take

    def nonzero(self, background: float | None) -> np.ndarray:
        """See `Rows`."""
        found = np.zeros(self.values.shape[1], dtype=bool)
        for run in runs_of_frames(len(self.values), len(found)):
            found |= signal_columns(self.values[run], background)
        return found


class StoredFrames:
    """Frames whose stored values may still have to be scaled: `value = stored * slope + intercept`.

    Nothing is converted or copied before it is read, whatever the order of the axes in memory.

    Args:
        values: [T, H, W, D] array (also memory-mapped, big-endian or a view) or tensor.
        slope: factor that is still to be applied.
        intercept: offset that is still to be applied, after the factor.
        first_frame: number of the first of these frames in the file, for messages.
    """

    def __init__(self, values: Any, slope: float = 1.0, intercept: float = 0.0, first_frame: int = 0) -> None:
        array = values if isinstance(values, np.ndarray) else convert_to_numpy(values)
        if array.ndim != 4 or 0 in array.shape:
            raise ScanError(f"frames have the shape {array.shape}, expected [T, H, W, D] with at least one element.")
        # NIfTI files have the first axis fastest: their frames are rows of the transposed array
        fortran = abs(array.strides[1]) < abs(array.strides[3])
        ordered = array.transpose(0, 3, 2, 1) if fortran else array
        self._set(ArrayRows(ordered.reshape(len(array), -1)), array.shape, fortran, slope, intercept, first_frame)

    @classmethod
    def from_rows(
        cls,
        rows: Rows,
        shape: tuple[int, int, int, int],
        slope: float = 1.0,
        intercept: float = 0.0,
        first_frame: int = 0,
    ) -> StoredFrames:
        """Frames [T, H, W, D] from rows in the order of a NIfTI file, the first axis fastest."""
        frames = cls.__new__(cls)
        frames._set(rows, shape, True, slope, intercept, first_frame)
        return frames

    def _set(
        self,
        rows: Rows,
        shape: tuple[int, int, int, int],
        fortran: bool,
        slope: float,
        intercept: float,
        first_frame: int,
    ) -> None:
        self.rows = rows
        self.shape = shape
        self.stores_integers = rows.dtype.kind in "iu"
        self.slope = slope
        self.intercept = intercept
        self.first_frame = first_frame
        self._fortran = fortran

    def __len__(self) -> int:
        """Frames."""
        return self.shape[0]

    @property
    def background(self) -> float | None:
        """The stored value that means 0, None where there is none."""
        return stored_zero(self.slope, self.intercept, self.stores_integers)

    def stored_reader(self, voxels: torch.Tensor | None = None) -> Taker:
        """A function that reads some voxels of a run of frames as they are stored, [frames, V].

        Args:
            voxels: int64 [V], positions in the flattened [H, W, D] grid; None for all voxels in memory order.
        """
        return self.rows.taker(None if voxels is None else self._in_memory(voxels.numpy()))

    def reader(self, voxels: torch.Tensor | None = None) -> Callable[[slice], torch.Tensor]:
        """A function that reads some voxels of a run of frames.

        Args:
            voxels: int64 [V], positions in the flattened [H, W, D] grid; None for all voxels in memory order.

        Returns:
            From a slice of frames to float64 [frames, V], scaled.
        """
        take = self.stored_reader(voxels)

        def read(run: slice) -> torch.Tensor:
            values = take(run).astype(np.float64)
            if self.slope != 1:
                values *= self.slope
            if self.intercept != 0:
                values += self.intercept
            return torch.from_numpy(values)

        return read

    def runs(self, num_voxels: int) -> Iterator[slice]:
        """Slices of frames that are small enough to be read at once."""
        return runs_of_frames(len(self), num_voxels)

    def nonzero(self) -> torch.Tensor:
        """Voxels that are not 0 in every frame, bool [H, W, D]."""
        return self._as_grid(torch.from_numpy(self.rows.nonzero(self.background)))

    def mean(self) -> torch.Tensor:
        """The mean frame, float64 [H, W, D]."""
        read = self.reader()
        size = int(np.prod(self.shape[1:]))
        total = torch.zeros(size, dtype=torch.float64)
        for run in self.runs(size):
            total += read(run).sum(dim=0)
        return self._as_grid(total / len(self))

    def _in_memory(self, voxels: np.ndarray) -> np.ndarray:
        """Columns of the stored rows that hold these voxels."""
        return columns_in_file(voxels, self.shape[1:]) if self._fortran else voxels

    def _as_grid(self, row: torch.Tensor) -> torch.Tensor:
        if not self._fortran:
            return row.reshape(self.shape[1:])
        return row.reshape(self.shape[:0:-1]).permute(2, 1, 0).contiguous()


def columns_in_file(voxels: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    """Where a frame of a NIfTI file holds voxels that are numbered with the last axis fastest, int64 [V]."""
    return np.ravel_multi_index(np.unravel_index(voxels, grid), grid, order="F")


def stored_zero(slope: float, intercept: float, integers: bool) -> float | None:
    """The stored value that means exactly 0, None where none does.

    Args:
        slope: factor from stored to real values.
        intercept: offset from stored to real values.
        integers: whether only integers are stored.
    """
    if intercept == 0:
        return 0.0
    zero = -intercept / slope
    zero = float(np.rint(zero)) if integers else zero
    return zero if zero * slope + intercept == 0 else None


def signal_columns(run: np.ndarray, background: float | None) -> np.ndarray:
    """Columns of some frames that are not `background` in all of them, bool [columns]."""
    if background is None:
        return np.ones(run.shape[1], dtype=bool)
    return np.any(run if background == 0 else run != background, axis=0)
