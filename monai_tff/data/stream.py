"""The stored voxels of a scan from its file, in one pass from the first frame to the last."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from isal import igzip

from monai_tff.data.header import ScanHeader, open_nifti
from monai_tff.errors import ScanError

RUN_BYTES = 2**23
"""Bytes that are read at once, one frame at least."""


def stored_runs(path: str | os.PathLike[str], header: ScanHeader, run_bytes: int = RUN_BYTES) -> Iterator[np.ndarray]:
    """Reads a scan once, a few frames at a time; a compressed file is decompressed once, to its end.

    Args:
        path: `.nii` or `.nii.gz` file.
        header: its header.
        run_bytes: bytes to read at once; one frame is read at least.

    Yields:
        Stored values (no slope, no intercept) in the file's dtype and byte order, [frames, X * Y * Z], the first axis
        of the grid fastest. The array is used again for the next run: copy what is kept.

    Raises:
        ScanError: for a file that is truncated or damaged, a wrong checksum of a compressed file included.
    """
    frame_size = int(np.prod(header.spatial_shape))
    frame_bytes = frame_size * header.dtype.itemsize
    per_run = max(1, run_bytes // frame_bytes)
    buffer = np.empty((min(per_run, header.num_frames), frame_size), header.dtype)
    done = 0
    try:
        with _opened(path) as file:
            _skip(file, voxel_offset(path))
            while done < header.num_frames:
                run = buffer[: min(per_run, header.num_frames - done)]
                _fill(file, run)
                yield run
                done += len(run)
            # the checksum of a compressed file stands behind its last byte
            while file.read(RUN_BYTES):
                pass
    except (OSError, EOFError, zlib.error, ValueError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ScanError(
            f"{path}: the voxels cannot be read after frame {done} ({lines[0].strip().rstrip('.')}), expected "
            f"{header.shape} of them; the file is truncated or damaged, copy or convert it again."
        ) from error


def _opened(path: str | os.PathLike[str]) -> Any:
    # ISA-L decompresses about twice as fast as zlib
    return igzip.open(path, "rb") if str(path).endswith(".gz") else open(path, "rb")


def voxel_offset(path: str | os.PathLike[str]) -> int:
    """First byte of the voxels of a scan, decompressed.

    Raises:
        ScanError: for a pair of files, `.hdr` and `.img`.
    """
    image = open_nifti(path)
    data_file = Path(image.file_map["image"].filename or path)
    if data_file != Path(path) and data_file.resolve() != Path(path).resolve():
        raise ScanError(f"{path}: its voxels are in another file, {data_file}, expected .nii or .nii.gz; convert it.")
    return int(image.dataobj.offset)  # type: ignore[attr-defined]


def _skip(file: Any, size: int) -> None:
    if len(file.read(size)) < size:
        raise EOFError("the file ends within its header")


def _fill(file: Any, run: np.ndarray) -> None:
    """Fills an array with the next bytes of a file."""
    rest = run.view(np.uint8).reshape(-1).data
    while rest:
        count = file.readinto(rest)
        if not count:
            raise EOFError(f"{len(rest)} bytes are missing")
        rest = rest[count:]
