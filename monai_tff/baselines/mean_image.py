"""The baseline of the mean image: every shared voxel, scaled, in principal components."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from monai_tff.baselines.volumes import mean_image
from monai_tff.data.scan import CompactScan

MOST_COMPONENTS = 200
ROWS_AT_ONCE = 64


class MeanImageFeatures:
    """Principal components of the mean image; scaler and components are fitted on training scans.

    A voxel that a scan lacks is taken to be the training mean there, which is 0 after the scaling.

    Args:
        voxels: voxel numbers [V] of the flat grid that the training scans share.
        seed: of the randomised decomposition of large tables.
    """

    def __init__(self, voxels: NDArray[np.int64], seed: int) -> None:
        self.voxels = voxels
        self.scaler = StandardScaler(copy=False)
        self.seed = seed

    def fit(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """Fits on training scans.

        Args:
            images: [scans, V] with NaN for missing values; it is overwritten.

        Returns:
            The features of these scans, [scans, components].
        """
        # in parts, because a whole pass would make copies in float64
        for begin in range(0, len(images), ROWS_AT_ONCE):
            self.scaler.partial_fit(images[begin : begin + ROWS_AT_ONCE])
        scaled = self._scaled(images)
        number = max(1, min(MOST_COMPONENTS, len(scaled) - 1, scaled.shape[1]))
        self.components = PCA(number, copy=False, random_state=self.seed)
        return self._of_norm_one(self.components.fit_transform(scaled))

    def of_scan(self, scan: CompactScan) -> NDArray[np.float64]:
        """The features of one scan, [components]."""
        whole = np.full(scan.mask.numel(), np.nan, dtype=np.float32)
        whole[scan.mask.flatten().numpy()] = mean_image(scan)
        scaled = self._scaled(whole[None, self.voxels])
        return self._of_norm_one(self.components.transform(scaled))[0]

    def facts(self) -> dict[str, Any]:
        """What was fitted, for `metrics.json`."""
        return {
            "fitted": "voxel means and standard deviations, principal components, coefficients: on training scans",
            "voxels": len(self.voxels),
            "components": int(self.components.n_components_),
        }

    def _scaled(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.nan_to_num(self.scaler.transform(images), copy=False, nan=0.0)

    def _of_norm_one(self, components: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scaled voxels have a variance of 1 each, so that the components have one of V together."""
        return components.astype(np.float64) / np.sqrt(len(self.voxels))
