"""The files of weights, by their formats, without loading one."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import safetensors

from monai_tff.bundle import layout
from monai_tff.bundle.verification.archives import open_archive, read_member
from monai_tff.bundle.verification.findings import Finding, refused, shown
from monai_tff.bundle.verification.pickles import (
    MAX_PICKLE,
    STATE_DICT_MEMBERS,
    check_layout,
    check_pickle,
    check_stored,
)
from monai_tff.bundle.verification.programs import check_program
from monai_tff.bundle.verification.texts import parse_json
from monai_tff.bundle.verification.torchscript import check_torchscript
from monai_tff.errors import BundleError

MAX_HEADER = 16 * 1024**2
"""Bytes of the header of a safetensors file."""

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def format_findings(folder: Path, names: tuple[str, ...]) -> Iterator[Finding]:
    """What is wrong with files of weights.

    Args:
        folder: of the bundle or run.
        names: of the files that are there.

    Yields:
        One finding for each file.
    """
    for name in names:
        yield from refused("formats", name, CHECKS[Path(name).suffix], folder / name)


def safetensors_header(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Reads the header of a safetensors file.

    Args:
        path: of the file.

    Returns:
        Name -> `dtype`, `shape` and `data_offsets` of each tensor, and the metadata.

    Raises:
        BundleError: for a header that does not describe exactly what follows it.
    """
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if length > MAX_HEADER:
                raise BundleError(f"a header of {length:,} bytes, expected at most {MAX_HEADER:,}")
            content = parse_json(file.read(length))
    except (OSError, struct.error) as error:
        raise BundleError(f"cannot be read as safetensors ({error}), expected a whole file") from error
    metadata = content.pop("__metadata__", {}) if isinstance(content, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise BundleError("a header that is no mapping of names to tensors")
    end = 0
    try:
        for _, tensor in sorted(content.items(), key=lambda item: item[1]["data_offsets"][0]):
            end = _tensor_end(tensor, end)
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise BundleError("a header that is no mapping of names to tensors") from error
    if 8 + length + end != size or not content:
        raise BundleError(f"{size:,} bytes, expected {8 + length + end:,} by its header, and a tensor at least")
    return content, metadata


def _tensor_end(tensor: dict[str, Any], start: int) -> int:
    shape, (first, end) = tensor["shape"], tensor["data_offsets"]
    count = BYTES[tensor["dtype"]]
    for length in shape:
        if not isinstance(length, int) or length < 0:
            raise ValueError(length)
        count *= length
    if set(tensor) != {"dtype", "shape", "data_offsets"} or first != start or end != start + count:
        raise ValueError(tensor)
    return int(end)


def check_safetensors(path: Path) -> None:
    """Refuses a file that is no safetensors, for us or for the library that will load it.

    Raises:
        BundleError: saying why.
    """
    safetensors_header(path)
    try:
        with safetensors.safe_open(path, framework="pt"):
            pass
    except safetensors.SafetensorError as error:
        raise BundleError(f"cannot be read as safetensors ({shown(str(error))}), expected a sound file") from error


def check_state_dict(path: Path) -> None:
    """Refuses a `.pt` file that holds more than tensors, numbers and texts.

    Raises:
        BundleError: naming the member or the global.
    """
    with open(path, "rb") as file, open_archive(file) as archive:
        top = check_layout(archive.namelist(), STATE_DICT_MEMBERS, ("data.pkl",))
        check_stored(archive)
        check_pickle(read_member(archive, f"{top}/data.pkl", MAX_PICKLE))


CHECKS: dict[str, Callable[[Path], None]] = {
    Path(layout.SAFETENSORS).suffix: check_safetensors,
    Path(layout.STATE_DICT).suffix: check_state_dict,
    Path(layout.TORCHSCRIPT).suffix: check_torchscript,
    Path(layout.PROGRAM).suffix: check_program,
}
"""By ending of the file."""
