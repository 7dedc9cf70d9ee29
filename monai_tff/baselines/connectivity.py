"""The baseline of functional connectivity: parcels found in training frames, and their covariances in tangent space.

Parcels: Ward clustering of voxels that touch (Thirion, Varoquaux, Dohmatob, Poline 2014, Frontiers in Neuroscience
8:167). Tangent space: Varoquaux et al. 2010, MICCAI. Both with a linear model are the recommendation of the comparison
by Dadi et al. 2019, NeuroImage 192.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.cluster import FeatureAgglomeration
from sklearn.feature_extraction.image import grid_to_graph
from sklearn.preprocessing import StandardScaler

from monai_tff.data.scan import CompactScan

FRAMES_AT_ONCE = 16


class Parcels:
    """Regions of touching voxels whose channel 1 goes up and down together in training frames.

    Args:
        voxels: voxel numbers [V] of the flat grid that the training scans share.
        grid: H, W, D.
        number: of regions.
    """

    def __init__(self, voxels: NDArray[np.int64], grid: Sequence[int], number: int) -> None:
        self.voxels, self.grid, self.number = voxels, tuple(grid), number

    def fit(self, frames: NDArray[np.float32]) -> Parcels:
        """Fits on training frames.

        Args:
            frames: channel 1, [frames, V], NaN for missing values, which become the mean: 0; it is overwritten.
        """
        mask = np.zeros(int(np.prod(self.grid)), dtype=bool)
        mask[self.voxels] = True
        touching = grid_to_graph(*self.grid, mask=mask.reshape(self.grid))
        clusters = FeatureAgglomeration(self.number, connectivity=touching, linkage="ward")
        with warnings.catch_warnings():
            # a shared mask of several islands: the nearest are joined, which is what it warns of
            warnings.filterwarnings("ignore", message="the number of connected components", category=UserWarning)
            clusters.fit(np.nan_to_num(frames, copy=False, nan=0.0))
        self.labels = np.full(len(mask), -1, dtype=np.int64)
        self.labels[self.voxels] = clusters.labels_
        return self

    def time_courses(self, scan: CompactScan) -> NDArray[np.float32]:
        """Standardised mean time courses of the regions.

        Args:
            scan: any scan of the grid.

        Returns:
            float32 [frames, regions] with mean 0 and variance 1; 0 for a region of which the scan has no voxel.
        """
        labels = self.labels[scan.mask.flatten().numpy()]
        inside = np.flatnonzero(labels >= 0)
        ones = np.ones(len(inside))
        means = csr_array((ones, (labels[inside], inside)), shape=(self.number, len(labels)))
        sizes = np.maximum(np.bincount(labels[inside], minlength=self.number), 1)
        courses = np.empty((scan.num_frames, self.number))
        for begin in range(0, scan.num_frames, FRAMES_AT_ONCE):
            length = min(FRAMES_AT_ONCE, scan.num_frames - begin)
            values = scan.window(begin, length).unpack()[1][scan.mask].numpy()
            courses[begin : begin + length] = (means @ values.astype(np.float64)).T / sizes
        courses -= courses.mean(axis=0)
        deviation = courses.std(axis=0)
        return (courses / np.where(deviation > 0, deviation, np.inf)).astype(np.float32)


class ConnectivityFeatures:
    """Covariances of standardised time courses, shrunk by Ledoit and Wolf, in the tangent space at the training mean.

    Args:
        parcels: fitted on training frames.
    """

    def __init__(self, parcels: Parcels) -> None:
        from nilearn.connectome import ConnectivityMeasure

        self.parcels = parcels
        self.tangent = ConnectivityMeasure(kind="tangent", vectorize=True)
        self.centre = StandardScaler(with_std=False)

    def fit(self, courses: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
        """Fits on training scans.

        Args:
            courses: of the parcels, [frames, regions] for each scan.

        Returns:
            The features of these scans, [scans, features].
        """
        vectors = self.tangent.fit_transform([course.astype(np.float64) for course in courses])
        self._companion = courses[0]
        # tangent coordinates have one unit: scaling each would only raise those that hold nothing but noise
        centred = self.centre.fit_transform(vectors)
        norm = float(np.sqrt(np.mean(np.sum(centred**2, axis=1))))
        self.scale = norm if norm > 0 else 1.0
        return centred / self.scale

    def of_scan(self, scan: CompactScan) -> NDArray[np.float64]:
        """The features of one scan, [features]."""
        course = self.parcels.time_courses(scan).astype(np.float64)
        # nilearn refuses one scan alone, though the coordinates of one do not depend on another
        vector = self.tangent.transform([course, self._companion.astype(np.float64)])[:1]
        return self.centre.transform(vector)[0] / self.scale

    def facts(self) -> dict[str, Any]:
        """What was fitted, for `metrics.json`."""
        return {
            "fitted": "parcels, tangent space, means and one scale, coefficients: on training scans",
            "voxels": len(self.parcels.voxels),
            "parcels": self.parcels.number,
        }
