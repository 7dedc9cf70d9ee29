"""A simulated cohort: a BIDS derivative of 4D scans with planted effects, to try the whole workflow without data."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from monai_tff.data.simulation.confounding import LEAK_WARNING, PlantedConfound, parse_confound
from monai_tff.data.simulation.files import family_name, site_name, write_cohort_tables, write_scan
from monai_tff.data.simulation.networks import COUPLED_PAIRS, NETWORKS, PARCEL_THRESHOLD, SPREAD
from monai_tff.data.simulation.options import BETWEEN_SUBJECT_STD, PlantedEffect, SimulationOptions, parse_effect
from monai_tff.data.simulation.signal import SimulatedScan, simulate_scan
from monai_tff.data.simulation.subjects import Subject, simulate_subject
from monai_tff.data.simulation.template import BrainTemplate, brain_template
from monai_tff.errors import ConfigError, DatalistError

__all__ = [
    "PlantedConfound",
    "PlantedEffect",
    "SimulatedCohort",
    "SimulationOptions",
    "parse_confound",
    "parse_effect",
    "simulate_cohort",
]

PLANTED_FORMULA = (
    "quantity = std * (z + size / 2 * code): z standard normal, code -1 or +1 for the classes (F and M, CONTROL and "
    "PATIENT) or the standardised age; size is Cohen's d between the classes"
)


@dataclasses.dataclass(frozen=True)
class SimulatedCohort:
    """What was written.

    Attributes:
        folder: the cohort's folder.
        num_scans: number of scans.
        spatial_size: voxels along each axis of a scan.
        num_voxels: voxels in the mask.
    """

    folder: Path
    num_scans: int
    spatial_size: tuple[int, int, int]
    num_voxels: int


def simulate_cohort(
    folder: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    on_subject: Callable[[str], object] | None = None,
    **options: Any,
) -> SimulatedCohort:
    """Writes a simulated cohort as a BIDS derivative of 4D NIfTI scans.

    The folder appears when it is complete: everything is written beside it first. A subject depends on the options
    and its own number: the first 20 subjects of 40 are those of 20, and every even number is balanced for sex and
    diagnosis. The same options give the same bytes with the same versions of the packages.

    Args:
        folder: where to; it must not exist, or be empty.
        overwrite: replaces a folder that holds an earlier simulated cohort; any other folder is still refused.
        on_subject: called with the label of each subject that was written.
        **options: the attributes of `SimulationOptions`, where each is explained.

    Returns:
        What was written.

    Raises:
        DatalistError: where the folder holds something already, or cannot be written.
        ConfigError: for a wrong option.

    Example:
        >>> effects = {"sex": [PlantedEffect("regional_mean", size=3.0)]}
        >>> simulate_cohort("cohort", num_subjects=60, effects=effects)  # doctest: +SKIP
    """
    choices = _options(options)
    destination = Path(folder).resolve()
    _refuse_occupied(destination, overwrite)
    partial = destination.with_name(f".{destination.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        cohort = _write(partial, choices, on_subject)
        _publish(partial, destination)
    except OSError as error:
        raise DatalistError(
            f"{destination}: the simulated cohort cannot be written ({error.strerror or error}); "
            "choose a folder that can be written to, on a disk with room."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return dataclasses.replace(cohort, folder=destination)


def _options(options: dict[str, Any]) -> SimulationOptions:
    known = [field.name for field in dataclasses.fields(SimulationOptions)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ConfigError(f"simulated cohort: unknown option {', '.join(unknown)}; expected {', '.join(known)}.")
    return SimulationOptions(**options)


def _refuse_occupied(destination: Path, overwrite: bool) -> None:
    if destination.exists() and not destination.is_dir():
        raise DatalistError(f"{destination}: this is a file, expected a folder that is empty or does not exist yet.")
    if not destination.exists() or not any(destination.iterdir()):
        return
    simulated = (destination / "simulation.json").is_file()
    if not simulated:
        raise DatalistError(
            f"{destination}: the folder holds files that are not of a simulated cohort; choose an empty or new folder."
        )
    if not overwrite:
        raise DatalistError(
            f"{destination}: the folder holds a simulated cohort already; choose another folder, or overwrite it "
            "(overwrite=True, --overwrite)."
        )


def _write(root: Path, options: SimulationOptions, on_subject: Callable[[str], object] | None) -> SimulatedCohort:
    template = brain_template(float(options.voxel_size))
    subjects, rows = [], []
    for index in range(options.num_subjects):
        subject = simulate_subject(options, index, len(template.patterns))
        scans: list[SimulatedScan] = []
        for session in range(options.num_sessions):
            scan = simulate_scan(options, template, subject, session)
            number = session + 1 if options.num_sessions > 1 else None
            write_scan(root, subject, number, scan, template, storage=options.storage, mask=options.masks)
            scans.append(scan)
        subjects.append(subject)
        rows.append(_planted_row(subject, scans))
        if on_subject is not None:
            on_subject(subject.label)
    simulation = {**_description(options, template), "subjects": rows}
    write_cohort_tables(root, subjects, simulation, warning=None if options.leak is None else LEAK_WARNING)
    x, y, z = template.mask.shape
    return SimulatedCohort(root, options.num_subjects * options.num_sessions, (x, y, z), int(template.mask.sum()))


def _description(options: SimulationOptions, template: BrainTemplate) -> dict[str, Any]:
    """What simulation.json tells of the whole cohort."""
    return {
        **({} if options.leak is None else {"warning": LEAK_WARNING}),
        "options": options.to_dict(),
        "planted_formula": PLANTED_FORMULA,
        "between_subject_std": BETWEEN_SUBJECT_STD,
        "planted": [
            {"target": target, "kind": effect.kind, "network": effect.network, "cohens_d": effect.cohens_d}
            for target, effect in options.planted
        ],
        "spatial_size": template.mask.shape,
        "affine": template.affine.tolist(),
        "mask_voxels": int(template.mask.sum()),
        "network_centres": NETWORKS,
        "network_spread": SPREAD,
        "parcel_threshold": PARCEL_THRESHOLD,
        "parcel_voxels": dict(zip(NETWORKS, template.parcels.sum(axis=1).tolist(), strict=True)),
        "coupled_pairs": COUPLED_PAIRS,
    }


def _planted_row(subject: Subject, scans: list[SimulatedScan]) -> dict[str, Any]:
    """What simulation.json tells of one subject: the quantities with what was planted in them, and each session."""
    pairs = ["-".join(pair) for pair in COUPLED_PAIRS]

    def rounded(names: list[str], values: Any) -> dict[str, float]:
        return dict(zip(names, np.round(values, 6).tolist(), strict=True))

    return {
        "participant_id": f"sub-{subject.label}",
        "site": site_name(subject),
        "family_id": family_name(subject),
        "log_regional_mean": rounded(list(NETWORKS), subject.regional_mean),
        "log_network_amplitude": rounded(list(NETWORKS), subject.network_amplitude),
        "network_correlation": rounded(pairs, np.tanh(subject.network_coupling)),
        "sessions": [
            {"gain": round(scan.gain, 6), "repetition_time": scan.repetition_time, "spikes": scan.motion.spikes}
            for scan in scans
        ],
    }


def _publish(partial: Path, destination: Path) -> None:
    """Puts the complete cohort in place; an earlier one is moved aside first and removed after."""
    if not destination.exists():
        partial.rename(destination)
        return
    earlier = partial.with_suffix(".earlier")
    destination.rename(earlier)
    try:
        partial.rename(destination)
    except OSError:
        earlier.rename(destination)
        raise
    shutil.rmtree(earlier)
