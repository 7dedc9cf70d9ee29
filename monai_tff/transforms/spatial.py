"""Cropping a scan to the region that the network sees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.config import KeysCollection
from monai.transforms import SpatialCrop, Transform

from monai_tff.errors import ConfigError, ScanError
from monai_tff.transforms.per_key import PerKey

Bounds = Sequence[int | None]


def cropped_size(size: Sequence[int], roi: Sequence[Bounds] | None) -> tuple[int, ...]:
    """Size of a grid after a crop.

    Args:
        size: voxels per axis.
        roi: `[start, stop]` per axis as in a Python slice, negative and None allowed; None for no crop.

    Returns:
        Voxels per axis that are left, 0 where the bounds leave none.

    Raises:
        ConfigError: if the roi is not a start and a stop for each axis.

    Example:
        >>> cropped_size((91, 109, 91), [[8, -8], [8, -8], [0, -10]])
        (75, 93, 81)
    """
    if roi is None:
        return tuple(size)
    if len(roi) != len(size) or any(len(bounds) != 2 for bounds in roi):
        raise ConfigError(
            f"crop is {[list(bounds) for bounds in roi]}, expected [start, stop] for each of {len(size)} axes; "
            "use null for an end of the axis."
        )
    return tuple(len(range(*slice(*bounds).indices(length))) for bounds, length in zip(roi, size, strict=True))


class RoiCrop(Transform):
    """Crops the spatial axes of a scan to a region given as Python slices.

    The work is MONAI's `SpatialCrop` (which moves the affine too); the result has its own memory, so that a cached
    crop does not keep the whole scan.

    Args:
        roi: `[start, stop]` per spatial axis, negative and None allowed; the paper's is
            `[[8, -8], [8, -8], [0, -10]]`. None for no crop.
    """

    def __init__(self, roi: Sequence[Bounds] | None) -> None:
        self.roi = roi
        self._crop = None if roi is None else SpatialCrop(roi_slices=[slice(*bounds) for bounds in roi])

    def __call__(self, img: torch.Tensor) -> torch.Tensor:
        """Crops [T, H, W, D].

        Raises:
            ScanError: if the region holds no voxel.
            ConfigError: if the roi does not fit the number of axes.
        """
        size = cropped_size(img.shape[1:], self.roi)
        if min(size) == 0:
            raise ScanError(
                f"the crop {[list(bounds) for bounds in self.roi or ()]} of a grid of {_times(img.shape[1:])} voxels "
                f"leaves {_times(size)}, expected at least 1 along each axis; set a crop that fits the scan."
            )
        return img if self._crop is None else self._crop(img).clone(memory_format=torch.contiguous_format)


class RoiCropd(PerKey):
    """Dictionary version of `RoiCrop`."""

    def __init__(self, keys: KeysCollection, roi: Sequence[Bounds] | None, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, RoiCrop(roi), allow_missing_keys)


def _times(sizes: Sequence[int]) -> str:
    return " x ".join(str(size) for size in sizes)
