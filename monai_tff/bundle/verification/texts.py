"""Reading YAML and JSON of a stranger: plain data alone, read by the parser that MONAI uses, within limits."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from monai_tff.bundle.verification.findings import shown
from monai_tff.errors import BundleError

MAX_DEPTH = 32
"""Levels of nesting; the shipped configs have 8."""

MAX_TEXT = 1024**2
"""Bytes of a file that is read as text; the shipped ones have 10,000."""

MAX_INTEGER = 2**63
"""Where integers of 64 bits end; longer ones cannot even be shown or compared with a float."""

MAX_NUMBER = 40
"""Letters of a number in YAML, where `1:1:1` is one too, and takes the longer to work out the more of it there is."""

NUMBER_TAGS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

PRINTABLE = bytes((*range(32, 127), 10))
"""ASCII that shows, and line feeds."""

PLAIN_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq"))


def read_text(path: Path, limit: int = MAX_TEXT) -> str:
    """Reads a text file that is the same in every locale and encoding.

    Args:
        path: of the file.
        limit: bytes.

    Returns:
        ASCII text: a byte beyond it may be a line break in one encoding and a letter in another, so that a comment
        could hide a key.

    Raises:
        BundleError: for a file that is too large, or holds anything but printable ASCII.
    """
    content = read_bytes(path, limit)
    other = content.translate(None, PRINTABLE)
    if other:
        position = content.index(other[:1])
        line = content[:position].count(b"\n") + 1
        raise BundleError(
            f"byte {content[position]:#04x} on line {line}, expected printable ASCII and line feeds alone"
        )
    return content.decode("ascii")


def read_bytes(path: Path, limit: int) -> bytes:
    """Reads a file whole.

    Raises:
        BundleError: for a file over the limit, or one that cannot be read.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise BundleError(f"cannot be read ({error.strerror})") from error
    if len(content) > limit:
        raise BundleError(f"more than {limit:,} bytes, expected fewer")
    return content


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a config of plain mappings, lists, texts and numbers.

    Args:
        path: of the file.

    Returns:
        What it holds.

    Raises:
        BundleError: for tags, anchors, aliases, directives, several documents, keys that are no text or stand there
            twice, numbers that are not finite or have more than 64 bits, deep nesting, or a file that is no YAML.
    """
    return deepcopy(_plain(read_text(path)))


@functools.lru_cache(maxsize=8)  # several rules read a config, and YAML takes its time
def _plain(text: str) -> dict[str, Any]:
    try:
        loader = _PlainLoader(text)
        try:
            node = loader.get_single_node()
            _check_node(node)
            content = loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"is no YAML ({shown(' '.join(str(error).split()))}), expected a config") from error
    if not isinstance(content, dict):
        raise BundleError("holds no `key: value` pairs at its top, expected a config")
    _check_numbers(content)
    return content


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's reader, which checks every event before anything is made of it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._levels = 0

    def get_event(self) -> yaml.Event:
        """The next event, refused where it is more than plain data."""
        event = super().get_event()
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise BundleError(f"an anchor or alias on line {line}, expected none")
        if isinstance(event, yaml.DocumentStartEvent) and (event.version or event.tags):
            raise BundleError(f"a directive on line {line}, expected none")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise BundleError(f"the tag {shown(tag)} on line {line}, expected no tags")
        self._levels += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if self._levels > MAX_DEPTH:
            raise BundleError(f"more than {MAX_DEPTH} levels on line {line}, expected fewer")
        return event


def _check_node(node: yaml.Node | None) -> None:
    if node is None:
        raise BundleError("is empty, expected a config")
    if node.tag not in PLAIN_TAGS:
        raise BundleError(f"a value of the kind {node.tag} on line {node.start_mark.line + 1}, expected plain data")
    if node.tag in NUMBER_TAGS and len(node.value) > MAX_NUMBER:
        raise BundleError(f"a number of {len(node.value):,} letters on line {node.start_mark.line + 1}, expected fewer")
    if isinstance(node, yaml.MappingNode):
        keys = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != PLAIN_TAGS[0] or key.value in keys:
                raise BundleError(f"a key twice, or no text, on line {key.start_mark.line + 1}")
            keys.add(key.value)
            _check_node(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _check_node(value)


def read_json(path: Path, limit: int = MAX_TEXT) -> Any:
    """Reads JSON without repeated keys, deep nesting and numbers that JSON does not know.

    Args:
        path: of the file.
        limit: bytes.

    Returns:
        What it holds.

    Raises:
        BundleError: for anything else.
    """
    return parse_json(read_bytes(path, limit))


def parse_json(content: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """Reads JSON from bytes, see `read_json`.

    Args:
        content: UTF-8.
        max_depth: levels of nesting.

    Returns:
        What it holds.

    Raises:
        BundleError: as there.
    """
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"is no JSON ({shown(str(error))})") from error
    _check_numbers(value, max_depth)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise BundleError("names a key twice, expected once")
    return content


def _refuse_constant(name: str) -> None:
    raise BundleError(f"holds the number {name}, expected finite ones")


def _check_numbers(value: Any, levels: int = MAX_DEPTH) -> None:
    if levels < 0:
        raise BundleError("too many levels, expected fewer")
    if isinstance(value, float) and not math.isfinite(value):
        raise BundleError(f"holds the number {value}, expected finite ones")
    if isinstance(value, int) and not -MAX_INTEGER <= value < MAX_INTEGER:
        raise BundleError("holds an integer of more than 64 bits, expected a smaller one")
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _check_numbers(item, levels - 1)


def texts_in(value: Any) -> Iterator[str]:
    """Every key and text of plain data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)
