"""What a bundle says of itself: metadata, model card, list of large files, and the form of its texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from monai_tff import __version__
from monai_tff.bundle import layout
from monai_tff.bundle.verification.findings import Finding, finding, shown
from monai_tff.bundle.verification.manifest import SHA256
from monai_tff.bundle.verification.texts import MAX_TEXT, parse_json, read_bytes, read_json, read_yaml
from monai_tff.bundle.verification.tree import MAX_HASHES, WEIGHTS
from monai_tff.errors import BundleError

SCHEMA_FILE = "meta_schema_20240725.json"
"""MONAI's schema of metadata.json, unchanged, from https://project-monai.github.io/schema/ (Apache-2.0)."""

ZOO_KEYS = ("name", "changelog", "task", "intended_use")
"""What the model zoo and our model cards want besides the schema."""

TEXTS = (layout.METADATA, layout.LOGGING, layout.INFERENCE, layout.TRAIN, layout.EVALUATE, layout.LARGE_FILES)
PROSE = (layout.MODEL_CARD, layout.DATA_LICENSE, layout.LICENSE)
COLUMNS = 120
INDENT = 4

PERSONAL_PATH = re.compile(
    r"((?<![\w./:~-])/(home|Users|root|tmp|work|mnt|scratch|srv|var|private)/|\b[A-Za-z]:\\{1,2}\w|\bfile:/)\S*"
)
"""A path of somebody's machine; JSON writes each backslash of Windows twice."""
HEADING = re.compile(r"#{1,6} ")
FENCE = re.compile(r"^ *(```|~~~)")


def schema_findings(folder: Path) -> Iterator[Finding]:
    """Where metadata.json and content_hashes.json are not what they should be.

    Args:
        folder: of the bundle.

    Yields:
        One finding for each fault.

    Raises:
        BundleError: for a file that is no JSON.
    """
    metadata = read_json(folder / layout.METADATA)
    for error in sorted(_validator().iter_errors(metadata), key=lambda error: list(map(str, error.absolute_path))):
        key = "#".join(map(str, error.absolute_path)) or "the top"
        yield finding("schema", layout.METADATA, f"{key}: {shown(error.message)}, expected what the schema says")
    if not isinstance(metadata, dict):
        return
    for key in ZOO_KEYS:
        if not metadata.get(key):
            yield finding("schema", layout.METADATA, f"'{key}' is missing, expected it in a bundle for others")
    named = str(metadata.get("schema", ""))
    if not named.endswith(f"/{SCHEMA_FILE}"):
        yield finding("schema", layout.METADATA, f"the schema is {shown(named)}, expected {SCHEMA_FILE}")
    changelog = metadata.get("changelog")
    if not isinstance(changelog, dict) or str(metadata.get("version")) not in changelog:
        yield finding("schema", layout.METADATA, "the changelog has no entry of the version, expected one")
    yield from _hashes_findings(folder)


@cache
def _validator() -> Any:
    schema = json.loads(Path(__file__).with_name(SCHEMA_FILE).read_text(encoding="utf-8"))
    return jsonschema.validators.validator_for(schema)(schema)


def _hashes_findings(folder: Path) -> Iterator[Finding]:
    path = folder / layout.CONTENT_HASHES
    if not path.is_file():
        return
    content = read_json(path, MAX_HASHES)
    is_fine = isinstance(content, dict) and set(content) == {"complete", "hashes"}
    is_fine = is_fine and isinstance(content["complete"], bool) and isinstance(content["hashes"], list)
    if not (is_fine and all(isinstance(value, str) and SHA256.fullmatch(value) for value in content["hashes"])):
        yield finding("schema", layout.CONTENT_HASHES, "no 'complete' and 'hashes' of SHA-256 alone, expected both")


def card_findings(folder: Path) -> Iterator[Finding]:
    """Sections that the model card lacks, or has in another order.

    Args:
        folder: of the bundle.

    Yields:
        One finding for each section.

    Raises:
        BundleError: for a file that is no text.
    """
    headings = list(_headings(_prose(folder, layout.MODEL_CARD)))
    missing = [name for name in layout.CARD_SECTIONS if name not in headings]
    for name in missing:
        yield finding("card", layout.MODEL_CARD, f"there is no section '{name}', expected one")
    order = [name for name in headings if name in layout.CARD_SECTIONS]
    if not missing and order != list(layout.CARD_SECTIONS):
        yield finding("card", layout.MODEL_CARD, f"the sections {', '.join(order)}, expected each once and in order")


