"""Zip archives of a stranger: their directory is read strictly, so that every reader finds the same members in them."""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from typing import IO, Any

from monai_tff.bundle.verification.findings import shown
from monai_tff.errors import BundleError

END = struct.Struct("<4s4H2LH")
LONG_END_PLACE = struct.Struct("<4sLQL")
LONG_END = struct.Struct("<4sQ2H2L4Q")
LOCAL = struct.Struct("<4s5H3L2H")
EXTRA = struct.Struct("<2H")
OTHER_NAME = 0x7075
"""Extra field with a name of its own, which some programs unpack to (Python from 3.12 on, too)."""

ENCRYPTED = 0x1
MAX_MEMBERS = 20_000
"""Of an archive; the TorchScript of a network has 400."""

MAX_NAME = 240
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*|\.[A-Za-z][A-Za-z0-9_.+-]*")
"""A file or folder: no separator, drive, space or control character, and never `.` or `..`."""


def open_archive(file: IO[bytes]) -> zipfile.ZipFile:
    """Opens a zip archive whose members are beyond doubt.

    Readers differ in what they make of a second directory, of names that occur twice, and of headers that contradict
    the directory; here all of these are refused.

    Args:
        file: seekable.

    Returns:
        The archive, to be closed by the caller.

    Raises:
        BundleError: for a damaged or ambiguous archive, and for an encrypted member or a link.
    """
    try:
        size = file.seek(0, 2)
        _check_end(file, size)
        archive = zipfile.ZipFile(file)
        _check_members(archive, file)
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OSError, OverflowError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"cannot be read as a zip archive ({shown(str(error))}), expected a whole one") from error
    return archive


def _check_end(file: IO[bytes], size: int) -> None:
    """The directory lies right before the end, where both say so: other readers would look for it elsewhere."""
    end = size - END.size
    signature, *_, count, length, start, comment = _unpacked(END, file, end)
    if signature != b"PK\x05\x06" or comment:
        raise BundleError("is no zip archive, or something follows its end, expected neither")
    if size >= END.size + LONG_END_PLACE.size + LONG_END.size:
        mark, _, place, _ = _unpacked(LONG_END_PLACE, file, end - LONG_END_PLACE.size)
        if mark == b"PK\x06\x07":
            end -= LONG_END_PLACE.size + LONG_END.size
            mark, *_, count, length, start = _unpacked(LONG_END, file, end)
            if mark != b"PK\x06\x06" or place != end:
                raise BundleError("a zip archive with a misplaced end, expected a whole one")
    if start + length != end or count > MAX_MEMBERS:
        raise BundleError(f"a zip archive with a misplaced directory, or more than {MAX_MEMBERS:,} members")


def _unpacked(kind: struct.Struct, file: IO[bytes], place: int) -> tuple[Any, ...]:
    file.seek(max(0, place))
    return kind.unpack(file.read(kind.size))


def _check_members(archive: zipfile.ZipFile, file: IO[bytes]) -> None:
    members = archive.infolist()
    if not members or min(member.header_offset for member in members):
        raise BundleError("a zip archive with something before its first member, or none, expected it to start there")
    seen: set[str] = set()
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        name = member.orig_filename
        check_name(name)
        if OTHER_NAME in _kinds_of(member.extra) or member.filename != name:
            raise BundleError(f"the member {shown(name)} has a second name, expected one")
        folded = name.rstrip("/").casefold()
        if folded in seen:
            raise BundleError(f"the member {shown(name)} twice, expected once")
        seen.add(folded)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or ((kind == stat.S_IFDIR) != name.endswith("/") and kind):
            raise BundleError(f"the member {shown(name)} is a link or a device, expected files and folders")
        if member.flag_bits & ENCRYPTED or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BundleError(f"the member {shown(name)} is encrypted or packed in a rare way, expected neither")
        end = _check_place(file, member, end)
    if end > archive.start_dir:
        raise BundleError("members overlap the directory, expected them before it")


def _check_place(file: IO[bytes], member: zipfile.ZipInfo, end: int) -> int:
    file.seek(member.header_offset)
    signature, _, flags, method, *_, name_length, extra_length = LOCAL.unpack(file.read(LOCAL.size))
    name, extra = file.read(name_length), file.read(extra_length)
    if OTHER_NAME in _kinds_of(extra):
        raise BundleError(f"the member {shown(member.orig_filename)} has a second name, expected one")
    same = signature == b"PK\x03\x04" and name == member.orig_filename.encode()
    if not same or method != member.compress_type or (flags ^ member.flag_bits) & ENCRYPTED:
        raise BundleError(f"the member {shown(member.orig_filename)} is another one by its own header")
    if member.header_offset < end:
        raise BundleError(f"the member {shown(member.orig_filename)} overlaps another one")
    return member.header_offset + LOCAL.size + name_length + extra_length + member.compress_size


def _kinds_of(extra: bytes) -> set[int]:
    """Kinds of the extra fields of a member."""
    kinds, place = set(), 0
    while place + EXTRA.size <= len(extra):
        kind, length = EXTRA.unpack_from(extra, place)
        kinds.add(kind)
        place += EXTRA.size + length
    return kinds


def check_name(name: str) -> None:
    """Refuses names that lead out of a folder, or that systems read in different ways.

    Args:
        name: of a member of an archive.

    Raises:
        BundleError: for an absolute name, `..`, a backslash, a drive letter or a strange character.
    """
    parts = name.removesuffix("/").split("/")
    if len(name) > MAX_NAME or not all(NAME.fullmatch(part) and not part.endswith(".") for part in parts):
        raise BundleError(f"the member {shown(name)}, expected a plain relative path")


def read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """Reads a member whole.

    Args:
        archive: from `open_archive`.
        name: of the member.
        limit: bytes.

    Raises:
        BundleError: for a larger or damaged member.
    """
    try:
        with archive.open(name) as file:
            content = file.read(limit + 1)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise BundleError(f"the member {shown(name)} is damaged") from error
    if len(content) > limit:
        raise BundleError(f"the member {shown(name)} has more than {limit:,} bytes, expected fewer")
    return content
