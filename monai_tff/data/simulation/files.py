"""Writes a simulated cohort as a BIDS derivative: the same bytes for the same options."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from monai_tff.data.simulation.signal import Motion, SimulatedScan
from monai_tff.data.simulation.subjects import DIAGNOSES, SEXES, Subject
from monai_tff.data.simulation.template import BrainTemplate
from monai_tff.errors import ConfigError

SPACE = "MNI152NLin2009cAsym"
NOTE = "SIMULATED DATA: drawn by monai_tff from random numbers, no person was scanned."
PARAMETER_NAMES = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
INT16_MAX = 32767
MNI_CODE = 4


def write_scan(
    root: Path,
    subject: Subject,
    session: int | None,
    scan: SimulatedScan,
    template: BrainTemplate,
    *,
    storage: str,
    mask: bool,
) -> Path:
    """Writes one scan with its sidecar, confounds and, if asked, brain mask.

    Args:
        root: the cohort's folder.
        subject: whose scan it is.
        session: number of the session from 1, or None where the cohort has a single one.
        scan: the scan.
        template: the brain, for the affine and the mask.
        storage: `int16`, `scaled_int16` or `float32`.
        mask: whether to write the brain mask.

    Returns:
        The scan's path.

    Raises:
        ConfigError: where an intensity does not fit the storage.
    """
    parts = [f"sub-{subject.label}"] + ([] if session is None else [f"ses-{session}"])
    folder = root.joinpath(*parts, "func")
    folder.mkdir(parents=True, exist_ok=True)
    run = "_".join([*parts, "task-rest"])
    path = folder / f"{run}_space-{SPACE}_desc-preproc_bold.nii.gz"
    stored, slope = _stored(scan.frames, storage, path.name)
    write_nifti(path, stored, template.affine, repetition_time=scan.repetition_time, slope=slope)
    sidecar = {"TaskName": "rest", "RepetitionTime": scan.repetition_time, "SkullStripped": True, "Note": NOTE}
    write_json(folder / f"{run}_space-{SPACE}_desc-preproc_bold.json", sidecar)
    write_confounds(folder / f"{run}_desc-confounds_timeseries.tsv", scan.motion)
    if mask:
        mask_path = folder / f"{run}_space-{SPACE}_desc-brain_mask.nii.gz"
        write_nifti(mask_path, template.mask.astype(np.uint8), template.affine)
    return path


def write_nifti(
    path: Path,
    values: NDArray[Any],
    affine: NDArray[np.float64],
    *,
    repetition_time: float | None = None,
    slope: float = 1.0,
) -> None:
    """Writes a .nii.gz whose bytes depend on the arguments alone: no time and no file name in the gzip header.

    Args:
        path: the file.
        values: numbers as they are stored, [X, Y, Z] or [X, Y, Z, T].
        affine: voxel indices -> mm in MNI space.
        repetition_time: seconds, for a 4D file.
        slope: what a stored number is multiplied with on reading.
    """
    image = nibabel.Nifti1Image(values, affine)
    image.set_sform(affine, MNI_CODE)
    image.set_qform(affine, MNI_CODE)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = b"SIMULATED DATA"
    if repetition_time is not None:
        image.header.set_zooms((*image.header.get_zooms()[:3], repetition_time))
    image.header.set_slope_inter(slope, 0)
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=0) as packed:
        packed.write(image.to_bytes())


def write_confounds(path: Path, motion: Motion) -> None:
    """Writes the confounds table in fMRIPrep's columns; the first framewise displacement is n/a."""
    lines = ["\t".join(("framewise_displacement", *PARAMETER_NAMES))]
    for displacement, parameters in zip(motion.framewise_displacement, motion.parameters, strict=True):
        first = "n/a" if np.isnan(displacement) else f"{displacement:.6f}"
        lines.append("\t".join([first, *(f"{parameter:.8f}" for parameter in parameters)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_cohort_tables(
    root: Path, subjects: Sequence[Subject], simulation: dict[str, Any], warning: str | None = None
) -> None:
    """Writes simulation.json, dataset_description.json, participants.json and, last, participants.tsv.

    Args:
        root: the cohort's folder.
        subjects: all subjects.
        simulation: what simulation.json shall hold: the options and what was planted for whom.
        warning: what a reader of the cohort must know before anything else, put into its name.
    """
    write_json(root / "simulation.json", {"note": NOTE, **simulation})
    name = DATASET_DESCRIPTION["Name"] if warning is None else f"{DATASET_DESCRIPTION['Name']} {warning}"
    write_json(root / "dataset_description.json", {**DATASET_DESCRIPTION, "Name": name})
    write_json(root / "participants.json", PARTICIPANTS_COLUMNS)
    lines = ["\t".join(("participant_id", *PARTICIPANTS_COLUMNS))]
    for subject in subjects:
        cells = (subject.sex, str(subject.age), subject.diagnosis, site_name(subject), family_name(subject))
        lines.append("\t".join((f"sub-{subject.label}", *cells)))
    (root / "participants.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes indented JSON with a newline at its end."""
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def site_name(subject: Subject) -> str:
    """The site as participants.tsv names it."""
    return f"site{subject.site + 1}"


def family_name(subject: Subject) -> str:
    """The family as participants.tsv names it."""
    return f"F{subject.family + 1:04d}"


def _stored(frames: NDArray[np.float32], storage: str, name: str) -> tuple[NDArray[Any], float]:
    """The numbers to store and the slope that turns them back into intensities."""
    if storage == "float32":
        return frames, 1.0
    peak = float(np.abs(frames).max())
    # The slope is stored in 32 bits; rounding it here keeps the numbers and the header in step.
    slope = float(np.float32(peak / (INT16_MAX - 1))) if storage == "scaled_int16" else 1.0
    if peak / slope > INT16_MAX:
        raise ConfigError(
            f"{name}: the intensity {peak:.0f} does not fit int16, expected at most {INT16_MAX}; "
            "lower the site gain, or set storage to scaled_int16 or float32."
        )
    return np.rint(frames / slope).astype(np.int16), slope


DATASET_DESCRIPTION = {
    "Name": "Simulated resting-state cohort (SIMULATED DATA)",
    "BIDSVersion": "1.9.0",
    "DatasetType": "derivative",
    "GeneratedBy": [{"Name": "monai_tff simulate", "Description": NOTE}],
}
PARTICIPANTS_COLUMNS = {
    "sex": {"Description": "Simulated sex", "Levels": dict(zip(SEXES, ("female", "male"), strict=True))},
    "age": {"Description": "Simulated age", "Units": "years"},
    "diagnosis": {
        "Description": "Simulated diagnosis",
        "Levels": dict(zip(DIAGNOSES, ("healthy control", "patient"), strict=True)),
    },
    "site": {"Description": "Simulated scanner"},
    "family_id": {"Description": "Simulated family; relatives share part of their traits"},
}
