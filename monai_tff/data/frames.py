"""The frames of a scan as a file or an array holds them, read a run at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from monai.utils import convert_to_numpy

from monai_tff.errors import ScanError
from monai_tff.transforms.statistics import runs_of_frames


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
        self.shape: tuple[int, int, int, int] = array.shape
        self.stores_integers = array.dtype.kind in "iu"
        self.slope = slope
        self.intercept = intercept
        self.first_frame = first_frame
        # NIfTI files have the first axis fastest: their frames are rows of the transposed array
        self._fortran = abs(array.strides[1]) < abs(array.strides[3])
        ordered = array.transpose(0, 3, 2, 1) if self._fortran else array
        self._rows = ordered.reshape(len(array), -1)

    def __len__(self) -> int:
        """Frames."""
        return self.shape[0]

    def reader(self, voxels: torch.Tensor | None = None) -> Callable[[slice], torch.Tensor]:
        """A function that reads some voxels of a run of frames.

        Args:
            voxels: int64 [V], positions in the flattened [H, W, D] grid; None for all voxels in memory order.

        Returns:
            From a slice of frames to float64 [frames, V], scaled.
        """
        columns = None if voxels is None else self._in_memory(voxels.numpy())

        def read(run: slice) -> torch.Tensor:
            stored = self._rows[run] if columns is None else np.take(self._rows[run], columns, axis=1)
            values = stored.astype(np.float64)
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
        read = self.reader()
        found = np.zeros(self._rows.shape[1], dtype=bool)
        for run in self.runs(len(found)):
            # without an intercept a value is 0 where the stored one is; nothing needs converting
            found |= (self._rows[run] if self.intercept == 0 else read(run).numpy()).any(axis=0)
        return self._as_grid(torch.from_numpy(found))

    def mean(self) -> torch.Tensor:
        """The mean frame, float64 [H, W, D]."""
        read = self.reader()
        size = self._rows.shape[1]
        total = torch.zeros(size, dtype=torch.float64)
        for run in self.runs(size):
            total += read(run).sum(dim=0)
        return self._as_grid(total / len(self))

    def _in_memory(self, voxels: np.ndarray) -> np.ndarray:
        """Columns of the stored rows that hold these voxels."""
        if not self._fortran:
            return voxels
        grid = self.shape[1:]
        return np.ravel_multi_index(np.unravel_index(voxels, grid), grid, order="F")

    def _as_grid(self, row: torch.Tensor) -> torch.Tensor:
        if not self._fortran:
            return row.reshape(self.shape[1:])
        return row.reshape(self.shape[:0:-1]).permute(2, 1, 0).contiguous()
