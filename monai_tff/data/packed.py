"""Packed scans: one file per scan that holds a compact scan, opened memory-mapped.

A packed file is identified by the version of the format, the part of the contract that decides about voxels, the
encoding, the reader, the mask and the confounds that the record names, and the scan's path in the datalist; a digest of
these is part of its name.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from monai_tff.contract import CLEANING, InputContract
from monai_tff.data.bids_names import split_extension
from monai_tff.data.packed_file import ValueRuns, check_checksum, facts_in, read_facts, write_packed_file
from monai_tff.data.packed_numbers import ENCODINGS
from monai_tff.data.scan import CompactScan
from monai_tff.errors import ConfigError, ScanError

PACKED_VERSION = 1

PACKED_ENCODINGS = {"int16": "auto", "int8": "codes8", "float32": "float32"}
"""Names on the command line; int16 keeps the integers of a scan that has them, and makes codes of others."""

_OF_CONTRACT = ("crop", "trim", "axis_codes", "mask", "denoising", "normalisation", "spatial_size")
_NUMBERS = (
    *("encoding", "slope", "intercept", "offset", "zero_code"),
    *("global_mean", "global_std", "global_fill", "repetition_time"),
)
_STATISTICS = ("voxel_mean", "voxel_mean_rest", "voxel_std")
_TENSORS = ("affine", *_STATISTICS, "values", "mask")


@dataclasses.dataclass(frozen=True)
class PackedName:
    """What identifies a packed file.

    Args:
        scan: the scan's path in the datalist.
        contract: the input contract; only what decides about voxels counts.
        encoding: `int16`, `int8`, `float32`, or a name of `monai_tff.data.packing` or `auto`.
        reader: name of the MONAI reader, None for the default.
        mask: path of the mask that the record names, relative to the scan's folder, None without.
        confounds: likewise of the table of confounds; it counts only where the contract removes some.
    """

    scan: str
    contract: InputContract
    encoding: str = "auto"
    reader: str | None = None
    mask: str | None = None
    confounds: str | None = None

    def parameters(self) -> dict[str, Any]:
        """Everything that the digest is made of, as JSON has it."""
        contract = self.contract.to_dict()
        return {
            "version": PACKED_VERSION,
            "scan": self.scan,
            "contract": {name: contract[name] for name in _OF_CONTRACT},
            "encoding": encoding_of(self.encoding),
            "reader": self.reader or "NibabelReader",
            "mask": self.mask,
            "confounds": self.confounds if self.contract.denoising.startswith(CLEANING) else None,
        }

    def path(self, packed_dir: str | os.PathLike[str]) -> Path:
        """Where the file is, `<packed_dir>/<scan without extension>__<digest>.safetensors`."""
        text = json.dumps(self.parameters(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        # a path that leads out of its dataset must not lead out of the packed folder
        parts = [part for part in PurePosixPath(self.scan).parts if part not in ("..", "/")]
        stem, _ = split_extension(parts[-1])
        return Path(packed_dir, *parts[:-1], f"{stem}__{digest}.safetensors")

    @classmethod
    def of_record(
        cls,
        image: str | os.PathLike[str],
        contract: InputContract,
        *,
        scan: str | None = None,
        encoding: str = "auto",
        reader: str | None = None,
        mask_file: str | os.PathLike[str] | None = None,
        confounds: str | os.PathLike[str] | None = None,
    ) -> PackedName:
        """The name for a scan whose files are given as absolute paths.

        Args:
            image: the scan.
            contract: the input contract.
            scan: its path in the datalist; None for its file name.
            encoding: see `PackedName`.
            reader: likewise.
            mask_file: mask that the record names.
            confounds: table that the record names.
        """
        folder = os.path.dirname(os.path.abspath(image))
        mask, table = (
            None if path is None else Path(os.path.relpath(path, folder)).as_posix() for path in (mask_file, confounds)
        )
        # the paper's policy never looks at a mask file
        mask = mask if contract.mask == "auto" else None
        return cls(scan or os.path.basename(image), contract, encoding, reader, mask, table)


def encoding_of(name: str) -> str:
    """The encoding behind a user's name.

    Raises:
        ConfigError: for a name that does not exist.
    """
    found = PACKED_ENCODINGS.get(name, name)
    if found != "auto" and found not in ENCODINGS:
        raise ConfigError(f"encoding is '{name}', expected one of {', '.join(PACKED_ENCODINGS)}.")
    return found


def write_packed(path: Path, scan: CompactScan, facts: Mapping[str, Any], values: ValueRuns | None = None) -> int:
    """Writes a compact scan.

    Args:
        path: of the file.
        scan: the scan.
        facts: what JSON can hold, beside the scan's own numbers: contract, parameters, source, mask_source.
        values: the scan's values run by run, where `scan.values` holds none.

    Returns:
        Bytes of the file.

    Raises:
        OSError: where it cannot be written.
    """
    affine = torch.full((4, 4), float("nan"), dtype=torch.float64) if scan.affine is None else scan.affine
    bits = torch.from_numpy(np.packbits(scan.mask.numpy().reshape(-1)))
    tensors = {
        "affine": affine,
        **{name: getattr(scan, name) for name in _STATISTICS},
        "values": scan.values if values is None else values,
        "mask": bits,
    }
    numbers = {name: getattr(scan, name) for name in _NUMBERS}
    return write_packed_file(path, tensors, {**facts, **numbers, "grid": list(scan.mask.shape)}, PACKED_VERSION)


def read_packed_facts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a packed file says about itself, see `monai_tff.data.packed_file.read_facts`."""
    return read_facts(path, PACKED_VERSION)


def open_packed(path: str | os.PathLike[str], *, in_memory: bool = False) -> CompactScan:
    """Opens a packed scan; header, size and version are checked, values are read when they are used.

    Args:
        path: of the file.
        in_memory: read all of it now; otherwise values and voxel statistics are views of the mapped file.

    Returns:
        The compact scan; its source is the scan's path in the datalist.

    Raises:
        ScanError: when the file is missing, not a packed scan, of another version or not of its full size.
    """
    read_facts(path, PACKED_VERSION)
    try:
        with safe_open(os.fspath(path), framework="pt") as file:
            # of the file that is mapped: another one may have taken its name meanwhile
            facts = facts_in(file.metadata())
            tensors = {name: file.get_tensor(name) for name in _TENSORS}
        grid, numbers = tuple(facts["grid"]), {name: facts[name] for name in _NUMBERS}
        source = facts["source"]["name"]
    except (SafetensorError, KeyError, OSError) as error:
        raise ScanError(
            f"{path}: has no header of a packed scan ({error}), expected a whole file; "
            "run `python -m monai_tff prepare` again."
        ) from error
    if in_memory:
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    bits = np.unpackbits(tensors.pop("mask").numpy(), count=int(np.prod(grid)))
    affine = tensors.pop("affine").clone()
    return CompactScan(
        mask=torch.from_numpy(bits.view(bool)).reshape(grid),
        affine=None if bool(affine.isnan().any()) else affine,
        source=source,
        **tensors,
        **numbers,
    )


def verify_packed(path: str | os.PathLike[str]) -> None:
    """Reads a packed file whole and compares it with its checksum.

    Raises:
        ScanError: when it is damaged, or as `open_packed`.
    """
    check_checksum(path, PACKED_VERSION)
