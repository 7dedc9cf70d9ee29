"""The bundle as one file: a zip archive whose bytes depend on the bundle alone."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path, PurePosixPath

from monai_tff.bundle.export.saving import saving

WEIGHTS = (".safetensors", ".pt", ".ts", ".pt2")
"""Files of numbers, which hardly get smaller."""

_FILE_MODE = 0o100644 << 16


def write_archive(folder: Path, archive: Path) -> None:
    """Packs a bundle; the archive holds its folder.

    Args:
        folder: of the bundle.
        archive: zip file to write.

    Raises:
        BundleError: if the disk refuses.
    """
    with saving(archive), zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(PurePosixPath(folder.name, path.relative_to(folder)).as_posix())
            entry.external_attr = _FILE_MODE
            entry.compress_type = zipfile.ZIP_STORED if path.suffix in WEIGHTS else zipfile.ZIP_DEFLATED
            entry.file_size = path.stat().st_size
            with open(path, "rb") as content, packed.open(entry, "w") as copy:
                shutil.copyfileobj(content, copy, 2**20)
