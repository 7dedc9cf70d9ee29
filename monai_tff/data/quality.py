"""The check of a datalist: every scan read whole, and what was found, before a training depends on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from monai_tff.data.datalist import load_datalist
from monai_tff.data.layers import contract_of
from monai_tff.data.overlap import SECTIONS, UNLABELLED
from monai_tff.data.quality_cohort import CheckedScan, find_all
from monai_tff.data.quality_facts import ScanFacts, ScanJob
from monai_tff.data.quality_findings import Expectations
from monai_tff.data.quality_report import QualityReport
from monai_tff.data.quality_workers import read_all, usable_cores
from monai_tff.errors import DatalistError


def check_datalist(
    datalist: str | os.PathLike[str],
    dataset_dir: str | os.PathLike[str],
    *,
    layer: Mapping[str, Any] | None = None,
    window_length: int | None = None,
    workers: int | None = None,
    on_scan: Callable[[int, ScanFacts], object] | None = None,
) -> QualityReport:
    """Reads every scan of a datalist whole and judges it.

    Args:
        datalist: path of the JSON file.
        dataset_dir: folder that its paths start from.
        layer: dataset layer (see `read_dataset_layers`): trim, mask policy and, where it has `spatial_size`, the input
            contract that scans are compared with.
        window_length: frames of a window; scans with fewer must be fixed. None for no such comparison.
        workers: processes; None for as many as there are cores.
        on_scan: told the number of each scan (in the order of `scans_of`) and its facts as it is done.

    Returns:
        The report.

    Raises:
        DatalistError: for a datalist that cannot be used, or one without scans.
        ConfigError: for a layer that makes no contract.
    """
    layer = layer or {}
    contract = contract_of(layer, window_length or 1) if layer.get("spatial_size") is not None else None
    expected = Expectations(contract, layer.get("trim") or 0, layer.get("mask") or "auto", window_length)
    listed = scans_of(datalist)
    jobs = [_job(record, dataset_dir, expected.mask) for _, record in listed]
    facts = read_all(jobs, usable_cores() if workers is None else workers, on_scan)
    scans = [CheckedScan(section, record, found) for (section, record), found in zip(listed, facts, strict=True)]
    return QualityReport(str(datalist), str(dataset_dir), dict(layer), scans, find_all(scans, expected))


def scans_of(datalist: str | os.PathLike[str]) -> list[tuple[str, dict[str, Any]]]:
    """Section and record of every scan of a datalist, those without label too.

    Raises:
        DatalistError: for a datalist that cannot be used, or one without scans.
    """
    content = load_datalist(datalist)
    sections = (*SECTIONS, UNLABELLED)
    found = [(section, record) for section in sections for record in content.get(section) or ()]
    if not found:
        raise DatalistError(f"{datalist}: holds no scan, expected at least one; build it again.")
    return found


def _job(record: Mapping[str, Any], dataset_dir: str | os.PathLike[str], mask_policy: str) -> ScanJob:
    folder = os.path.abspath(os.path.expanduser(dataset_dir))
    mask = record.get("mask")
    image = os.path.join(folder, record["image"])
    return ScanJob(image, None if mask is None else os.path.join(folder, mask), mask_policy)
