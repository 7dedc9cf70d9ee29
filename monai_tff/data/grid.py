"""What the headers of a cohort's scans have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from monai_tff.contract import MASK_POLICIES
from monai_tff.data.header import ScanHeader, read_header
from monai_tff.data.mask_files import check_mask_grid, find_mask
from monai_tff.data.records import Record
from monai_tff.errors import DatalistError, ScanError

_THREADS = 8
"""Headers are read in threads: on a network file system the time goes into waiting."""


def note_headers(
    records: Sequence[Record], dataset_dir: Path, *, mask: str = "auto", progress: bool = False
) -> list[ScanHeader | ScanError]:
    """Reads the header of every scan, and notes its repetition time and mask in its record.

    Args:
        records: with `image` relative to `dataset_dir`; `tr` (seconds or None) and `mask` (relative path or None) are
            written into them. A mask that a record already names is checked, not replaced.
        dataset_dir: folder that the paths of the records start from.
        mask: `auto` notes the mask that lies beside a scan, `nonzero` notes none.
        progress: whether to show a progress bar.

    Returns:
        For each record the header, or why the scan or its mask cannot be used.

    Raises:
        DatalistError: for a mask policy that does not exist.
    """
    if mask not in MASK_POLICIES:
        raise DatalistError(f"mask is '{mask}', expected one of {', '.join(MASK_POLICIES)}.")
    outcomes = _read_all(records, dataset_dir, mask, progress)
    for record, outcome in zip(records, outcomes, strict=True):
        if not isinstance(outcome, ScanError):
            header, mask_path = outcome
            record["tr"] = header.repetition_time
            record["mask"] = None if mask_path is None else mask_path.relative_to(dataset_dir).as_posix()
    return [outcome if isinstance(outcome, ScanError) else outcome[0] for outcome in outcomes]


def summarise_grid(headers: Sequence[ScanHeader]) -> dict[str, Any]:
    """What the headers of scans have in common.

    Args:
        headers: of at least one scan.

    Returns:
        `shape` [X, Y, Z], `voxel_size` (mm), `axis_codes` and `repetition_time` (s), each None where the scans differ;
        `frames` [least, most]; `counts`: for each fact that differs, how many scans have which value.
    """
    facts: dict[str, list[Any]] = {
        "shape": [header.spatial_shape for header in headers],
        # headers store float32; the third decimal of a mm is noise
        "voxel_size": [tuple(round(size, 3) for size in header.voxel_size) for header in headers],
        "axis_codes": [header.axis_codes for header in headers],
        "repetition_time": [header.repetition_time for header in headers],
    }
    counted = {name: Counter(values) for name, values in facts.items()}
    grid = {name: _plain(values[0]) if len(counted[name]) == 1 else None for name, values in facts.items()}
    frames = [header.num_frames for header in headers]
    differing = {name: _in_words(count) for name, count in counted.items() if len(count) > 1}
    return {**grid, "frames": [min(frames), max(frames)], "counts": differing}


def _read_all(
    records: Sequence[Record], dataset_dir: Path, mask: str, progress: bool
) -> list[tuple[ScanHeader, Path | None] | ScanError]:
    from rich.console import Console
    from rich.progress import track

    def read(record: Record) -> tuple[ScanHeader, Path | None] | ScanError:
        try:
            image = dataset_dir / record["image"]
            header = read_header(image)
            if record.get("mask") is not None:
                check_mask_grid(dataset_dir / record["mask"], image, header)
                return header, dataset_dir / record["mask"]
            return header, find_mask(image, header) if mask == "auto" else None
        except ScanError as error:
            return error

    with ThreadPoolExecutor(_THREADS) as pool:
        results = track(
            pool.map(read, records),
            description="Reading headers",
            total=len(records),
            console=Console(stderr=True),
            transient=True,
            disable=not progress,
        )
        return list(results)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _in_words(counts: Counter[Any]) -> dict[str, int]:
    """Counts with keys that JSON can hold, the most frequent first."""
    return {_word(value): count for value, count in counts.most_common()}


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return " x ".join(f"{size:g}" for size in value)
    return "unknown" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
