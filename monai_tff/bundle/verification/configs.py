"""The configs of a bundle before one is parsed: they may call what the shipped bundles call, where those call it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monai_tff.bundle import layout
from monai_tff.bundle.verification.allowed import (
    SEPARATOR,
    TARGET,
    WEIGHTS,
    AllowList,
    below,
    inference_allowed,
    normalised,
    training_allowed,
)
from monai_tff.bundle.verification.findings import Finding, finding, refused, shown
from monai_tff.bundle.verification.parts import CONTRACT, NETWORK, check_contract, check_network, part_arguments
from monai_tff.bundle.verification.texts import MAX_TEXT, read_bytes, read_json, read_yaml, texts_in
from monai_tff.resources import bundles_folder

KEY = re.compile(r"[A-Za-z_]\w*", re.ASCII)
REFERENCE = re.compile(r"@(\w+(?:::\w+)*)", re.ASCII)
RUN_BY_MONAI = ("$", "@", "%")
"""Starts of a text that MONAI runs, looks up or reads from a file."""

MAX_NUMBER = 10**9
MAX_WORKERS = 64


def config_findings(folder: Path, name: str) -> Iterator[Finding]:
    """What a config holds that the shipped bundles do not.

    Args:
        folder: of the bundle.
        name: of the file, `configs/inference.yaml` for example.

    Yields:
        One finding for each value.

    Raises:
        BundleError: for a file that is not plain YAML.
    """
    config = read_yaml(folder / name)
    allowed = inference_allowed() if name == layout.INFERENCE else training_allowed()
    for key, value in config.items():
        if not KEY.fullmatch(key):
            yield finding("configs", name, f"the key {shown(key)}, expected an id of the shipped bundles")
        elif key in (CONTRACT, NETWORK) and (name == layout.INFERENCE or _is_plain(value)):
            check = check_contract if key == CONTRACT else check_network
            yield from refused("configs", name, check, value)
        else:
            yield from (finding("configs", name, found) for found in _value_findings(value, key, key, allowed))
    yield from (finding("configs", name, found) for found in _reference_findings(config))


def _is_plain(value: Any) -> bool:
    """Whether a part is spelt out, as in an inference config, and refers to no other id."""
    return not any(text.startswith(RUN_BY_MONAI) for text in texts_in(value))


def _value_findings(value: Any, key: str, place: str, allowed: AllowList) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _mapping_findings(value, key, place, allowed)
    elif isinstance(value, list):
        if not allowed.knows(place) and place not in allowed.targets:
            yield f"{key} is a list, which no shipped bundle has there"
        for number, item in enumerate(value):
            yield from _value_findings(item, f"{key}#{number}", place, allowed)
    elif isinstance(value, str):
        if not allowed.takes(place, normalised(value)) and not (place == "weights" and value in WEIGHTS):
            kind = "the expression" if value.startswith("$") else "the text"
            yield f"{key} is {kind} {shown(value)}, which no shipped bundle has there"
    elif not allowed.knows(place) and not _is_part_number(place):
        yield f"{key} is {shown(value)}, which no shipped bundle has there"
    elif isinstance(value, int | float) and abs(value) > (limit := _limit(place)):
        yield f"{key} is {shown(value)}, expected at most {limit:,}"


def _limit(place: str) -> int:
    return MAX_WORKERS if place.endswith("workers") else MAX_NUMBER


def _mapping_findings(value: Mapping[str, Any], key: str, place: str, allowed: AllowList) -> Iterator[str]:
    target = value.get(TARGET)
    if TARGET in value and (not isinstance(target, str) or target not in allowed.targets.get(place, ())):
        yield f"{key} calls {shown(target)}, which no shipped bundle calls there"
        return
    if TARGET not in value and not any(
        known.startswith(place + SEPARATOR) for known in (*allowed.texts, *allowed.targets)
    ):
        yield f"{key} is a mapping, which no shipped bundle has there"
        return
    for name, item in value.items():
        if name == TARGET:
            continue
        if not KEY.fullmatch(name):
            yield f"{key} has the key {shown(name)}, expected one of the shipped bundles"
            continue
        yield from _value_findings(item, f"{key}#{name}", below(place, name, target), allowed)


def _is_part_number(place: str) -> bool:
    """Whether a place is an argument of the contract or the network, of which the shipped configs set a few."""
    part, _, rest = place.partition(f"{SEPARATOR}<")
    target, _, argument = rest.partition(f">{SEPARATOR}")
    return part in (CONTRACT, NETWORK) and argument in part_arguments(target)


def _reference_findings(config: Mapping[str, Any]) -> Iterator[str]:
    for text in texts_in(dict(config)):
        if text.startswith(("$", "@")):
            for name in REFERENCE.findall(normalised(text)):
                if not _is_there(config, name.split(SEPARATOR)):
                    yield f"{shown(text)} refers to {shown(name)}, which is not in the config"


def _is_there(config: Any, parts: list[str]) -> bool:
    for part in parts:
        if isinstance(config, Mapping) and part in config:
            config = config[part]
        elif isinstance(config, list) and part.isdecimal() and int(part) < len(config):
            config = config[int(part)]
        else:
            return False
    return True


def metadata_findings(folder: Path) -> Iterator[Finding]:
    """What metadata.json holds that is more than data: MONAI parses it together with the config.

    Args:
        folder: of the bundle.

    Yields:
        One finding for each text.

    Raises:
        BundleError: for a file that is no plain JSON.
    """
    content = read_json(folder / layout.METADATA)
    if not isinstance(content, dict):
        yield finding("metadata", layout.METADATA, "no mapping, expected one")
        return
    for key in _keys(content):
        if key.startswith("_") or "#" in key or SEPARATOR in key:
            yield finding("metadata", layout.METADATA, f"the key {shown(key)}, which MONAI reads as more than a name")
    for text in texts_in(content):
        if text.startswith(RUN_BY_MONAI):
            yield finding("metadata", layout.METADATA, f"the text {shown(text)}, which MONAI would run or look up")


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _keys(item)


def logging_findings(folder: Path) -> Iterator[Finding]:
    """Whether logging.conf is the shipped one: what it holds is evaluated as Python.

    Args:
        folder: of the bundle.

    Yields:
        One finding where it differs.
    """
    path = folder / layout.LOGGING
    shipped = [file.read_bytes() for file in bundles_folder().glob(f"*/{layout.LOGGING}")]
    if read_bytes(path, MAX_TEXT) not in shipped:
        yield finding("logging", layout.LOGGING, "differs from the shipped one, whose entries are run as Python")
