"""Scans to predict: from a folder, a file or a list of files to records without labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_tff.data.bids_names import NIFTI_EXTENSIONS, parse_name, split_extension
from monai_tff.errors import ScanError

MASK_WORDS = ("mask", "brainmask", "fs.2")
"""Ends of the names of masks: they lie beside scans and are none themselves."""


def find_scans(source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[dict[str, Any]]:
    """Finds the scans of a folder, or takes the files given.

    In a folder that holds BIDS names (`*_bold.nii.gz`) only these are scans; else every NIfTI file that is not named
    like a mask is one.

    Args:
        source: a folder (searched with its subfolders), one file, or a list of files and folders.

    Returns:
        Records sorted by path, each file once: `image` (absolute), `scan` (relative to the folder, or to the one that
        all sources share), `subject`, `session`, `run`, `group` (the subject). The subject is the `sub-` entity of the
        name or of a folder; without one, a scan is its own subject.

    Raises:
        ScanError: if a path is not there or no scan is found.
    """
    sources = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    # symbolic links are kept: masks and sidecars lie beside the link
    paths = [Path(os.path.abspath(item)) for item in sources]
    files = sorted({file for path in paths for file in _scans_in(path)})
    if not files:
        raise ScanError(
            f"{', '.join(str(item) for item in sources)}: no scan found, expected 4D files that end in .nii or "
            ".nii.gz; check the path."
        )
    shared = os.path.commonpath([path if path.is_dir() else path.parent for path in paths])
    return [_record(file, Path(shared)) for file in files]


def _scans_in(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ScanError(f"{path}: there is no such file or folder; check the path.")
    files = [file for file in path.rglob("*") if file.name.endswith(NIFTI_EXTENSIONS)]
    bold = [file for file in files if parse_name(file).suffix == "bold"]
    return bold or [file for file in files if not split_extension(file)[0].endswith(MASK_WORDS)]


def _record(path: Path, folder: Path) -> dict[str, Any]:
    relative = path.relative_to(folder)
    entities = parse_name(path).entities
    in_folders = (part.removeprefix("sub-") for part in relative.parts[:-1] if part.startswith("sub-"))
    itself = (relative.parent / split_extension(path)[0]).as_posix()
    subject = entities.get("sub") or next(in_folders, itself)
    return {
        "image": str(path),
        "scan": relative.as_posix(),
        "subject": subject,
        "session": entities.get("ses"),
        "run": entities.get("run"),
        "group": subject,
    }
