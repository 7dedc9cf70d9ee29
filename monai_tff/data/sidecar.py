"""JSON sidecars of BIDS scans, with the inheritance principle."""

from __future__ import annotations

import functools
import json
import math
import os
import time
from pathlib import Path
from typing import Any

from monai_tff.data.bids_names import BidsName, parse_name
from monai_tff.errors import ScanError

_SETTLED_NANOSECONDS = 2_000_000_000
"""A folder that changed less than this ago may change again without a new modification time."""


def read_sidecar(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Metadata of a scan from every JSON file that applies to it.

    A JSON file applies when it lies in the scan's folder or above it, up to the root of the dataset, has the same
    suffix and no entity that the scan does not have; the nearer file, and in one folder the one with more entities,
    wins key by key (the inheritance principle, https://bids-specification.readthedocs.io).

    Args:
        path: the scan; it need not exist.

    Returns:
        The merged keys, empty where no sidecar applies.

    Raises:
        ScanError: for a sidecar that is not a JSON object.
    """
    scan = Path(os.path.abspath(path))
    name = parse_name(scan)
    merged: dict[str, Any] = {}
    for folder in _folders_from_root(scan):
        applying = []
        for file_name in _json_files(folder):
            sidecar = parse_name(file_name)
            if _applies(sidecar, name):
                applying.append((len(sidecar.entities) + len(sidecar.words), file_name))
        for _, file_name in sorted(applying):
            merged.update(_read_json(folder / file_name))
    return merged


def sidecar_repetition_time(path: str | os.PathLike[str]) -> float | None:
    """`RepetitionTime` of a scan's sidecars in seconds, None where none states it (or states 0).

    Raises:
        ScanError: for a sidecar that is not JSON, or a repetition time that is not a number.
    """
    value = read_sidecar(path).get("RepetitionTime")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ScanError(
            f"{path}: its sidecar has RepetitionTime {value!r}, expected a number of seconds; correct the JSON."
        )
    return float(value) or None


def _applies(sidecar: BidsName, scan: BidsName) -> bool:
    """Whether the names allow a sidecar to speak for a scan."""
    if sidecar.suffix != scan.suffix or not set(sidecar.words) <= set(scan.words):
        return False
    return sidecar.entities.items() <= scan.entities.items()


def _folders_from_root(scan: Path) -> list[Path]:
    """The scan's folder and those above it up to the dataset's root, the root first."""
    folders = [folder for folder in scan.parents if folder.is_dir()]
    roots = [folder for folder in folders if (folder / "dataset_description.json").is_file()]
    if not roots:
        # a tree without description: the folder that holds the sub-* folder is as good as a root
        roots = [folder.parent for folder in folders if folder.name.startswith("sub-")] or [scan.parent]
    depth = len(roots[0].parts)
    return [folder for folder in reversed(folders) if len(folder.parts) >= depth]


def _json_files(folder: Path) -> tuple[str, ...]:
    """JSON files of a folder. A root of 40,000 subjects is listed once, not once per scan."""
    modified = folder.stat().st_mtime_ns
    settled = time.time_ns() - modified > _SETTLED_NANOSECONDS
    return (_listed if settled else _listed.__wrapped__)(str(folder), modified)


@functools.lru_cache(maxsize=4096)
def _listed(folder: str, modified: int) -> tuple[str, ...]:
    del modified  # only part of the cache key
    return tuple(entry.name for entry in os.scandir(folder) if entry.name.endswith(".json"))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ScanError(
            f"{path}: is not readable as JSON ({error}), expected a sidecar; correct or remove it."
        ) from error
    if not isinstance(content, dict):
        raise ScanError(
            f"{path}: holds a JSON {type(content).__name__}, expected an object of keys; correct or remove it."
        )
    return content
