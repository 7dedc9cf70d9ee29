"""The resting-state runs of a tree of the Human Connectome Project, and the variants that each comes in."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from monai_tff.data.bids_names import NIFTI_EXTENSIONS, split_extension, without_prefix
from monai_tff.data.cohorts.repeated_runs import runs_once
from monai_tff.data.records import Record
from monai_tff.errors import DatalistError

RESULTS = "MNINonLinear/Results"

VARIANTS = {"plain": "", "hp2000_clean": "_hp2000_clean", "hp2000_clean_rclean_tclean": "_hp2000_clean_rclean_tclean"}
"""End of the file name of each variant: minimally preprocessed, ICA-FIX (2013), ICA-FIX and temporal ICA (2025)."""

_RUN = re.compile(r"rfMRI_(REST[12])_(LR|RL)")
_END = re.compile(r"(_hp\d+)?(_clean|_rclean|_tclean)*")


@dataclasses.dataclass(frozen=True)
class HcpScan:
    """One file of a run.

    Attributes:
        image: path relative to the folder of the cohort.
        subject: name of the subject's folder, `100206`.
        session: `REST1` or `REST2`: the day of the scan.
        run: `LR` or `RL`: the phase encoding.
        variant: of `VARIANTS`.
    """

    image: str
    subject: str
    session: str
    run: str
    variant: str


def find_hcp_scans(root: Path, left_out: dict[str, list[str]]) -> list[HcpScan]:
    """Finds `<subject>/MNINonLinear/Results/rfMRI_REST1_LR/rfMRI_REST1_LR*.nii.gz` and its like.

    Args:
        root: folder that holds the subjects' folders; these may be links.
        left_out: takes up links whose file is not there (a clone whose files were not fetched).

    Returns:
        The scans in the order of their paths, each variant of a run on its own.

    Raises:
        DatalistError: when there is none, or no such folder.
    """
    if not root.is_dir():
        raise DatalistError(f"{root}: there is no such folder, expected the subjects' folders of HCP S1200.")
    found = []
    for subject, image in _results(root):
        run = _RUN.fullmatch(image.parent.name)
        stem, _ = split_extension(image)
        variant = next((name for name, end in VARIANTS.items() if stem == f"{image.parent.name}{end}"), None)
        if run is None or variant is None:
            continue
        relative = image.relative_to(root).as_posix()
        if image.is_file():
            found.append(HcpScan(relative, subject, run[1], run[2], variant))
        else:
            left_out.setdefault("scans: a link whose file is not there", []).append(relative)
    if not found:
        missing = sum(map(len, left_out.values()))
        raise DatalistError(
            f"{root}: found no <subject>/{RESULTS}/rfMRI_REST1_LR/rfMRI_REST1_LR.nii.gz (REST1 or REST2, LR or RL; "
            f"also {' or '.join(f'*{end}.nii.gz' for end in VARIANTS.values() if end)})"
            + (f" but {missing} links whose file is not there" if missing else "")
            + ", expected the tree of HCP S1200; give the folder that holds the subjects' folders, and fetch the files."
        )
    return found


def other_hcp_scans(root: Path, records: Sequence[Record]) -> list[dict[str, str]]:
    """Every further 4D image of the subjects in use: other variants, runs, tasks, 7T, unprocessed.

    Args:
        root: folder of the cohort.
        records: of the scans in use.

    Returns:
        `image`, relative to the folder, and `subject` of each.
    """
    subjects = {record["subject"] for record in records}
    used = {record["image"] for record in records}
    images = [(subject, image) for subject, image in _results(root) if subject in subjects]
    for subject in sorted(subjects):
        images += [(subject, image) for image in sorted((root / subject).glob("unprocessed/*/*/*_[rt]fMRI_*.nii*"))]
    return [
        {"image": image.relative_to(root).as_posix(), "subject": subject}
        for subject, image in images
        if image.relative_to(root).as_posix() not in used and _is_scan(image)
    ]


def choose_hcp_scans(
    root: Path,
    scans: Sequence[HcpScan],
    left_out: dict[str, list[str]],
    *,
    session: str | None = None,
    run: str | None = None,
    variant: str | None = None,
) -> tuple[list[HcpScan], list[str]]:
    """Chooses sessions, runs and one variant; variants of a run are never mixed.

    Args:
        root: folder of the cohort, for messages.
        scans: from `find_hcp_scans`.
        left_out: takes up runs that do not have the variant.
        session: `REST1` or `REST2`, also `1` or `2`.
        run: `LR` or `RL`.
        variant: of `VARIANTS`; needed where there are several.

    Returns:
        The chosen scans, and a sentence for each run that is there twice, as `.nii` and as `.nii.gz`.

    Raises:
        DatalistError: for a choice that fits nothing, or several variants without a choice.
    """
    chosen = [scan for scan in scans if _fits(scan.session, session, "REST") and _fits(scan.run, run, "")]
    if not chosen:
        runs = Counter(f"{scan.session}_{scan.run}" for scan in scans)
        raise DatalistError(
            f"{root}: no scan has --session {session or 'any'} and --run {run or 'any'}, found {_counts(runs)}; choose "
            "among these."
        )
    variants = Counter(scan.variant for scan in chosen)
    if variant is None and len(variants) > 1:
        raise DatalistError(
            f"{root}: the scans come in {len(variants)} variants: {_counts(variants)}; expected one; choose with "
            "--variant."
        )
    if variant is not None and variant not in variants:
        raise DatalistError(
            f"{root}: no scan is of the variant '{variant}', found {_counts(variants)}; choose one of these (there are "
            f"{', '.join(VARIANTS)})."
        )
    wanted = variant or next(iter(variants))
    taken = [scan for scan in chosen if scan.variant == wanted]
    runs_taken = {Path(scan.image).parent for scan in taken}
    lacking = sorted({str(Path(scan.image).parent) for scan in chosen if Path(scan.image).parent not in runs_taken})
    if lacking:
        left_out[f"scans: no variant {wanted}"] = lacking
    return _once(root, taken)


def _once(root: Path, scans: Sequence[HcpScan]) -> tuple[list[HcpScan], list[str]]:
    """The scans of runs that are there once, and a sentence for each of the others."""
    files: Mapping[Path, list[str]] = defaultdict(list)
    for scan in scans:
        files[Path(scan.image).parent].append(scan.image)
    once, faults = runs_once(root, files.values())
    kept = set(once)
    return [scan for scan in scans if scan.image in kept], faults


def _results(root: Path) -> Iterator[tuple[str, Path]]:
    """Subject and path of every 4D image below MNINonLinear/Results, in order: named like its folder, or cleaned."""
    for folder in sorted(root.iterdir()):
        results = folder / RESULTS
        if not results.is_dir():
            continue
        for image in sorted(results.glob("*/*.nii*")):
            stem, extension = split_extension(image)
            name = image.parent.name
            # not SBRef, Jacobian, variance maps (_vn) and CIFTI (.dtseries.nii), which lie beside the scans
            if extension in NIFTI_EXTENSIONS and stem.startswith(name) and _END.fullmatch(stem.removeprefix(name)):
                yield folder.name, image


def _is_scan(image: Path) -> bool:
    return image.name.endswith(NIFTI_EXTENSIONS) and "SBRef" not in image.name and image.is_file()


def _fits(value: str, wanted: str | None, prefix: str) -> bool:
    """`REST1` is asked for as `REST1`, `rest1`, `ses-REST1` or `1`."""
    if wanted is None:
        return True
    return without_prefix(wanted, "ses").upper().removeprefix(prefix) == value.removeprefix(prefix)


def _counts(found: Counter[str]) -> str:
    return ", ".join(f"{name} ({count} scans)" for name, count in sorted(found.items()))
