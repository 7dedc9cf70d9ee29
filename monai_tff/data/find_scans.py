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
        Records sorted by path: `image` (absolute), `scan` (relative to the folder), `subject`, `session`, `run`,
        `group` (the subject). A name without a `sub-` entity is its own subject.

    Raises:
        ScanError: if a path is not there or no scan is found.
    """
    sources = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    records = [record for item in sources for record in _records_in(Path(item))]
    if not records:
        raise ScanError(
            f"{', '.join(str(item) for item in sources)}: no scan found, expected 4D files that end in .nii or .nii.gz; "
            "check the path."
        )
    return records


def _records_in(path: Path) -> list[dict[str, Any]]:
    if path.is_file():
        return [_record(path, path.parent)]
    if not path.is_dir():
        raise ScanError(f"{path}: there is no such file or folder; check the path.")
    files = sorted(file for file in path.rglob("*") if file.name.endswith(NIFTI_EXTENSIONS))
    bold = [file for file in files if parse_name(file).suffix == "bold"]
    others = [file for file in files if not split_extension(file)[0].endswith(MASK_WORDS)]
    return [_record(file, path) for file in bold or others]


def _record(path: Path, folder: Path) -> dict[str, Any]:
    entities = parse_name(path).entities
    subject = entities.get("sub", split_extension(path)[0])
    return {
        "image": str(path.resolve()),
        "scan": str(path.relative_to(folder)),
        "subject": subject,
        "session": entities.get("ses"),
        "run": entities.get("run"),
        "group": subject,
    }
