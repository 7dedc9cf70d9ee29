"""A scan that comes with a request: into a folder of its own, under a name that the caller has no say in."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from monai_tff.apps.monailabel.refusals import RefusedError

GZIP = b"\x1f\x8b"
MAX_RATIO = 4
"""How much larger than the largest upload the voxels of an upload may be; scans pack to a half or a third."""


def save_upload(source: BinaryIO, folder: Path, max_bytes: int) -> str:
    """Writes an upload to a file.

    Args:
        source: the upload.
        folder: is there already, and is removed by the caller.
        max_bytes: most bytes of an upload.

    Returns:
        The path of the file, which ends as its content says: `.nii.gz` or `.nii`.

    Raises:
        RefusedError: with the status 422 for a file that is no NIfTI, 413 for one that unpacks to too much.
    """
    source.seek(0)
    packed = source.read(2) == GZIP
    path = folder / ("upload.nii.gz" if packed else "upload.nii")
    source.seek(0)
    with path.open("wb") as target:
        shutil.copyfileobj(source, target)
    try:
        image: Any = nib.load(path)
        size = math.prod(map(int, image.shape)) * image.get_data_dtype().itemsize
    except (ImageFileError, OSError, EOFError, ValueError, HeaderDataError):
        raise RefusedError(422, "The file is no NIfTI scan, expected a .nii or .nii.gz file.") from None
    if size > MAX_RATIO * max_bytes:
        raise RefusedError(413, f"The scan has {size:,} bytes of voxels, more than this server takes.")
    return str(path)
