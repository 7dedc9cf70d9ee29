"""How the values of a scan are packed, and what turns them back."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from monai_tff.data.integers import IntegerSource
from monai_tff.transforms.statistics import GlobalStatistics, VoxelStatistics

ENCODINGS = ("integers", "codes", "codes8", "float32")


@dataclasses.dataclass(frozen=True, eq=False)
class PackedNumbers:
    """How the values of a scan are packed and what turns them back; see the fields of `CompactScan`.

    Attributes:
        encoding: one of `ENCODINGS`.
        dtype: of the packed values.
        slope, intercept, offset, zero_code: as in `CompactScan`.
        of_scan: statistics of the global normalisation.
        exact_mean: float64 [V].
        exact_std: float64 [V].
        source: finds the integers behind stored values, where these are packed.
    """

    encoding: str
    dtype: torch.dtype
    slope: float
    intercept: float
    offset: int
    zero_code: int | None
    of_scan: GlobalStatistics
    exact_mean: torch.Tensor
    exact_std: torch.Tensor
    source: IntegerSource | None = None

    @property
    def of_voxels(self) -> VoxelStatistics:
        """Statistics of the voxel normalisation."""
        rounded = self.exact_mean.float()
        return VoxelStatistics(rounded, (self.exact_mean - rounded).float(), self.exact_std.float())

    def fields(self) -> dict[str, Any]:
        """The same under the names that a compact scan has for it."""
        of_voxels = self.of_voxels
        return {
            "encoding": self.encoding,
            "slope": self.slope,
            "intercept": self.intercept,
            "offset": self.offset,
            "zero_code": self.zero_code,
            "global_mean": self.of_scan.mean,
            "global_std": self.of_scan.std,
            "global_fill": self.of_scan.fill,
            "voxel_mean": of_voxels.mean,
            "voxel_mean_rest": of_voxels.rest,
            "voxel_std": of_voxels.std,
        }


@dataclasses.dataclass(frozen=True, eq=False)
class PackedValues(PackedNumbers):
    """The same with the values [T, V]."""

    values: torch.Tensor = dataclasses.field(default_factory=lambda: torch.empty(0))

    def fields(self) -> dict[str, Any]:
        """The same under the names that a compact scan has for it."""
        return {"values": self.values, **super().fields()}
