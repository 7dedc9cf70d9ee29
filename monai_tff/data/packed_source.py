"""What a packed scan was made from, and whether that is still what lies there."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monai_tff.contract import InputContract
from monai_tff.data.checking import check_header
from monai_tff.data.content import content_hash
from monai_tff.data.header import ScanHeader, read_header
from monai_tff.data.mask_files import find_mask
from monai_tff.data.packed import PackedName, open_packed, read_packed_facts
from monai_tff.data.scan import CompactScan
from monai_tff.errors import ScanError

Path_ = str | os.PathLike[str]


def describe_source(
    image: Path_,
    scan: str,
    header: ScanHeader,
    content: str,
    mask: Path_ | None,
    repetition_time: float | None,
    confounds: Path_ | None = None,
) -> dict[str, Any]:
    """Facts about a scan's files that a later look compares.

    Args:
        image: the scan.
        scan: its path in the datalist.
        header: its header.
        content: its content hash.
        mask: the mask file that is used, None without.
        repetition_time: seconds, of the record; None without.
        confounds: the table of confounds that are removed, None without.

    Returns:
        Name, size, time of change and content of the scan, its header, and the same of mask and table; no absolute
        path.
    """
    return {
        "name": scan,
        **_state(image),
        "content": content,
        "header": _header_facts(header),
        "repetition_time": repetition_time,
        "mask": _companion(mask, image),
        "confounds": _companion(confounds, image),
    }


def stale_reason(source: Mapping[str, Any], image: Path_, contract: InputContract, name: PackedName) -> str | None:
    """Why a packed scan is not that of its source any more; None where it is, or where the source is gone.

    Args:
        source: facts of `describe_source`.
        image: the scan.
        contract: the input contract.
        name: of the packed scan.

    Raises:
        ScanError: when the source cannot be read.
    """
    if not os.path.isfile(image):
        return None
    header = None
    if not _same_state(source, image):
        header = read_header(image)
        if _header_facts(header) != source["header"]:
            return "the header of its scan has changed"
        if content_hash(image, header) != source["content"]:
            return "the voxels of its scan have changed"
    mask = source["mask"]
    for companion, words in ((mask, "its mask"), (source["confounds"], "its table of confounds")):
        if companion is not None and _has_changed(companion, image):
            return f"{words} has changed"
    if contract.mask == "auto" and name.mask is None:
        found = find_mask(image, header or read_header(image))
        if found is not None and (mask is None or mask["name"] != _beside(found, image)):
            return f"there is another mask beside the scan now, {found.name}"
    return None


def open_prepared(
    name: PackedName,
    packed_dir: Path_,
    image: Path_,
    *,
    repetition_time: float | None = None,
    memory_map: bool = True,
) -> tuple[CompactScan, str]:
    """Opens the packed scan of a record.

    Args:
        name: what identifies it.
        packed_dir: folder of packed scans.
        image: the scan it was made from; where that is gone, the packed scan is used as it is.
        repetition_time: seconds, of the record; None for what was found when the scan was packed.
        memory_map: map the file instead of reading it whole.

    Returns:
        The compact scan and the origin of its mask.

    Raises:
        ScanError: when there is no such file, it is not whole, or the scan, its header or its mask have changed.
        ContractError: when the scan does not match the contract.
    """
    path = name.path(packed_dir)
    if not path.is_file():
        raise ScanError(
            f"{image}: there is no packed scan {path} for these settings, expected one; "
            "run `python -m monai_tff prepare` with the same datalist and dataset layer."
        )
    facts = read_packed_facts(path)
    reason = stale_reason(facts["source"], image, name.contract, name)
    if reason is not None:
        raise ScanError(
            f"{image}: {reason} since it was packed into {path}, expected the same; run `python -m monai_tff prepare` "
            "again."
        )
    scan = open_packed(path, in_memory=not memory_map)
    seconds = scan.repetition_time if repetition_time is None else repetition_time
    scan = dataclasses.replace(scan, source=str(image), repetition_time=seconds)
    check_header(image, _header_from(facts["source"]["header"], seconds), name.contract)
    return scan, facts["mask_source"]


def _beside(path: Path_, image: Path_) -> str:
    return Path(os.path.relpath(path, os.path.dirname(os.path.abspath(image)))).as_posix()


def _companion(path: Path_ | None, image: Path_) -> dict[str, Any] | None:
    """Facts about a file that belongs to a scan."""
    return None if path is None else {"name": _beside(path, image), **_state(path), "content": _file_hash(path)}


def _has_changed(companion: Mapping[str, Any], image: Path_) -> bool:
    """Whether a file that belongs to a scan is another one now; one that is gone has not changed."""
    path = os.path.join(os.path.dirname(image), companion["name"])
    return os.path.isfile(path) and not _same_state(companion, path) and _file_hash(path) != companion["content"]


def _state(path: Path_) -> dict[str, int]:
    status = os.stat(path)
    return {"size": status.st_size, "modified": status.st_mtime_ns}


def _same_state(known: Mapping[str, Any], path: Path_) -> bool:
    return _state(path) == {"size": known["size"], "modified": known["modified"]}


def _file_hash(path: Path_) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _header_facts(header: ScanHeader) -> dict[str, Any]:
    """What the header says, but for the repetition time: that is no matter of voxels."""
    return {
        "shape": list(header.shape),
        "voxel_size": list(header.voxel_size),
        "axis_codes": header.axis_codes,
        "slope": header.slope,
        "intercept": header.intercept,
        "dtype": header.dtype.str,
        "affine": header.affine.tolist(),
    }


def _header_from(facts: Mapping[str, Any], repetition_time: float | None) -> ScanHeader:
    return ScanHeader(
        shape=tuple(facts["shape"]),
        voxel_size=tuple(facts["voxel_size"]),
        axis_codes=facts["axis_codes"],
        repetition_time=repetition_time,
        slope=facts["slope"],
        intercept=facts["intercept"],
        dtype=np.dtype(facts["dtype"]),
        affine=np.asarray(facts["affine"]),
    )
