"""A sentence where the disk refuses a file that a library writes, each library with an error of its own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from monai_tff.errors import BundleError


def write_buffer(path: Path, buffer: io.BytesIO) -> None:
    """Writes what a library saved into memory: some of torch's own writers end the process where the disk refuses.

    Args:
        path: the file.
        buffer: its bytes.

    Raises:
        BundleError: if it could not be written.
    """
    with saving(path):
        path.write_bytes(buffer.getbuffer())


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """Holds nothing but the call that writes a file.

    Args:
        path: the file.

    Raises:
        BundleError: if it could not be written.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise BundleError(
            f"{path.name}: could not be written ({type(error).__name__}: {reason}), expected room and permission for "
            "it; make room where --out is, and export again."
        ) from error
