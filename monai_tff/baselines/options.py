"""What a person may choose of the baselines."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from monai_tff.bundle.baseline_folders import BASELINES
from monai_tff.errors import ConfigError

MOST_PARCELS = 50
VOXELS_PER_PARCEL = 20
FEWEST_PARCELS = 4


@dataclasses.dataclass(frozen=True)
class BaselineOptions:
    """Choices that the features of a baseline depend on.

    Attributes:
        parcels: regions of the connectivity baseline; None for one per 20 voxels, from 4 to 50.
    """

    parcels: int | None = None

    def __post_init__(self) -> None:
        if self.parcels is not None and self.parcels < 2:
            raise ConfigError(f"parcels is {self.parcels}, expected at least 2; a region alone has no connection.")

    def num_parcels(self, num_voxels: int) -> int:
        """Number of regions for a number of voxels that the training scans share.

        Raises:
            ConfigError: for more regions than voxels.
        """
        if self.parcels is None:
            return max(FEWEST_PARCELS, min(MOST_PARCELS, num_voxels // VOXELS_PER_PARCEL))
        if self.parcels > num_voxels:
            raise ConfigError(
                f"parcels is {self.parcels}, expected at most the {num_voxels} voxels that the training scans share; "
                "choose fewer."
            )
        return self.parcels


def known_names(names: Sequence[str] | None) -> list[str]:
    """The names of the baselines to run, in the order of `BASELINES`; None for all.

    Raises:
        ConfigError: for a name that no baseline has.
    """
    unknown = [name for name in names or () if name not in BASELINES]
    if unknown:
        raise ConfigError(f"baseline '{unknown[0]}' does not exist, expected one of {', '.join(BASELINES)}.")
    return [name for name in BASELINES if names is None or name in names]
