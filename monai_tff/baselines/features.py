"""The features of every baseline, from the records or the scans of a run; fitted on its training section alone.

Training scans are read once for the mean image and once more for the connectivity, since parcels come before their
time courses; every other scan is read once, after everything is fitted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from monai_tff.baselines.connectivity import ConnectivityFeatures, Parcels
from monai_tff.baselines.covariates import CovariateFeatures, choose_covariates, covariate_baselines
from monai_tff.baselines.mean_image import MeanImageFeatures
from monai_tff.baselines.options import BaselineOptions
from monai_tff.baselines.reading import read_scans
from monai_tff.baselines.sections import Section
from monai_tff.baselines.volumes import TrainingVolumes
from monai_tff.bundle.finished_run import FinishedRun
from monai_tff.data.scan import CompactScan
from monai_tff.errors import ScanError

IMAGES = ("mean_image", "connectivity")


class ScanFeatures(Protocol):
    """Features that are computed from a scan, once they are fitted."""

    def of_scan(self, scan: CompactScan) -> NDArray[np.float64]:
        """The features of one scan, [features]."""

    def facts(self) -> dict[str, Any]:
        """What was fitted, for `metrics.json`."""


@dataclasses.dataclass(frozen=True)
class FittedFeatures:
    """Features of one baseline.

    Attributes:
        training: [scans, features].
        fitted: what other scans or records are transformed with.
        facts: for `metrics.json`.
    """

    training: NDArray[np.float64]
    fitted: CovariateFeatures | ScanFeatures
    facts: dict[str, Any]


def fit_features(
    run: FinishedRun,
    training: Section,
    names: Sequence[str],
    options: BaselineOptions,
    say: Callable[[str], object],
) -> dict[str, FittedFeatures]:
    """Fits what turns records and scans into features, on training scans.

    Args:
        run: says how scans are read.
        training: the training section.
        names: of the baselines; those that cannot be made are said and left out.
        options: choices of the user.
        say: takes a sentence.

    Returns:
        Features by name of the baseline, in the order of `names`.

    Raises:
        ScanError: for a scan that cannot be used, or training scans that share no voxel.
    """
    found: dict[str, FittedFeatures] = {}
    images = [name for name in names if name in IMAGES]
    if len(images) < len(names):
        choice = choose_covariates(training, run.target)
        say(choice.sentence(run.target))
        for name, used in covariate_baselines(choice, names, say).items():
            fitted = CovariateFeatures(used, choice.motion_kind).fit(training)
            facts = {
                "fitted": "imputation, classes, means and standard deviations, coefficients: on training records",
                "covariates": used,
                "left_out": {key: choice.left_out[key] for key in choice.left_out if name == "covariates"},
                "motion_kind": choice.motion_kind if "motion" in used else None,
            }
            found[name] = FittedFeatures(fitted.of_records(training.records), fitted, facts)
    if images:
        found |= _fit_images(run, training, images, options)
    return found


def _fit_images(
    run: FinishedRun, training: Section, names: Sequence[str], options: BaselineOptions
) -> dict[str, FittedFeatures]:
    with_means, with_frames = (name in names for name in IMAGES)
    grid = run.contract.spatial_size
    volumes = TrainingVolumes(training.records, grid, run.seed, with_means=with_means, with_frames=with_frames)
    for record, scan in read_scans(run, training.records, "Reading training scans"):
        volumes.add(record, scan)
    voxels = volumes.shared_voxels()
    if not len(voxels):
        raise ScanError(
            f"{run.datalist}: no voxel lies in the masks of half of the {len(training.records)} training scans, "
            "expected scans on one grid; look at their masks."
        )
    found: dict[str, FittedFeatures] = {}
    if with_means:
        mean = MeanImageFeatures(voxels, run.seed)
        found["mean_image"] = FittedFeatures(mean.fit(volumes.take_means(voxels)), mean, mean.facts())
    if with_frames:
        parcels = Parcels(voxels, grid, options.num_parcels(len(voxels))).fit(volumes.take_frames(voxels))
        scans = read_scans(run, training.records, "Reading training time courses")
        connectivity = ConnectivityFeatures(parcels)
        values = connectivity.fit([parcels.time_courses(scan) for _, scan in scans])
        found["connectivity"] = FittedFeatures(values, connectivity, connectivity.facts())
    return found


def transform(
    run: FinishedRun, section: Section, features: dict[str, FittedFeatures]
) -> dict[str, NDArray[np.float64]]:
    """The features of scans that nothing was fitted on.

    Args:
        run: says how scans are read.
        section: validation or test.
        features: of `fit_features`.

    Returns:
        [scans, features] by name of the baseline.

    Raises:
        ScanError: for a scan that cannot be used.
    """
    found: dict[str, NDArray[np.float64]] = {}
    of_scans: dict[str, ScanFeatures] = {}
    for name, feature in features.items():
        if isinstance(feature.fitted, CovariateFeatures):
            found[name] = feature.fitted.of_records(section.records)
        else:
            of_scans[name] = feature.fitted
    if not of_scans:
        return found
    rows: dict[str, list[NDArray[np.float64]]] = {name: [] for name in of_scans}
    for _, scan in read_scans(run, section.records, f"Reading {section.name} scans"):
        for name, fitted in of_scans.items():
            rows[name].append(fitted.of_scan(scan))
    return found | {name: np.stack(values) for name, values in rows.items()}
