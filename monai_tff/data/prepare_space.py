"""Whether a folder can take the packed scans of a datalist, found out before hours of work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from monai_tff.contract import InputContract
from monai_tff.data.header import read_header
from monai_tff.data.packed_leftovers import partial_path
from monai_tff.data.prepare_scan import Record, packed_name
from monai_tff.errors import ScanError, UserError

BYTES_PER_VALUE = {"int16": 2, "int8": 1, "float32": 4}

LIKELY_SHARE, SMALLEST_SHARE = 0.40, 0.10
"""In-mask share of the network's grid: of a brain in a close crop, and the least that is taken for a brain."""


class SpaceNeeded(NamedTuple):
    """What packing needs on disk.

    Attributes:
        missing: scans that have no packed file yet.
        likely: bytes for them if 40 % of the grid is brain.
        free: bytes of the folder's disk that are free.
    """

    missing: int
    likely: int
    free: int


def check_space(
    records: Sequence[Record],
    packed_dir: str | os.PathLike[str],
    contract: InputContract,
    encoding: str,
    reader: str | None,
) -> SpaceNeeded:
    """Checks that a folder can be written to and holds what is going to be packed, as far as the first scan tells.

    Args:
        records: of the scans.
        packed_dir: folder of packed scans; it is made.
        contract: the input contract.
        encoding: `int16`, `int8` or `float32`.
        reader: name of the MONAI reader.

    Raises:
        ScanError: when the folder cannot be made or written to, or has not even the space for the smallest brains.
    """
    folder = Path(packed_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = partial_path(folder / "space")
        trial.write_bytes(b"\0")
        trial.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ScanError(
            f"{packed_dir}: packed scans cannot be written there ({error.strerror}), expected a folder that you may "
            "write to; choose another one with --output."
        ) from error
    missing = [
        record for record in records if not packed_name(record, contract, encoding, reader).path(folder).is_file()
    ]
    frames = _first_number_of_frames(missing, contract)
    per_share = len(missing) * frames * int(np.prod(contract.spatial_size)) * BYTES_PER_VALUE.get(encoding, 2)
    if free < SMALLEST_SHARE * per_share:
        raise ScanError(
            f"{packed_dir}: {_gigabytes(free)} are free, expected about {_gigabytes(LIKELY_SHARE * per_share)} for "
            f"{len(missing)} scans of {frames} frames; free some space, choose another folder with --output, or pack "
            "with --encoding int8."
        )
    return SpaceNeeded(len(missing), int(LIKELY_SHARE * per_share), free)


def _first_number_of_frames(records: Sequence[Record], contract: InputContract) -> int:
    """Trimmed frames of the first scan that can be read, 0 where there is none."""
    for record in records:
        try:
            return max(0, read_header(record["image"]).num_frames - contract.trim)
        except UserError:
            continue  # its own sentence comes when it is packed
    return 0


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
