"""Files of a run that are either whole or not there: written beside their place, then moved into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from monai_tff.errors import ConfigError


@contextmanager
def replaced_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Opens a file that takes the place of `path` when the block ends without an error.

    A kill, a full disk or an error leaves the old file as it was. One process writes a given path.

    Args:
        path: the file; its folder is made if it is missing.

    Yields:
        The temporary file in the same folder, open for binary writing.

    Raises:
        ConfigError: if the disk refuses.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(target.parent)
    except OSError as error:
        raise write_error(target, error) from error


def write_error(path: Path, error: OSError) -> ConfigError:
    """The sentence for a file that the disk refuses.

    Args:
        path: the file.
        error: what the system said.

    Returns:
        The error to raise.
    """
    return ConfigError(
        f"{path}: could not be written ({error.strerror}), expected room and permission for it; what was there before "
        "is kept: make room, then start again (a training run with --resume true)."
    )


def _sync_folder(folder: Path) -> None:
    """Makes the new name itself survive a power cut; only POSIX systems can open a folder for that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
