"""The strings of a run that must not leave the lab: who was scanned, where the files lay, and on whose machine."""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tff.bundle.merged import PATH_IDS

RECORD_KEYS = ("subject", "group", "session", "image", "mask", "confounds", "scan")


def private_strings(run: Path, train: Mapping[str, Any], lineage: Sequence[Mapping[str, Any]] | None) -> frozenset[str]:
    """Collects them from everything that a run folder and its datalist say.

    Args:
        run: the run folder.
        train: its training configuration.
        lineage: what its weights have seen, None where that is not known.

    Returns:
        The strings, of two characters or more.
    """
    paths = [str(run), str(run.resolve()), *(train[key] for key in PATH_IDS if isinstance(train.get(key), str))]
    found = {*_of_machine(), *_of_records(_records(train, lineage))}
    found |= {path for path in paths if os.path.isabs(path)}
    return frozenset(text for text in found if len(text) > 1)


def _of_machine() -> Iterator[str]:
    yield str(Path.home())
    yield socket.gethostname()
    yield getpass.getuser()


def _records(train: Mapping[str, Any], lineage: Sequence[Mapping[str, Any]] | None) -> Iterator[Mapping[str, Any]]:
    for phase in lineage or ():
        yield from phase.get("scans", ())
        yield from phase.get("others", ())
    datalist = train.get("datalist")
    if isinstance(datalist, str) and os.path.isfile(datalist):
        content = json.loads(Path(datalist).read_text(encoding="utf-8"))
        for value in content.values():
            if isinstance(value, list):
                yield from (record for record in value if isinstance(record, dict))


def _of_records(records: Iterator[Mapping[str, Any]]) -> Iterator[str]:
    for record in records:
        yield from (record[key] for key in RECORD_KEYS if isinstance(record.get(key), str))
