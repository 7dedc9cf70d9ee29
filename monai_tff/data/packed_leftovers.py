"""Temporary files of packing: names that no two writers share, and what killed writers left behind."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
import uuid
from pathlib import Path

OLD_SECONDS = 24 * 3600.0
"""Nobody packs one scan for a day: a temporary file that old was left behind, wherever its writer ran."""

_PATTERN = re.compile(r"^\..+\.(?P<place>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}\.partial$")


def partial_path(target: Path) -> Path:
    """A new hidden name beside a file, for what is not ready yet.

    Args:
        target: the file that is going to be written.

    Returns:
        A path that says which process made it.
    """
    # a name of 255 bytes is the longest that file systems take
    return target.with_name(f".{target.name[:200]}.{_place()}-{os.getpid()}-{secrets.token_hex(4)}.partial")


def remove_leftovers(folder: Path, now: float | None = None) -> int:
    """Removes temporary files of writers that are not there any more.

    A file goes when its process ran here and has ended, or when it is older than a day.

    Args:
        folder: searched with all folders below.
        now: seconds since 1970; None for the clock's.

    Returns:
        Files that were removed.
    """
    removed = 0
    for path in folder.rglob(".*.partial"):
        match = _PATTERN.match(path.name)
        if match is None:
            continue
        try:
            age = (time.time() if now is None else now) - path.stat().st_mtime
            ended = match["place"] == _place() and not _is_running(int(match["process"]))
            if ended or age > OLD_SECONDS:
                path.unlink()
                removed += 1
        except OSError:
            continue  # its writer was quicker, or the folder is read-only, which packing will say
    return removed


def _place() -> str:
    """Where a process number means something: this boot of this machine, and this container; 8 hex digits."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        namespace = str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        boot, namespace = str(uuid.getnode()), ""
    return hashlib.sha256(f"{boot}{namespace}".encode()).hexdigest()[:8]


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
