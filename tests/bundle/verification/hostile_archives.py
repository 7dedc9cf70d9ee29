"""Hostile .zip files of a bundle: names that lead elsewhere, links, bombs, members that hide each other."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable

from hostile import Canary

Writer = Callable[[zipfile.ZipFile, Canary], object]
ARCHIVES: dict[str, tuple[Writer, bool]] = {}
"""Name -> what is added to the archive of a good bundle, and whether a careless unzip then writes elsewhere."""

BYTES: dict[str, Callable[[bytes], bytes]] = {}
"""Name -> what is done to the bytes of the archive of a good bundle."""


def added(name: str, *, bites: bool = False) -> Callable[[Writer], Writer]:
    def add(write: Writer) -> Writer:
        ARCHIVES[name] = (write, bites)
        return write

    return add


def member(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def _outside() -> None:
    """Names that lead to the folder of the canary, which lies beside the one that is unpacked to."""
    names = {
        "above": ("../canary/new", True),
        "above_within_the_bundle": ("{top}/../../canary/new", True),
        "far_above": ("../" * 40 + "tmp/monai_tff_canary", False),
        "backslashes": ("..\\canary\\new", True),
        "backslashes_within_the_bundle": ("{top}\\..\\..\\canary\\new", True),
        "absolute": ("{canary}/new", True),
        "two_slashes": ("/{canary}/new", False),
        "drive": ("C:\\Windows\\new", False),
        "drive_within_the_bundle": ("{top}/C:new", False),
        "share": ("\\\\server\\share\\new", False),
        "home": ("~/.bashrc", False),
        "beside_the_bundle": ("torch.py", False),
        "second_folder": ("other/configs/inference.yaml", False),
        "stream": ("{top}/LICENSE:stream", False),
        "blank_at_the_end": ("{top}/LICENSE ", False),
        "point_at_the_end": ("{top}/LICENSE.", False),
        "other_case": ("{top}/license", False),
        "other_case_of_a_folder": ("{top}/CONFIGS/inference.yaml", False),
        "twice": ("{top}/configs/inference.yaml", False),
        "empty_part": ("{top}//configs/inference.yaml", False),
        "point": ("{top}/./configs/inference.yaml", False),
        "line_feed": ("{top}/configs/a\nb", False),
        "escape": ("{top}/configs/\x1b[2J", False),
        "wide_letters": ("{top}/\uff2cICENSE", False),
        "too_long": ("{top}/" + "a" * 5000, False),
    }
    for name, (path, bites) in names.items():

        def write(archive: zipfile.ZipFile, canary: Canary, path: str = path) -> None:
            top = archive.namelist()[0].partition("/")[0]
            archive.writestr(member(path.format(top=top, canary=canary.folder)), "new")

        added(f"name_{name}", bites=bites)(write)


_outside()


@added("link_to_a_file", bites=False)
def _link(archive: zipfile.ZipFile, canary: Canary) -> None:
    top = archive.namelist()[0].partition("/")[0]
    archive.writestr(member(f"{top}/README.md", stat.S_IFLNK | 0o777), canary.path)


@added("link_to_a_folder_and_a_file_in_it", bites=True)
def _link_and_file(archive: zipfile.ZipFile, canary: Canary) -> None:
    top = archive.namelist()[0].partition("/")[0]
    archive.writestr(member(f"{top}/more", stat.S_IFLNK | 0o777), str(canary.folder))
    archive.writestr(member(f"{top}/more/new"), "new")


@added("link_in_the_place_of_the_folder", bites=False)
def _link_as_top(archive: zipfile.ZipFile, canary: Canary) -> None:
    top = archive.namelist()[0].partition("/")[0]
    archive.writestr(member(top, stat.S_IFLNK | 0o777), str(canary.folder))


for kind in ("S_IFIFO", "S_IFCHR", "S_IFBLK", "S_IFSOCK"):

    def _device(archive: zipfile.ZipFile, canary: Canary, kind: str = kind) -> None:
        top = archive.namelist()[0].partition("/")[0]
        archive.writestr(member(f"{top}/README.md", getattr(stat, kind) | 0o666), "")

    added(f"device_{kind}")(_device)


@added("file_that_is_a_folder")
def _file_and_folder(archive: zipfile.ZipFile, canary: Canary) -> None:
    top = archive.namelist()[0].partition("/")[0]
    archive.writestr(member(f"{top}/LICENSE/new"), "new")


@added("bomb")
def _bomb(archive: zipfile.ZipFile, canary: Canary) -> None:
    top = archive.namelist()[0].partition("/")[0]
    info = member(f"{top}/README.md")
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, bytes(50 * 1024**2))


@added("ten_thousand_members")
def _many(archive: zipfile.ZipFile, canary: Canary) -> None:
    top = archive.namelist()[0].partition("/")[0]
    for number in range(10_001):
        archive.writestr(f"{top}/many/{number}", "")


@added("another_name_for_other_programs")
def _unicode_path(archive: zipfile.ZipFile, canary: Canary) -> None:
    top = archive.namelist()[0].partition("/")[0]
    info = member(f"{top}/README.md")
    name = str(canary.folder / "new").encode()
    data = b"\x01" + struct.pack("<I", zlib.crc32(info.filename.encode())) + name
    info.extra = struct.pack("<HH", 0x7075, len(data)) + data
    archive.writestr(info, "new")


@added("rare_packing")
def _rare(archive: zipfile.ZipFile, canary: Canary) -> None:
    top = archive.namelist()[0].partition("/")[0]
    info = member(f"{top}/README.md")
    info.compress_type = zipfile.ZIP_LZMA
    archive.writestr(info, "new")


def _flagged(content: bytes) -> bytes:
    """Every member marked as encrypted, in the directory and before the content."""
    changed = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = changed.find(signature)
        while start >= 0:
            changed[start + offset] |= 1
            start = changed.find(signature, start + 4)
    return bytes(changed)


def _declared(content: bytes, size: int) -> bytes:
    """The first member of the directory said to be of another size."""
    changed = bytearray(content)
    start = changed.find(b"PK\x01\x02")
    changed[start + 24 : start + 28] = struct.pack("<I", size)
    return bytes(changed)


def _two_directories(content: bytes) -> bytes:
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("top/configs/inference.yaml", "new")
    return other.getvalue() + content


BYTES |= {
    "encrypted": _flagged,
    "longer_than_it_says": lambda content: _declared(content, 10),
    "shorter_than_it_says": lambda content: _declared(content, 10**6),
    "larger_than_any_disk": lambda content: _declared(content, 2**32 - 2),
    "cut": lambda content: content[: len(content) // 2],
    "with_something_behind": lambda content: content + b"PK\x03\x04",
    "with_something_before": _two_directories,
    "another_name_in_the_member": lambda content: content.replace(b"LICENSE", b"lICENSE", 1),
    "damaged_content": lambda content: content[:200] + bytes(50) + content[250:],
    "none": lambda content: b"this is text",
    "empty": lambda content: b"",
    "empty_archive": lambda content: b"PK\x05\x06" + bytes(18),
    "tar": lambda content: b"\x1f\x8b" + content,
}
