"""What was found sound is not checked again: told by the SHA-256 of its bytes, never by a path or a time."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable

MAX_KNOWN = 10_000
"""Hashes that are kept for each check; an archive of weights has a few hundred members."""


def once_for_each_content(check: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Lets a check pass over bytes in which it found nothing earlier in this process.

    Args:
        check: raises an error for what it refuses, and looks at nothing but the bytes. What it refuses is checked, and
            refused, each time.
    """
    known: set[bytes] = set()

    @functools.wraps(check)
    def checked(content: bytes) -> None:
        key = hashlib.sha256(content).digest()
        if key in known:
            return
        check(content)
        if len(known) >= MAX_KNOWN:
            known.clear()
        known.add(key)

    return checked
