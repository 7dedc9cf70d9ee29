from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_tff.bundle.verification.archives import check_name, open_archive, read_member
from monai_tff.bundle.verification.opening import opened_bundle
from monai_tff.errors import BundleError


def zipped(*names: str, **member: Any) -> bytes:
    """A zip archive with small members; `member` sets fields of the last one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            entry = zipfile.ZipInfo("x" * len(name))
            entry.filename = name
            if name == names[-1]:
                for field, value in member.items():
                    setattr(entry, field, value)
            archive.writestr(entry, b"content of a member")
    return buffer.getvalue()


PLAIN = zipped("a/one", "a/two/three")
END = 22


def test_a_plain_archive() -> None:
    with open_archive(io.BytesIO(PLAIN)) as archive:
        assert archive.namelist() == ["a/one", "a/two/three"]
        assert read_member(archive, "a/one", 100) == b"content of a member"
        with pytest.raises(BundleError, match=r"'a/one' has more than 3 bytes"):
            read_member(archive, "a/one", 3)


@pytest.mark.parametrize(
    "name",
    [
        "/a",
        "../a",
        "a/../b",
        "a/..",
        "./a",
        "a//b",
        "a\\b",
        "C:/a",
        "C:a",
        "a b",
        "a\nb",
        "a./b",
        "-a",
        "~/a",
        "a/...",
        "",
    ],
)
def test_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(BundleError, match="expected a plain relative path"):
        check_name(name)


@given(st.lists(st.from_regex(r"\A[a-z0-9_][a-z0-9_.-]{0,8}[a-z0-9]\Z"), min_size=1, max_size=5))
def test_a_name_that_is_taken_stays_below(parts: list[str]) -> None:
    check_name("/".join(parts))


@given(st.text(max_size=20))
def test_a_name_leads_below_or_is_refused(name: str) -> None:
    try:
        check_name(name)
    except BundleError:
        return
    assert Path("/top", name).resolve().is_relative_to("/top")


CHANGED: dict[str, tuple[Callable[[], bytes], str]] = {
    "no archive": (lambda: b"PK\x03\x04 and so on", "cannot be read|no zip archive"),
    "empty": (lambda: b"", "cannot be read"),
    "no members": (lambda: zipped(), "before its first member, or none"),
    "cut": (lambda: PLAIN[:-5], "cannot be read|no zip archive"),
    "something after it": (lambda: PLAIN + b"x", "no zip archive"),
    "something before it": (lambda: b"#!/bin/sh\n" + PLAIN, "misplaced directory"),
    "a comment": (lambda: PLAIN[:-2] + b"\x01\x00x", "something follows"),
    "twice": (lambda: zipped("a/b", "a/b"), "twice"),
    "twice but for the case": (lambda: zipped("a/b", "a/B"), "twice"),
    "a link": (lambda: zipped("a/b", external_attr=0o120777 << 16), "a link or a device"),
    "a device": (lambda: zipped("a/b", external_attr=0o020666 << 16), "a link or a device"),
    "packed in a rare way": (lambda: zipped("a/b", compress_type=zipfile.ZIP_LZMA), "in a rare way"),
    "another name by its header": (lambda: PLAIN.replace(b"a/one", b"a/0ne", 1), "another one by its own header"),
    "encrypted": (
        lambda: PLAIN[: PLAIN.rindex(b"PK\x01\x02") + 8] + b"\x01" + PLAIN[PLAIN.rindex(b"PK\x01\x02") + 9 :],
        "encr|header",
    ),
}


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_beyond_doubt(name: str) -> None:
    make, message = CHANGED[name]
    with pytest.raises(BundleError, match=message):
        open_archive(io.BytesIO(make()))


def opened(content: bytes, folder: Path) -> list[str]:
    (folder / "bundle.zip").write_bytes(content)
    with opened_bundle(folder / "bundle.zip") as bundle:
        return sorted(path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file())


def test_opening(tmp_path: Path) -> None:
    assert opened(PLAIN, tmp_path) == ["one", "two/three"]
    with opened_bundle(tmp_path / "bundle.zip") as bundle:
        assert bundle.name == "a"
    assert not bundle.exists()
    with opened_bundle(tmp_path) as folder:
        assert folder == tmp_path


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/zeros", bytes(20 * 1024**2))
    return buffer.getvalue()


def bomb_in_parts() -> bytes:
    """Members that are small, each and as they are packed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(f"a/{number}", bytes(500_000))
    return buffer.getvalue()


def longer_than_it_says() -> bytes:
    """A member of 19 bytes whose sizes say 3."""
    content = bytearray(zipped("a/b"))
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = content.index(mark) + place
        content[start : start + 4] = (3).to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: zipped("a/one", "b/two"), "below 2 folders"),
        (lambda: zipped("one"), "expected one folder"),
        (bomb, "bytes unpack to 20,971,520, a bomb"),
        (bomb_in_parts, "bytes unpack to 10,000,000, a bomb"),
        (longer_than_it_says, "than it says|cannot be unpacked"),
        (lambda: PLAIN.replace(b"content of", b"kontent of", 1), "cannot be unpacked"),
        (lambda: zipped("a/b", "a/b/c"), "cannot be unpacked"),
    ],
    ids=["two folders", "no folder", "bomb", "parts", "longer", "damaged", "a file that is a folder"],
)
def test_what_is_not_unpacked(make: Callable[[], bytes], message: str, tmp_path: Path) -> None:
    beside = set(tmp_path.parent.iterdir())
    with pytest.raises(BundleError, match=message) as error:
        opened(make(), tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'bundle.zip'}: ")
    assert set(tmp_path.rglob("*")) == {tmp_path / "bundle.zip"}
    assert set(tmp_path.parent.iterdir()) == beside


def test_no_room_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong with the bundle, so that nobody has to ask for it again."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=37))
    with pytest.raises(BundleError, match=r"\(38 bytes, but 37 are free\), .*; make room, or name another folder"):
        opened(PLAIN, tmp_path)
    monkeypatch.undo()
    (tmp_path / "bundle.zip").unlink()
    assert opened(PLAIN, tmp_path) == ["one", "two/three"]
