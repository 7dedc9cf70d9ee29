"""Frames to a compressed NIfTI file one at a time, and whether such a file is complete."""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from isal import igzip

from monai_tff.data.header import read_header
from monai_tff.errors import DatalistError, ScanError

_HEADER_BYTES = 352
_WORLD_AXIS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


def centred_affine(shape: Sequence[int], voxel_size: Sequence[float], axis_codes: str) -> np.ndarray:
    """Affine of a grid whose centre is 0 mm.

    Args:
        shape: X, Y, Z.
        voxel_size: mm along each axis.
        axis_codes: direction in which each axis grows, `RAS` for example.

    Returns:
        [4, 4], voxel indices to mm.

    Raises:
        DatalistError: for voxel sizes that are not above 0, or codes that do not name each direction once.
    """
    if len(voxel_size) != 3 or not all(np.isfinite(size) and size > 0 for size in voxel_size):
        raise DatalistError(f"voxel_size is {list(voxel_size)}, expected three sizes in mm, such as 2 2 2.")
    axes = [_WORLD_AXIS.get(code, (-1, 0)) for code in axis_codes]
    if sorted(axis for axis, _ in axes) != [0, 1, 2]:
        raise DatalistError(f"axis_codes is '{axis_codes}', expected a direction for each axis, such as RAS or LAS.")
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, (row, sign) in enumerate(axes):
        affine[row, column] = sign * voxel_size[column]
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return affine


def write_frames(
    path: Path,
    frames: Iterator[np.ndarray],
    number: int,
    voxel_size: Sequence[float],
    axis_codes: str,
    repetition_time: float,
) -> None:
    """Writes a `.nii.gz` file whole or not at all, with one frame in memory.

    Args:
        path: of the file; its folder is made.
        frames: float32 [X, Y, Z] each.
        number: of frames.
        voxel_size: mm along each axis.
        axis_codes: direction in which each axis grows.
        repetition_time: seconds.

    Raises:
        ScanError: for another number of frames, or what `frames` raises.
        OSError: when the file cannot be written.
    """
    first = next(frames, None)
    if first is None:
        raise ScanError(f"{path}: there are no frames, expected {number}.")
    with _replacing(path) as file, igzip.IGzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as packed:
        _header(first.shape, number, voxel_size, axis_codes, repetition_time).write_to(packed)
        packed.write(first.tobytes(order="F"))
        done = 1
        for frame in frames:
            packed.write(frame.astype(np.float32, copy=False).tobytes(order="F"))
            done += 1
        if done != number:
            raise ScanError(f"{path}: there are {done} frames, expected {number}.")


def is_complete(path: Path, facts: Mapping[str, Any]) -> bool:
    """Whether a scan is there, whole by its size, and its sidecar has these facts."""
    try:
        sidecar = json.loads(path.with_name(path.name.removesuffix(".nii.gz") + ".json").read_text(encoding="utf-8"))
        if any(sidecar.get(key) != value for key, value in facts.items()):
            return False
        size = _HEADER_BYTES + 4 * int(np.prod(read_header(path).shape, dtype=np.int64))
        with open(path, "rb") as file:
            file.seek(-4, os.SEEK_END)
            # a compressed file ends with its uncompressed size, modulo 4 GB
            return struct.unpack("<I", file.read(4))[0] == size % 2**32
    except (OSError, ValueError, AttributeError):
        return False


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file whole or not at all; its folder is made.

    Raises:
        OSError: when it cannot be written.
    """
    with _replacing(path) as file:
        file.write((json.dumps(content, indent=4) + "\n").encode())


def _header(
    shape: Sequence[int], number: int, voxel_size: Sequence[float], axis_codes: str, repetition_time: float
) -> nib.nifti1.Nifti1Header:
    header = nib.nifti1.Nifti1Header(endianness="<")
    header.set_data_dtype(np.float32)
    header.set_data_shape((*shape, number))
    affine = centred_affine(shape, voxel_size, axis_codes)
    header.set_zooms((*voxel_size, repetition_time))
    header.set_xyzt_units("mm", "sec")
    header.set_sform(affine, code="aligned")
    header.set_qform(affine, code="aligned")
    header.set_slope_inter(1, 0)
    return header


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its place when the block ends without error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
