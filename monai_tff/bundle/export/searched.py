"""What there is to read in the files of a bundle: texts, texts of programs, and letters among the bytes of tensors."""

from __future__ import annotations

import json
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import yaml

DOCUMENT, PROGRAM, RAW = "document", "program", "raw"
"""Kinds of text: written for people or as settings; written by torch; letters that stand among numbers."""

ARCHIVES = (".pt", ".ts", ".pt2")
RUN_OF_LETTERS = re.compile(rb"[\x20-\x7e]{8,}")
"""Shorter ones come about by chance in the bytes of tensors."""

BLOCK = 2**24
_OVERLAP = 2**12


class Text(NamedTuple):
    """Text of a file of a bundle.

    Attributes:
        where: the file, with its member where it is an archive.
        kind: `document`, `program` or `raw`.
        text: what is written there.
    """

    where: str
    kind: str
    text: str


def texts_of(folder: Path) -> Iterator[Text]:
    """Everything that can be read in a bundle: names and contents of its files, archives of weights opened.

    Args:
        folder: of the bundle.

    Yields:
        Texts; strings of JSON in programs and of pickles one a line, without the numbers between them.
    """
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        yield Text(name, DOCUMENT, name)
        if path.suffix == ".safetensors":
            yield from _safetensors(name, path)
        elif path.suffix in ARCHIVES:
            yield from _archive(name, path)
        else:
            text = path.read_text(encoding="utf-8", errors="replace")
            yield Text(name, DOCUMENT, text)
            # as written, and as read: escapes hide letters of other alphabets, and folded lines tear words apart
            yield Text(name, DOCUMENT, "\n".join(_strings(_settings(path.suffix, text))))


def _settings(suffix: str, text: str) -> Any:
    """What a file of settings holds; None for other files, and for what cannot be read as such."""
    try:
        if suffix == ".json":
            return json.loads(text)
        return yaml.safe_load(text) if suffix in (".yaml", ".yml") else None
    except (ValueError, yaml.YAMLError):
        return None


def _safetensors(name: str, path: Path) -> Iterator[Text]:
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        yield Text(name, DOCUMENT, "\n".join(_strings(json.loads(file.read(length)))))
        yield from _raw(name, file)


def _archive(name: str, path: Path | IO[bytes]) -> Iterator[Text]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            where = f"{name}: {member.filename}"
            yield Text(where, PROGRAM, member.filename)
            with archive.open(member) as content:
                suffix = Path(member.filename).suffix
                if suffix in ARCHIVES:
                    yield from _archive(where, content)
                elif suffix == ".pkl":
                    yield Text(where, DOCUMENT, "\n".join(_pickled_strings(content.read())))
                elif suffix == ".json":
                    yield Text(where, PROGRAM, "\n".join(_strings(json.loads(content.read()))))
                elif suffix == ".py":
                    yield Text(where, PROGRAM, content.read().decode("utf-8", errors="replace"))
                else:
                    yield from _raw(where, content)


def _strings(value: Any) -> Iterator[str]:
    """Keys and texts of what JSON holds."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, str):
        yield value


def _pickled_strings(content: bytes) -> Iterator[str]:
    for _, argument, _ in pickletools.genops(content):
        if isinstance(argument, str):
            yield argument


def _raw(where: str, content: IO[bytes]) -> Iterator[Text]:
    kept = b""
    while block := content.read(BLOCK):
        found = RUN_OF_LETTERS.findall(kept + block)
        if found:
            yield Text(where, RAW, b"\n".join(found).decode("ascii"))
        kept = block[-_OVERLAP:]