def _headings(text: str) -> Iterator[str]:
    in_fence = False
    for line in text.splitlines():
        in_fence ^= FENCE.match(line) is not None
        if HEADING.match(line) and not in_fence:
            yield line.lstrip("#").rstrip("# ").strip()


def large_files_findings(folder: Path) -> Iterator[Finding]:
    """Large files that are not listed, and entries that do not fit the manifest.

    Args:
        folder: of the bundle.

    Yields:
        One finding for each file.

    Raises:
        BundleError: for a list that is no YAML.
    """
    content = read_yaml(folder / layout.LARGE_FILES)
    entries = content.get("large_files")
    if (
        set(content) != {"large_files"}
        or not isinstance(entries, list)
        or not all(isinstance(entry, dict) for entry in entries)
    ):
        yield finding("large_files", layout.LARGE_FILES, "more or less than a list large_files, expected one")
        return
    hashes = layout.read_manifest(folder)
    listed: dict[str, str] = {}
    for entry in entries:
        name, url = entry.get("path"), entry.get("url")
        if name not in WEIGHTS or set(entry) != {"path", "url", "hash_val", "hash_type"}:
            yield finding("large_files", layout.LARGE_FILES, f"the entry {shown(name)}, expected a file of weights")
            continue
        listed[name] = url
        if not isinstance(url, str) or not (url == "" or url.startswith("https://")):
            yield finding("large_files", layout.LARGE_FILES, f"{name} lies at {shown(url)}, expected https or nothing")
        if entry["hash_type"] != layout.HASH_TYPE or entry["hash_val"] != hashes.get(name):
            yield finding("large_files", layout.LARGE_FILES, f"{name} has another hash than in {layout.MANIFEST}")
    for name in WEIGHTS:
        path = folder / name
        if path.is_file() and path.stat().st_size > layout.LARGE and name not in listed:
            yield finding("large_files", name, f"{path.stat().st_size:,} bytes, expected in {layout.LARGE_FILES}")
        if not path.is_file() and not listed.get(name):
            yield finding("large_files", name, f"is missing, and {layout.LARGE_FILES} does not say where it lies")


def version_findings(folder: Path) -> Iterator[Finding]:
    """Whether the bundle was made with the monai_tff that is installed.

    Args:
        folder: of the bundle.

    Yields:
        A finding where it was not.
    """
    packages = read_json(folder / layout.METADATA).get("required_packages_version")
    made_with = packages.get("monai_tff") if isinstance(packages, dict) else None
    if made_with is None:
        yield finding("version", layout.METADATA, "required_packages_version names no monai_tff, expected its version")
    elif made_with != __version__:
        yield finding(
            "version",
            layout.METADATA,
            f"made with monai_tff {shown(made_with)}, but {__version__} is installed; the numbers may differ",
        )


def style_findings(folder: Path) -> Iterator[Finding]:
    """Long lines, other indents than the model zoo's, and paths of somebody's machine.

    Args:
        folder: of the bundle.

    Yields:
        One finding for each file and fault.

    Raises:
        BundleError: for a file that is no text.
    """
    for name in (*TEXTS, *PROSE):
        if not (folder / name).is_file():
            continue
        text = _prose(folder, name)
        lines = text.splitlines()
        if name in TEXTS and name not in (layout.METADATA, layout.LARGE_FILES):
            long = next((n for n, line in enumerate(lines, start=1) if len(line) > COLUMNS), None)
            if long is not None:
                yield finding("style", name, f"line {long} has more than {COLUMNS} columns, expected fewer")
        personal = PERSONAL_PATH.search(text)
        if personal:
            yield finding("style", name, f"the path {shown(personal[0])} of somebody's machine, expected none")
    content = _prose(folder, layout.METADATA)
    value = parse_json(content.encode())
    forms = (json.dumps(value, indent=INDENT, ensure_ascii=escaped) for escaped in (True, False))
    if content.removesuffix("\n") not in forms:
        yield finding("style", layout.METADATA, f"another form than JSON indented by {INDENT}, expected that")


def _prose(folder: Path, name: str) -> str:
    try:
        return read_bytes(folder / name, MAX_TEXT).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"{name} is no text in UTF-8, expected one") from error
