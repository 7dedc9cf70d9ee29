"""The file of a packed scan: safetensors, written run by run and whole or not at all, opened memory-mapped.

Layout: the header of safetensors with its checksum in place, then `affine`, `voxel_mean`, `voxel_mean_rest`,
`voxel_std`, `values` [T, V] and `mask` (a bit per voxel of the grid). A frame's values lie together, so that a window
is one contiguous read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from monai_tff.data.packed_leftovers import partial_path
from monai_tff.errors import ScanError

FORMAT = "monai_tff packed scan"

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
}
_NO_CHECKSUM = "0" * 64
_ALIGNMENT = 64
_LARGEST_HEADER = 2**24
_READ_BYTES = 2**22


class ValueRuns:
    """The large tensor of a file, which is never in memory as a whole.

    Args:
        dtype: of the values.
        shape: T, V.
        runs: values [frames, V] in order.
    """

    def __init__(self, dtype: torch.dtype, shape: tuple[int, int], runs: Iterable[torch.Tensor]) -> None:
        self.dtype = dtype
        self.shape = shape
        self.runs = runs


def write_packed_file(
    path: Path, tensors: Mapping[str, torch.Tensor | ValueRuns], facts: Mapping[str, Any], version: int
) -> int:
    """Writes a file under a temporary name beside its own, and moves it there when it is on disk.

    Several writers at once are safe: each has its own temporary name, and the last one to finish wins.

    Args:
        path: of the file; folders are made.
        tensors: by name, in the order of the file; wide dtypes first, so that each is aligned.
        facts: what JSON can hold.
        version: of the format.

    Returns:
        Bytes of the file.

    Raises:
        OSError: where the file cannot be written; nothing is left of it then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = partial_path(path)
    try:
        with open(temporary, "xb") as file:
            size = _write(file, tensors, facts, version)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return size


def _write(
    file: BinaryIO, tensors: Mapping[str, torch.Tensor | ValueRuns], facts: Mapping[str, Any], version: int
) -> int:
    header = _header(tensors, facts, version)
    checksum = hashlib.sha256(header)
    file.write(header)
    size = len(header)
    for tensor in tensors.values():
        for part in tensor.runs if isinstance(tensor, ValueRuns) else (tensor,):
            content = part.contiguous().view(-1).view(torch.uint8).numpy().data
            file.write(content)
            checksum.update(content)
            size += len(content)
    file.seek(_checksum_place(header))
    file.write(checksum.hexdigest().encode())
    return size


def _header(tensors: Mapping[str, torch.Tensor | ValueRuns], facts: Mapping[str, Any], version: int) -> bytes:
    text = json.dumps(facts, allow_nan=False, sort_keys=True)
    content: dict[str, Any] = {
        "__metadata__": {"format": FORMAT, "version": str(version), "checksum": _NO_CHECKSUM, "facts": text}
    }
    end = 0
    for name, tensor in tensors.items():
        elements = 1
        for length in tensor.shape:
            elements *= length
        start, end = end, end + elements * tensor.dtype.itemsize
        content[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    encoded = json.dumps(content, separators=(",", ":")).encode()
    encoded += b" " * (-(len(encoded) + 8) % _ALIGNMENT)
    return len(encoded).to_bytes(8, "little") + encoded


def _checksum_place(header: bytes) -> int:
    return header.index(b'"checksum":"') + len(b'"checksum":"')


def _sync_folder(folder: Path) -> None:
    """Makes a new name in a folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_facts(path: str | os.PathLike[str], version: int) -> dict[str, Any]:
    """Reads what a file says about itself and checks that it is whole; no tensor is read.

    Args:
        path: of the file.
        version: the only version of the format that is accepted.

    Returns:
        The facts that it was written with.

    Raises:
        ScanError: when the file is missing, not a packed scan, of another version, or not of its full size.
    """
    with _opened(path) as file:
        return _checked_facts(path, file, _read_header(path, file), version)


def check_checksum(path: str | os.PathLike[str], version: int) -> None:
    """Reads a whole file and compares it with its checksum.

    The checksum is the SHA-256 of the file, its own 64 digits read as 0.

    Args:
        path: of the file.
        version: of the format.

    Raises:
        ScanError: when a single byte is not as it was written, or as `read_facts`.
    """
    # opened once: meanwhile another file may take its name
    with _opened(path) as file:
        header = _read_header(path, file)
        _checked_facts(path, file, header, version)
        place = _checksum_place(header)
        found = hashlib.sha256(header[:place] + _NO_CHECKSUM.encode() + header[place + 64 :])
        while part := file.read(_READ_BYTES):
            found.update(part)
    if found.hexdigest().encode() != header[place : place + 64]:
        raise ScanError(
            f"{path}: does not match its checksum, expected the file as it was written; it is damaged, remove it and "
            "run `python -m monai_tff prepare` again."
        )


def facts_in(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The facts in the metadata of an open safetensors file that `read_facts` has checked."""
    return json.loads(metadata["facts"])


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise ScanError(
            f"{path}: cannot be read ({error.strerror}), expected a packed scan; run `python -m monai_tff prepare`."
        ) from error
    with file:
        yield file


def _read_header(path: str | os.PathLike[str], file: BinaryIO) -> bytes:
    start = file.read(8)
    length = int.from_bytes(start, "little")
    header = file.read(length) if len(start) == 8 and 0 < length <= _LARGEST_HEADER else b""
    if not header or len(header) != length:
        raise _no_packed_scan(path)
    return start + header


def _checked_facts(path: str | os.PathLike[str], file: BinaryIO, header: bytes, version: int) -> dict[str, Any]:
    try:
        content = json.loads(header[8:])
        metadata = content.pop("__metadata__")
        known = (metadata["format"], len(metadata["checksum"])) == (FORMAT, len(_NO_CHECKSUM))
        found_version, facts = metadata["version"], facts_in(metadata)
        end = max(entry["data_offsets"][1] for entry in content.values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_packed_scan(path) from error
    if not known:
        raise _no_packed_scan(path)
    if found_version != str(version):
        raise ScanError(
            f"{path}: is version {found_version} of a packed scan, expected version {version}; "
            "run `python -m monai_tff prepare` again."
        )
    size = os.fstat(file.fileno()).st_size
    if size != len(header) + end:
        raise ScanError(
            f"{path}: has {size} bytes, expected {len(header) + end}; it was cut off, "
            "run `python -m monai_tff prepare` again."
        )
    return facts


def _no_packed_scan(path: str | os.PathLike[str]) -> ScanError:
    return ScanError(
        f"{path}: has no header of a packed scan, expected a whole file; run `python -m monai_tff prepare` again."
    )
