"""The name of a test set: which scans are tested for which target, whatever else the datalist holds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from monai_tff.data.datalist import load_datalist


def test_set_hash(datalist: str | os.PathLike[str] | Mapping[str, Any]) -> str:
    """SHA-256 over the scans of the test section and the name of the target.

    A scan counts by its content, where that is known: the same scans under other names are the same test set. Else by
    the name of the cohort and its path below the cohort's folder. The order of records, the training and validation
    sections and the labels do not matter.

    Args:
        datalist: path of the JSON file, or what it holds.

    Returns:
        64 hexadecimal digits.

    Raises:
        DatalistError: see `load_datalist`.
    """
    content = datalist if isinstance(datalist, Mapping) else load_datalist(datalist)
    scans = sorted(
        f"content\t{record['content']}" if record.get("content") else f"path\t{content['name']}\t{record['image']}"
        for record in content["test"]
    )
    lines = [f"target\t{content['target']['name']}", *scans]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
