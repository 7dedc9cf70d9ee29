"""What the header of a scan says: grid, repetition time, scaling. No voxel is read."""

from __future__ import annotations

import dataclasses
import math
import os
import zlib
from pathlib import Path
from typing import cast

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from monai_tff.data.sidecar import sidecar_repetition_time
from monai_tff.errors import ScanError

MILLISECONDS_FROM = 100.0
"""A repetition time of this or more cannot be seconds: it is milliseconds with the wrong unit."""

_SECONDS_PER_UNIT = {"sec": 1.0, "unknown": 1.0, "msec": 1e-3, "usec": 1e-6}


@dataclasses.dataclass(frozen=True)
class ScanHeader:
    """Header facts of one scan, in the order in which it is stored.

    Attributes:
        shape: X, Y, Z, T.
        voxel_size: mm along each axis.
        axis_codes: direction in which each axis grows, `RAS` or `LAS` for example.
        repetition_time: seconds between frames, None where neither sidecar nor header states it.
        slope: factor from stored to real values, 1 for unscaled scans.
        intercept: offset from stored to real values.
        dtype: of the stored values, with their byte order.
        affine: [4, 4], voxel indices to mm.
    """

    shape: tuple[int, int, int, int]
    voxel_size: tuple[float, float, float]
    axis_codes: str
    repetition_time: float | None
    slope: float
    intercept: float
    dtype: np.dtype
    affine: np.ndarray = dataclasses.field(compare=False)

    @property
    def spatial_shape(self) -> tuple[int, int, int]:
        """X, Y, Z."""
        return self.shape[:3]

    @property
    def num_frames(self) -> int:
        """T."""
        return self.shape[3]


def read_header(path: str | os.PathLike[str]) -> ScanHeader:
    """Reads the header of a 4D NIfTI scan, and its repetition time from the BIDS sidecar where there is one.

    The repetition time of a sidecar wins over the header's. A value of 100 or more "seconds" is taken as
    milliseconds, 0 as unknown.

    Args:
        path: a `.nii` or `.nii.gz` file.

    Returns:
        The header's facts.

    Raises:
        ScanError: when the file is missing, not NIfTI, truncated within the header, not 4D, or has a grid that
            makes no sense; when a sidecar is not JSON.

    Example:
        >>> header = read_header("sub-01_task-rest_bold.nii.gz")  # doctest: +SKIP
        >>> header.shape, header.repetition_time  # doctest: +SKIP
        ((91, 109, 91, 1200), 0.72)
    """
    image = open_nifti(path)
    shape = tuple(int(size) for size in image.shape)
    if len(shape) != 4:
        raise ScanError(
            f"{path}: is {len(shape)}D with shape {shape}, expected 4D (x, y, z, time); give the whole run as one file."
        )
    proxy = cast("ArrayProxy", image.dataobj)
    dtype = image.header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise ScanError(f"{path}: stores values of type {dtype}, expected integers or floats; convert the scan.")
    return ScanHeader(
        shape=shape,
        voxel_size=voxel_size_of(image.affine),
        axis_codes="".join(nib.orientations.aff2axcodes(image.affine)),
        repetition_time=_repetition_time(path, image),
        slope=float(proxy.slope),
        intercept=float(proxy.inter),
        dtype=dtype,
        affine=np.asarray(image.affine, dtype=np.float64),
    )


def open_nifti(path: str | os.PathLike[str]) -> nib.nifti1.Nifti1Pair:
    """Opens a NIfTI-1 or NIfTI-2 file lazily and checks that its grid makes sense.

    Args:
        path: file of any number of dimensions.

    Returns:
        nibabel's image; its voxels are still on disk.

    Raises:
        ScanError: naming the file and what is wrong with it.
    """
    if not Path(path).is_file():
        dangling = Path(path).is_symlink()
        found = "is a link to a file that is not there" if dangling else "there is no such file"
        raise ScanError(f"{path}: {found}, expected a NIfTI scan; {'fetch it' if dangling else 'check the path'}.")
    try:
        image = nib.load(path)
    except (ImageFileError, HeaderDataError, WrapStructError, OSError, EOFError, zlib.error, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise ScanError(
            f"{path}: the header cannot be read ({reason}), expected a complete NIfTI file; copy or convert it again."
        ) from error
    if not isinstance(image, nib.nifti1.Nifti1Pair):
        raise ScanError(f"{path}: is {type(image).__name__}, expected NIfTI (.nii or .nii.gz); convert it.")
    if min(image.shape, default=0) < 1:
        raise ScanError(
            f"{path}: the header gives the shape {image.shape}, expected sizes of at least 1; convert it again."
        )
    # a zero or non-finite column has no direction, and a flattened grid no inverse
    if not np.isfinite(image.affine).all() or abs(np.linalg.det(image.affine)) < 1e-9:
        raise ScanError(
            f"{path}: the affine {np.round(image.affine, 3).tolist()} maps the grid to no volume, "
            "expected three independent axes; correct the header."
        )
    return image


def voxel_size_of(affine: np.ndarray) -> tuple[float, float, float]:
    """Voxel size in mm along each axis of a [4, 4] affine, without the noise of float32 headers."""
    x, y, z = (round(float(size), 6) for size in nib.affines.voxel_sizes(affine))
    return x, y, z


def header_repetition_time(image: nib.nifti1.Nifti1Pair) -> float | None:
    """Seconds between frames as the header alone states them, None where it does not.

    Args:
        image: an open 4D scan.
    """
    unit = image.header.get_xyzt_units()[1]
    return _seconds(float(image.header.get_zooms()[3]) * _SECONDS_PER_UNIT.get(unit, math.nan))


def _repetition_time(path: str | os.PathLike[str], image: nib.nifti1.Nifti1Pair) -> float | None:
    seconds = sidecar_repetition_time(path)
    return header_repetition_time(image) if seconds is None else _seconds(seconds)


def _seconds(value: float) -> float | None:
    return _rounded(value / 1000 if value >= MILLISECONDS_FROM else value)


def _rounded(seconds: float) -> float | None:
    """Seconds without the noise of float32 headers; None for 0, negative and non-finite values."""
    return round(seconds, 6) if math.isfinite(seconds) and round(seconds, 6) > 0 else None
