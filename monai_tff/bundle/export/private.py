"""The strings of a run that must not leave the lab: who was scanned, where the files lay, and on whose machine."""

from __future__ import annotations

import csv
import dataclasses
import getpass
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from monai_tff.errors import BundleError

ID_KEYS = ("subject", "group", "session")
FILE_KEYS = ("image", "mask", "confounds", "scan")
TABLES = ("evaluation/predictions.csv", "evaluation/windows.csv")
"""Tables of a run folder that name subjects and scans."""

LONG_ENOUGH = 4
"""Characters from which the name of a folder, or of a session, tells something."""

SCAN_ENDINGS = (".gz", ".nii")


@dataclasses.dataclass(frozen=True)
class Private:
    """Strings that a bundle must not hold.

    Attributes:
        ids: subjects, groups, and sessions whose name has a digit and some length.
        places: beginnings of absolute paths, which are found in everything below them, and names of scans that hold an
            ID.
        names: the user, the machine, the cohort's name in the datalist, sites, names of folders and of other files:
            words that the person who exports may use, if that is meant.
    """

    ids: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()


def private_strings(
    run: Path, configs: Sequence[Mapping[str, Any]] = (), lineage: Sequence[Mapping[str, Any]] | None = None
) -> Private:
    """Collects them from everything that is known of a run, or of a file of weights.

    Args:
        run: the run folder, or the file.
        configs: its configurations, whose absolute paths are taken, and whose datalists are read.
        lineage: what the weights have seen, None where that is not known.

    Returns:
        The strings.

    Raises:
        BundleError: for a datalist or table that is there but cannot be read: whom it names would not be known.
    """
    paths = [os.path.abspath(run), str(run.resolve()), *_absolute_paths([os.path.expanduser("~"), *configs])]
    datalists = _datalists(configs)
    records = [*_seen(lineage), *_listed(datalists), *_tabled(run)]
    ids = set(_ids(records))
    scans, telling = _file_names(records)
    names: set[Any] = {_user(), socket.gethostname(), socket.gethostname().partition(".")[0]}
    names |= {datalist.get("name") for datalist in datalists}
    names |= {record.get("site") for record in records} | {phase.get("cohort") for phase in lineage or ()}
    names |= {part for path in paths for part in PurePath(path).parts[1:] if len(part) >= LONG_ENOUGH}
    names |= scans - telling
    return Private(
        ids=frozenset(ids),
        places=frozenset({*_beginnings(paths), *telling}),
        names=frozenset(name for name in names if isinstance(name, str) and len(name) > 1),
    )


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may know no name for its user
        return None


def _absolute_paths(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _absolute_paths(item)
    elif isinstance(value, str) and os.path.isabs(value):
        yield os.path.normpath(value)


def _beginnings(paths: Iterable[str]) -> Iterator[str]:
    """The first two folders of a path, or the whole of a shorter one: they are found in everything below them."""
    for path in paths:
        parts = PurePath(path).parts
        if len(parts) > 1:
            yield str(PurePath(*parts[:3]))


def _file_names(records: Iterable[Mapping[str, Any]]) -> tuple[set[str], set[str]]:
    """Names of scans and what belongs to them, without their endings; and those that hold an ID of their record."""
    names, telling = set(), set()
    for record in records:
        own = [word for key in ID_KEYS if isinstance(word := record.get(key), str) and word]
        for file in (record[key] for key in FILE_KEYS if isinstance(record.get(key), str)):
            name = PurePosixPath(file).name
            for ending in SCAN_ENDINGS:
                name = name.removesuffix(ending)
            names.add(name)
            if any(word in name for word in own):
                telling.add(name)
    return names, telling


def _datalists(configs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    paths = {str(config.get("datalist")) for config in configs}
    contents = []
    for path in (path for path in sorted(paths) if os.path.isfile(path)):
        with _readable(path):
            contents.append(json.loads(Path(path).read_text(encoding="utf-8")))
    return [content for content in contents if isinstance(content, dict)]


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, csv.Error) as error:
        raise BundleError(
            f"{path}: cannot be read ({type(error).__name__}), expected the subjects that the bundle must not name; "
            "restore the file."
        ) from error


def _seen(lineage: Sequence[Mapping[str, Any]] | None) -> Iterator[Mapping[str, Any]]:
    for phase in lineage or ():
        yield from phase.get("scans", ())
        yield from phase.get("others", ())


def _listed(datalists: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for value in (value for datalist in datalists for value in datalist.values()):
        if isinstance(value, list):
            yield from (record for record in value if isinstance(record, dict))


def _tabled(run: Path) -> Iterator[Mapping[str, Any]]:
    for name in TABLES:
        if (run / name).is_file():
            with _readable(run / name), open(run / name, encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            yield from rows


def _ids(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for record in records:
        for key in ID_KEYS:
            value = record.get(key)
            if not isinstance(value, str) or not value:
                continue
            if key != "session" or (len(value) >= LONG_ENOUGH and any(sign.isdigit() for sign in value)):
                yield value
