"""Opening a bundle that came as a .zip: its members are checked before one is written, into a folder of their own."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from monai_tff.bundle.verification.archives import open_archive
from monai_tff.bundle.verification.findings import shown
from monai_tff.bundle.verification.tree import MAX_ENTRIES
from monai_tff.errors import BundleError

MAX_RATIO = 100
"""Bytes that one packed byte may become; text of a bundle becomes 10 to 20, weights 1."""

SMALL = 1024**2
"""Bytes of an archive that may be packed in any ratio."""

_CHUNK = 1024**2


@contextlib.contextmanager
def opened_bundle(path: Path) -> Iterator[Path]:
    """Opens a bundle that is a folder or a .zip of one.

    Args:
        path: of either.

    Yields:
        The folder: the one that was given, or a temporary one that is gone afterwards.

    Raises:
        BundleError: if there is nothing, or the archive would write beside its folder, has links, or is a bomb; or if
            there is no room for it.
    """
    path = Path(path)
    if path.is_dir():
        yield path
        return
    if not path.is_file():
        raise BundleError(f"{path}: there is no such file or folder, expected a bundle or its .zip; check the path.")
    with tempfile.TemporaryDirectory(prefix="monai_tff_") as folder:
        try:
            opened = _extracted(path, Path(folder))
        except BundleError as error:
            raise BundleError(f"{path}: {error}; ask for the bundle again, and do not unpack this one.") from error
        except OSError as error:
            raise BundleError(
                f"{path}: cannot be unpacked in {Path(folder).parent} ({error.strerror}), expected to read the one and "
                "to write in the other; make room, or name another folder for temporary files in TMPDIR."
            ) from error
        yield opened


def _extracted(path: Path, folder: Path) -> Path:
    with open(path, "rb") as file, open_archive(file) as archive:
        members = archive.infolist()
        tops = {member.filename.partition("/")[0] for member in members}
        if len(members) > MAX_ENTRIES or len(tops) != 1 or any("/" not in member.filename for member in members):
            raise BundleError(f"{len(members):,} members below {len(tops)} folders, expected one folder with a bundle")
        free, total = shutil.disk_usage(folder).free, sum(member.file_size for member in members)
        if sum(max(0, member.file_size - MAX_RATIO * member.compress_size) for member in members) > SMALL:
            raise BundleError(f"{path.stat().st_size:,} bytes unpack to {total:,}, a bomb")
        if total > free:
            raise OSError(errno.ENOSPC, f"{total:,} bytes, but {free:,} are free")
        for member in members:
            _extract(archive, member, folder / member.filename)
    return folder / tops.pop()


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    try:
        if member.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with archive.open(member) as source, open(path, "xb") as target:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > member.file_size:
                    raise BundleError(f"the member {shown(member.filename)} is longer than it says")
                target.write(chunk)
        if written != member.file_size:
            raise BundleError(f"the member {shown(member.filename)} is shorter than it says")
    except (FileExistsError, NotADirectoryError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BundleError(f"the member {shown(member.filename)} cannot be unpacked ({error})") from error
