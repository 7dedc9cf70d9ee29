"""Small trees of real NIfTI files with the names and tables of the cohorts that are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from monai_tff.data.cohorts.published import convert_published

GRID = (8, 10, 9)
FRAMES = 12
AFFINE = np.diag([20.0, 20.0, 20.0, 1.0])
SUBJECTS = 12


def write_scan(path: Path, seed: int, seconds: float = 2.0, dtype: type = np.int16) -> Path:
    """A scan of a box of 6 x 8 x 7 voxels with signal, around which all is 0."""
    random = np.random.default_rng(seed)
    brain = np.zeros(GRID, dtype=bool)
    brain[1:-1, 1:-1, 1:-1] = True
    level = random.uniform(400, 900, GRID)[..., None]
    values = np.where(brain[..., None], level + random.normal(0, 20, (*GRID, FRAMES)), 0).astype(dtype)
    image = nib.Nifti1Image(values, AFFINE)
    image.header.set_zooms((20.0, 20.0, 20.0, seconds))
    image.header.set_xyzt_units("mm", "sec")
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def write_mask(path: Path) -> Path:
    mask = np.zeros(GRID, dtype=np.uint8)
    mask[1:-1, 1:-1, 1:-1] = 1
    nib.save(nib.Nifti1Image(mask, AFFINE), path)
    return path


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    separator = "," if path.suffix == ".csv" else "\t"
    lines = [separator.join(str(cell) for cell in row) for row in (header, *rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_motion(path: Path, column: str) -> Path:
    return write_table(path, [column, "X"], [["n/a", 0.0], *[[0.1 + 0.01 * i, 0.1] for i in range(FRAMES - 1)]])


def hcp(root: Path) -> list[str]:
    """HCP S1200: two runs of each subject, families of two, tables in two files."""
    rows, restricted = [], []
    for number in range(SUBJECTS):
        subject = 100206 + number
        for run in ("rfMRI_REST1_LR", "rfMRI_REST1_RL"):
            folder = root / "HCP 1200" / str(subject) / "MNINonLinear" / "Results" / run
            write_scan(
                folder / f"{run}_hp2000_clean.nii.gz", 10 * number + len(run) + (run[-2] == "R"), 0.72, np.float32
            )
            (folder / "Movement_RelativeRMS_mean.txt").write_text(f"0.0{number + 5}\n")
            write_mask(folder / "brainmask_fs.2.nii.gz")
        rows.append([subject, "S1200", "FM"[number // 2 % 2], "26-30"])
        restricted.append([subject, 26 + number % 5, f"F{number // 2:03d}", 5000 + number // 2, 6000 + number // 2])
    tables = [
        write_table(root / "unrestricted_1.csv", ["Subject", "Release", "Gender", "Age"], rows),
        write_table(
            root / "restricted_1.csv", ["Subject", "Age_in_Yrs", "Family_ID", "Mother_ID", "Father_ID"], restricted
        ),
    ]
    options = ["--cohort", "hcp", "--target", "sex", *(part for table in tables for part in ("--table", str(table)))]
    return [str(root / "HCP 1200"), *options]


def ucla(root: Path) -> list[str]:
    """UCLA ds000030 from its published fMRIPrep derivative."""
    rows = []
    for number in range(SUBJECTS):
        subject = f"sub-{10159 + number}"
        stem = root / "derivatives" / "fmriprep" / subject / "func" / f"{subject}_task-rest_bold"
        write_scan(Path(f"{stem}_space-MNI152NLin2009cAsym_preproc.nii.gz"), 100 + number)
        write_mask(Path(f"{stem}_space-MNI152NLin2009cAsym_brainmask.nii.gz"))
        write_motion(Path(f"{stem}_confounds.tsv"), "FramewiseDisplacement")
        diagnosis = ("CONTROL", "SCHZ", "CONTROL", "SCHZ", "BIPOLAR", "ADHD")[number % 6]
        rows.append([subject, diagnosis, 21 + number, "FM"[number % 2], 1, 35343 + number % 2, "No_ghost"])
    header = ["participant_id", "diagnosis", "age", "gender", "rest", "ScannerSerialNumber", "ghost_NoGhost"]
    write_table(root / "participants.tsv", header, rows)
    return [str(root), "--cohort", "ucla", "--target", "diagnosis", "--classes", "CONTROL,SCHZ"]


def oasis3(root: Path) -> list[str]:
    """fMRIPrep derivatives of OASIS-3: a session for each of two years, labels that change between them."""
    scans = root / "fmriprep"
    demographics, visits, scanners = [], [], []
    for number in range(SUBJECTS):
        subject = f"OAS3{number + 1:04d}"
        demographics.append([subject, 65.5 + number, 1 + number % 2])
        for days in (100 + number, 800 + number):
            session = f"d{days:04d}"
            cdr = 0.5 if number % 2 and (days > 500 or number % 4 == 1) else 0
            name = f"sub-{subject}_ses-{session}_task-rest_run-01_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
            write_scan(scans / f"sub-{subject}" / f"ses-{session}" / "func" / name, 1000 + 10 * number + (days > 500))
            words = "AD Dementia" if cdr else "Cognitively normal"
            age = f"{65.5 + number + (days - 30) / 365.25:.2f}"
            visits.append([subject, f"{subject}_UDSb4_{session}", days - 30, age, 28, cdr, cdr, words])
            scanners.append([subject, f"{subject}_MR_{session}", "TrioTim", 3, 2.2])
    tables = [
        write_table(root / "OASIS3_demographics.csv", ["OASISID", "AgeatEntry", "GENDER"], demographics),
        write_table(
            root / "OASIS3_UDSb4_cdr.csv",
            ["OASISID", "OASIS_session_label", "days_to_visit", "age at visit", "MMSE", "CDRTOT", "CDRSUM", "dx1"],
            visits,
        ),
    ]
    return [
        *(str(scans), "--cohort", "oasis3", "--target", "cdr"),
        *(part for table in tables for part in ("--table", str(table))),
    ]


def bids(root: Path) -> list[str]:
    """A BIDS dataset with its fMRIPrep derivative, whose participants.tsv is in the raw dataset."""
    rows = []
    for number in range(SUBJECTS):
        subject = f"sub-{number + 1:02d}"
        write_scan(root / subject / "func" / f"{subject}_task-rest_bold.nii.gz", 300 + number)
        stem = root / "derivatives" / "fmriprep" / subject / "func" / f"{subject}_task-rest"
        write_scan(Path(f"{stem}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"), 400 + number, dtype=np.float32)
        write_mask(Path(f"{stem}_space-MNI152NLin2009cAsym_desc-brain_mask.nii.gz"))
        write_motion(Path(f"{stem}_desc-confounds_timeseries.tsv"), "framewise_displacement")
        rows.append([number + 1, 20 + 3 * number, "female" if number % 2 else "male"])
    write_table(root / "participants.tsv", ["participant_id", "age", "sex"], rows)
    description = {"Name": "study", "BIDSVersion": "1.8.0", "DatasetType": "derivative"}
    (root / "derivatives" / "fmriprep" / "dataset_description.json").write_text(json.dumps(description))
    return [str(root / "derivatives" / "fmriprep"), "--raw", str(root), "--target", "age"]


def development_fmri(root: Path) -> list[str]:
    """development_fmri as nilearn's downloader leaves it, so that the downloader finds everything there."""
    folder = root / "development_fmri"
    rows = []
    for number in range(SUBJECTS):
        stem = folder / f"sub-pixar{number + 1:03d}_task-pixar"
        name = f"{stem.name}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
        write_scan(stem.with_name(name), 2000 + number)
        write_motion(stem.with_name(f"{stem.name}_desc-confounds_regressors.tsv"), "framewise_displacement")
        kind = "adult" if number % 2 else "child"
        rows.append(
            [stem.name.split("_")[0], 5 + 2 * number, "Adult" if number % 2 else "5yo", kind, "FM"[number % 2], "R"]
        )
    header = ["participant_id", "Age", "AgeGroup", "Child_Adult", "Gender", "Handedness"]
    write_table(folder / "participants.tsv", header, rows)
    return [str(root), "--cohort", "development_fmri", "--target", "child_adult"]


def published(root: Path) -> list[str]:
    """Whole scans of the published code as tensors, to be converted by `convert-scans` first."""
    tensors = root.with_name("tensors")
    tensors.mkdir(parents=True)
    rows = []
    for number in range(SUBJECTS):
        scan = np.random.default_rng(3000 + number).uniform(300, 900, (FRAMES, 1, *GRID)).astype(np.float32)
        scan[:, :, :, :, 0] = 0
        torch.save(torch.from_numpy(scan), tensors / f"{100206 + number}.pt")
        rows.append([100206 + number, "FM"[number % 2]])
    table = write_table(root.with_name("subjects.csv"), ["Subject", "Gender"], rows)
    convert_published(tensors, root, repetition_time=0.72, voxel_size=(20.0, 20.0, 20.0))
    options = ["--cohort", "published", "--target", "Gender", "--table", str(table), "--id-column", "Subject"]
    return [str(root), *options]


TREES = {
    "hcp": hcp,
    "ucla": ucla,
    "oasis3": oasis3,
    "bids": bids,
    "development_fmri": development_fmri,
    "published": published,
}
