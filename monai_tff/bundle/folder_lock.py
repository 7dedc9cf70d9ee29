"""One process at a time trains into a run folder: two would write over each other's weights and numbers."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import IO

from monai_tff.errors import ConfigError

try:
    import fcntl
except ImportError:  # Windows, where nothing is held
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
"""File in a run folder. It stays there, empty: what counts is whether a process holds it."""

_held: list[IO[bytes]] = []
"""The one that this process holds, kept open."""


def hold_folder(folder: Path) -> None:
    """Holds a run folder until this process holds another one or ends, however it ends.

    The lock is POSIX's (`fcntl.lockf`): it belongs to the process, not to the worker processes that it forks, so that a
    run can be continued as soon as its main process was killed. On Windows and on file systems without locks nothing is
    held.

    Args:
        folder: an existing run folder that may be written to.

    Raises:
        ConfigError: if another process, on this machine or on one that shares the file system, holds it.
    """
    if fcntl is None:
        return
    # first: closing any handle of a file ends every lock that the process has on it
    while _held:
        _held.pop().close()
    _held.append((folder / LOCK).open("ab"))
    try:
        fcntl.lockf(_held[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise ConfigError(
                f"{folder}: another process is training in this run folder, expected one at a time; wait for it, end "
                "it, or choose another run_dir."
            ) from error
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
            raise
