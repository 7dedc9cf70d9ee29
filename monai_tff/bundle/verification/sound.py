"""What was found sound is not checked again: told by the SHA-256 of its bytes, never by a path or a time."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

Options = ParamSpec("Options")

MAX_KNOWN = 10_000
"""Hashes that are kept for each check; an archive of weights has a few hundred members."""


def once_for_each_content(
    check: Callable[Concatenate[bytes, Options], None],
) -> Callable[Concatenate[bytes, Options], None]:
    """Lets a check pass over bytes in which it found nothing earlier in this process, with the same options.

    Args:
        check: raises an error for what it refuses, and looks at nothing but the bytes and its options, which can be
            hashed. What it refuses is checked, and refused, each time.
    """
    known: set[Any] = set()

    @functools.wraps(check)
    def checked(content: bytes, *options: Options.args, **named: Options.kwargs) -> None:
        key = (hashlib.sha256(content).digest(), options, frozenset(named.items()))
        if key in known:
            return
        check(content, *options, **named)
        if len(known) >= MAX_KNOWN:
            known.clear()
        known.add(key)

    return checked
