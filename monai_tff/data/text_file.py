"""Text files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from monai_tff.errors import DatalistError


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a file beside its place and moves it there: an interruption leaves what was there before.

    Args:
        path: of the file; its folder is made if it is missing.
        text: what it holds, its line ends as they are.

    Raises:
        DatalistError: when the folder cannot be written to.
    """
    place = Path(path)
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, place)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DatalistError(
            f"{place}: cannot be written ({error.strerror}), expected a folder with space that you may write to; "
            "choose another --output."
        ) from error
