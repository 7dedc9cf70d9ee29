"""What the headers alone show about scans and the input contract, before any voxel is read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from monai_tff.contract import CLEANING, InputContract
from monai_tff.data.datalist import load_datalist, load_records
from monai_tff.data.header import ScanHeader, read_header
from monai_tff.data.mask_files import check_mask_grid, find_mask
from monai_tff.data.splits import SECTIONS
from monai_tff.errors import ConfigError, ContractError, UserError
from monai_tff.transforms.spatial import cropped_size

_THREADS = 8
_OPPOSITE = dict(zip("RLAPSI", "LRPAIS", strict=True))


def axis_order(axis_codes: str, wanted: str | None) -> tuple[int, ...]:
    """Where each axis of the wanted orientation is stored.

    Args:
        axis_codes: orientation of the stored scan, for example `LAS`.
        wanted: orientation that it is brought to; None keeps the stored order.

    Raises:
        ConfigError: if the wanted orientation is not one letter per axis.

    Example:
        >>> axis_order("PLS", "RAS")
        (1, 0, 2)
    """
    if wanted is None:
        return (0, 1, 2)
    order = tuple(i for code in wanted for i, found in enumerate(axis_codes) if code in (found, _OPPOSITE[found]))
    if sorted(order) != [0, 1, 2]:
        raise ConfigError(f"axis_codes is '{wanted}', expected one of R/L, A/P and S/I each, such as RAS.")
    return order


def check_header(
    path: str | os.PathLike[str],
    header: ScanHeader,
    contract: InputContract,
    repetition_time: float | None = None,
) -> None:
    """Checks what a scan's header says against the contract.

    Args:
        path: the scan.
        header: its header.
        contract: what the network expects.
        repetition_time: seconds, from the scan's record; None for the header's.

    Raises:
        ContractError: naming the scan, the value found and the value expected.
    """
    order = axis_order(header.axis_codes, contract.axis_codes)
    contract.check(
        str(path),
        spatial_size=cropped_size([header.shape[axis] for axis in order], contract.crop),
        voxel_size=[header.voxel_size[axis] for axis in order],
        frames=max(0, header.num_frames - contract.trim),
        repetition_time=header.repetition_time if repetition_time is None else repetition_time,
    )


def check_cohort(
    datalist: str | os.PathLike[str], dataset_dir: str | os.PathLike[str], contract: InputContract
) -> None:
    """Checks the headers of every scan of a datalist, test scans too, before a training starts.

    Args:
        datalist: path of the JSON file.
        dataset_dir: folder that the paths of the datalist start from.
        contract: what the network expects.

    Raises:
        DatalistError: see `load_records`.
        ScanError: see `check_headers`.
        ContractError: see `check_headers`; or if the cohort's denoising is not the contract's.
    """
    content = load_datalist(datalist)
    _check_denoising(datalist, content.get("denoising", "none"), contract.denoising)
    sections = [section for section in SECTIONS if content[section]]
    check_headers([record for section in sections for record in load_records(datalist, dataset_dir, section)], contract)


def _check_denoising(datalist: str | os.PathLike[str], found: str, wanted: str) -> None:
    """What the cohort did to its time courses must be what the contract says; cleaning on loading starts from none."""
    expected = "none" if wanted.startswith(CLEANING) else wanted
    if found != expected:
        raise ContractError(
            f"{datalist}: the denoising of its scans is '{found}', but the input contract says '{wanted}'; set "
            f"denoising to {found} in the dataset layer, or build the datalist from other scans."
        )


def check_headers(records: Sequence[Mapping[str, Any]], contract: InputContract, key: str = "image") -> None:
    """Checks all scans of a datalist as far as their headers go, so that a run does not fail hours later.

    Missing files, 3D files, grid after the crop, voxel size, frames, repetition time, and the grids of masks.

    Args:
        records: with the path of the scan under `key` and optionally `tr` (seconds) and `mask` (a path).
        contract: what the network expects.
        key: key of the scan.

    Raises:
        ScanError: for the first scan or mask that cannot be used, with the number of others.
        ContractError: likewise, for a scan that does not match the contract.
    """

    def fault_of(record: Mapping[str, Any]) -> UserError | None:
        try:
            header = read_header(record[key])
            check_header(record[key], header, contract, record.get("tr"))
            if contract.mask == "auto":
                if record.get("mask") is None:
                    find_mask(record[key], header)
                else:
                    check_mask_grid(record["mask"], record[key], header)
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
