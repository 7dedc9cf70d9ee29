"""Content hashes that are known already, so that a datalist built again with another seed reads no voxel."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

TIMEOUT = 10.0
"""Seconds to wait for another process that writes."""

_TABLE = """CREATE TABLE IF NOT EXISTS content
(path BLOB PRIMARY KEY, size INTEGER, modified INTEGER, changed INTEGER, hash TEXT) WITHOUT ROWID"""

logger = logging.getLogger(__name__)


class FileState(NamedTuple):
    """What a file looks like from outside; one that was replaced or written to looks otherwise.

    Attributes:
        size: in bytes.
        modified: time of the last writing in ns; a copy may keep it.
        changed: time of the last change of the file or its facts in ns, which nobody can set.
    """

    size: int
    modified: int
    changed: int


def file_state(path: str | os.PathLike[str]) -> FileState | None:
    """State of the file that a path leads to, None where there is none."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return FileState(facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def user_cache() -> Path:
    """Where the user's cache of content hashes is: `$XDG_CACHE_HOME/monai_tff/content.sqlite3`."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(home) / "monai_tff" / "content.sqlite3"


class ContentCache:
    """Content hashes by path and state of the file, in one SQLite file that several processes share.

    A cache that cannot be read or written is no error: one line is logged, and the hashes are computed.

    Args:
        path: of the file, made with its folder when it is missing; None keeps nothing.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._connection: sqlite3.Connection | None = None
        self._path = path
        if path is None:
            return
        try:
            Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # without an isolation level each hash is kept at once: hours of hashing survive a kill
            self._connection = sqlite3.connect(path, timeout=TIMEOUT, isolation_level=None)
            self._connection.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def __enter__(self) -> ContentCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def find(self, states: Mapping[str, FileState | None]) -> dict[str, str]:
        """Hashes of the files that still look as they did.

        Args:
            states: of files by absolute path.

        Returns:
            Hashes by path, those that are not known left out.
        """
        found: dict[str, str] = {}
        try:
            for path, state in states.items():
                if self._connection is None or state is None:
                    continue
                query = "SELECT hash FROM content WHERE path = ? AND size = ? AND modified = ? AND changed = ?"
                row = self._connection.execute(query, (os.fsencode(path), *state)).fetchone()
                if row is not None:
                    found[path] = str(row[0])
        except sqlite3.Error as error:
            self._give_up(error)
        return found

    def add(self, path: str, state: FileState, content: str) -> None:
        """Keeps one hash.

        Args:
            path: absolute path of the file.
            state: of the file when it was read.
            content: its hash.
        """
        if self._connection is None:
            return
        try:
            self._connection.execute(
                "REPLACE INTO content VALUES (?, ?, ?, ?, ?)", (os.fsencode(path), *state, content)
            )
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        logger.warning("%s: the cache of content hashes cannot be used (%s); scans are read again", self._path, error)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
