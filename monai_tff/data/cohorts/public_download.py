"""Public studies through nilearn's downloaders, with errors in sentences and nothing left behind by a failure."""

from __future__ import annotations

import os
import tarfile
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from monai_tff.data.cohorts.public_studies import Study
from monai_tff.errors import DatalistError


def fetch(study: Study, folder: str | os.PathLike[str], **options: Any) -> Any:
    """Downloads what is missing of a study; files that are there already need no network.

    nilearn waits 15 s for a connection and does not try again. A file that was cut off half-way stays in a folder of
    its own until the next call completes it.

    Args:
        study: to download.
        folder: nilearn's `data_dir`.
        **options: of nilearn's function.

    Returns:
        nilearn's Bunch: paths, and the table as `phenotypic`.

    Raises:
        DatalistError: without network, with a server that does not have a file, a folder that cannot be written, a
            table that is not the study's.
    """
    from nilearn import datasets

    root = Path(folder)
    if os.pathsep in str(root):
        raise DatalistError(
            f"{root}: contains '{os.pathsep}', which nilearn takes for the end of a path, expected a path without it; "
            "choose another folder."
        )
    there_before = {root, *root.parents, *_entries(root / study.folder), root / "README.md"}
    there_before = {path for path in there_before if path.exists()}
    try:
        return getattr(datasets, study.fetcher)(data_dir=str(root), **options)
    except (OSError, EOFError, ValueError, LookupError, zlib.error, tarfile.TarError) as error:
        _remove_empty(root, study, there_before)
        raise DatalistError(
            f"{root / study.folder}: {study.name} is not there in full and cannot be downloaded ({_reason(error)}), "
            "expected a network, or the files as nilearn stores them; connect, or copy the folder from a machine that "
            "has it."
        ) from error


def _entries(folder: Path) -> set[Path]:
    return {folder, *folder.rglob("*")}


def _reason(error: BaseException) -> str:
    """Why a download failed, in a few words."""
    # what requests raises knows what was asked for
    address = getattr(getattr(error, "request", None), "url", None)
    if address is not None:
        host, response = urlsplit(str(address)).hostname, getattr(error, "response", None)
        return f"{host} could not be reached" if response is None else f"{host} answered {response.status_code}"
    return f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}"


def _remove_empty(root: Path, study: Study, there_before: set[Path]) -> None:
    """Removes the folders that nilearn made in vain, and its README.md where nothing else is in the folder."""
    for folder in sorted(_entries(root / study.folder) - there_before, reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    readme = root / "README.md"
    if root.is_dir() and readme not in there_before and not (root / study.folder).exists():
        readme.unlink(missing_ok=True)
    for folder in (root, *root.parents):
        if folder in there_before or not folder.is_dir() or any(folder.iterdir()):
            break
        folder.rmdir()
