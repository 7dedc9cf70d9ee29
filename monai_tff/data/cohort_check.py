"""What the headers of a cohort show about the input contract, before any voxel is read and any training starts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from monai_tff.contract import CLEANING, InputContract
from monai_tff.data.checking import check_header
from monai_tff.data.datalist import UNLABELLED, load_datalist, load_records
from monai_tff.data.header import read_header
from monai_tff.data.mask_files import check_mask_grid, find_mask
from monai_tff.data.packed import PackedName, read_packed_facts
from monai_tff.data.packed_source import open_prepared
from monai_tff.data.splits import SECTIONS
from monai_tff.errors import ContractError, ScanError, UserError

_THREADS = 8
"""Headers are read in threads: on a network file system the time goes into waiting."""


def check_cohort(
    datalist: str | os.PathLike[str],
    dataset_dir: str | os.PathLike[str],
    contract: InputContract,
    *,
    packed_dir: str | os.PathLike[str] | None = None,
    encoding: str = "int16",
    reader: str | None = None,
) -> None:
    """Checks the headers of every scan of a datalist, test scans too, before a training starts.

    Args:
        datalist: path of the JSON file.
        dataset_dir: folder that the paths of the datalist start from.
        contract: what the network expects.
        packed_dir: folder of packed scans, None where the scans themselves are read.
        encoding: of the packed scans.
        reader: name of the MONAI reader.

    Raises:
        DatalistError: see `load_records`.
        ScanError: see `check_headers`.
        ContractError: see `check_headers`; or if the cohort's denoising is not the contract's.
    """
    content = load_datalist(datalist)
    _check_denoising(datalist, content.get("denoising", "none"), contract.denoising)
    records = [
        record
        for section in SECTIONS
        if content[section]
        for record in load_records(
            datalist,
            dataset_dir,
            section,
            with_unlabelled=section == "training" and bool(content[UNLABELLED]),
            packed_dir=packed_dir,
        )
    ]
    check_headers(records, contract, packed_dir=packed_dir, encoding=encoding, reader=reader)


def _check_denoising(datalist: str | os.PathLike[str], found: str, wanted: str) -> None:
    """What the cohort did to its time courses must be what the contract says; cleaning on loading starts from none."""
    expected = "none" if wanted.startswith(CLEANING) else wanted
    if found != expected:
        raise ContractError(
            f"{datalist}: the denoising of its scans is '{found}', but the input contract says '{wanted}'; set "
            f"denoising to {found} in the dataset layer, or build the datalist from other scans."
        )


def check_headers(
    records: Sequence[Mapping[str, Any]],
    contract: InputContract,
    key: str = "image",
    *,
    packed_dir: str | os.PathLike[str] | None = None,
    encoding: str = "int16",
    reader: str | None = None,
) -> None:
    """Checks all scans of a datalist as far as their headers go, so that a run does not fail hours later.

    Missing files, 3D files, grid after the crop, voxel size, frames, repetition time, and the grids of masks; of packed
    scans that they are there, whole, and of their sources, by content where the record has it.

    Args:
        records: with the path of the scan under `key` and optionally `tr` (seconds), `mask` (a path) and `content`.
        contract: what the network expects.
        key: key of the scan.
        packed_dir: folder of packed scans, None where the scans themselves are read.
        encoding: of the packed scans.
        reader: name of the MONAI reader.

    Raises:
        ScanError: for the first scan or mask that cannot be used, with the number of others.
        ContractError: likewise, for a scan that does not match the contract.
    """

    def fault_of(record: Mapping[str, Any]) -> UserError | None:
        try:
            if packed_dir is None:
                _check_scan(record, contract, key)
            else:
                _check_packed(record, contract, key, packed_dir, encoding, reader)
        except UserError as error:
            return error
        return None

    with ThreadPoolExecutor(_THREADS) as pool:
        faults = [fault for fault in pool.map(fault_of, records) if fault is not None]
    if not faults:
        return
    if len(faults) == 1:
        raise faults[0]
    more = f"{len(faults) - 1} more of {len(records)} scans cannot be used either"
    raise type(faults[0])(f"{str(faults[0]).rstrip('.')} ({more}).") from faults[0]


def _check_scan(record: Mapping[str, Any], contract: InputContract, key: str) -> None:
    header = read_header(record[key])
    check_header(record[key], header, contract, record.get("tr"))
    if contract.mask != "auto":
        return
    if record.get("mask") is None:
        find_mask(record[key], header)
    else:
        check_mask_grid(record["mask"], record[key], header)


def _check_packed(
    record: Mapping[str, Any],
    contract: InputContract,
    key: str,
    packed_dir: str | os.PathLike[str],
    encoding: str,
    reader: str | None,
) -> None:
    name = PackedName.of_record(
        record[key],
        contract,
        scan=record.get("scan"),
        encoding=encoding,
        reader=reader,
        mask_file=record.get("mask"),
        confounds=record.get("confounds"),
    )
    open_prepared(name, packed_dir, record[key], repetition_time=record.get("tr"))
    path, wanted = name.path(packed_dir), record.get("content")
    found = read_packed_facts(path)["source"]["content"]
    # two cohorts may have scans of one path, and without its source nothing else tells them apart
    if wanted is not None and found != wanted:
        raise ScanError(
            f"{record[key]}: the packed scan {path} holds the voxels {found[:12]}..., expected {wanted[:12]}... as in "
            "the datalist; pack each cohort into a folder of its own, or build the datalist again."
        )
