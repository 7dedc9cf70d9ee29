"""What is remembered of a check: contents that it found nothing in, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from monai_tff.bundle.verification import sound
from monai_tff.bundle.verification.sound import once_for_each_content
from monai_tff.errors import BundleError

Check = Callable[[bytes], None]


@pytest.fixture
def seen() -> list[bytes]:
    """Contents that the check looked at."""
    return []


@pytest.fixture
def check(seen: list[bytes]) -> Check:
    def look(content: bytes) -> None:
        seen.append(content)
        if b"bad" in content:
            raise BundleError("bad")

    return once_for_each_content(look)


def test_sound_bytes_are_checked_once(check: Check, seen: list[bytes]) -> None:
    for content in (b"a", bytearray(b"a"), b"a ", b"a"):
        check(bytes(content))
    assert seen == [b"a", b"a "]


def test_what_is_refused_is_refused_each_time(check: Check, seen: list[bytes]) -> None:
    for _ in range(3):
        with pytest.raises(BundleError):
            check(b"bad")
    assert seen == [b"bad"] * 3


def test_checks_do_not_share_what_they_know(check: Check, seen: list[bytes]) -> None:
    once_for_each_content(lambda _: None)(b"bad")
    with pytest.raises(BundleError):
        check(b"bad")


def test_other_options_are_another_check() -> None:
    @once_for_each_content
    def refuse(content: bytes, words: frozenset[bytes], *, strict: bool = False) -> None:
        if strict or content in words:
            raise BundleError("bad")

    refuse(b"a", frozenset([b"b"]))
    with pytest.raises(BundleError):
        refuse(b"a", frozenset([b"a"]))
    with pytest.raises(BundleError):
        refuse(b"a", frozenset([b"b"]), strict=True)


def test_no_more_is_kept_than_the_limit(check: Check, seen: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "MAX_KNOWN", 2)
    for content in (b"1", b"2", b"3", b"3", b"1"):
        check(content)
    assert seen == [b"1", b"2", b"3", b"1"]
