"""The merged configuration of a run as plain data, and what one configuration has that another has not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

SEPARATOR = "#"
"""Between the parts of an id, as the bundles write it; MONAI knows `::` too."""

PATH_IDS = ("dataset_dir", "datalist", "initial_weights", "perceptual_weights", "packed_dir", "codes_dir")
"""Ids whose relative paths are of the working folder; the run folder keeps them absolute."""


def merged_config(parser: ConfigParser) -> dict[str, Any]:
    """The merged configuration of a parser without the metadata.

    Returns:
        A plain dictionary that YAML can hold.
    """
    config = dict(parser.get())
    config.pop(ConfigParser.meta_key, None)
    return config


def portable_config(parser: ConfigParser) -> dict[str, Any]:
    """The merged training configuration as the run folder keeps it: the same from every working folder.

    Returns:
        As `merged_config`, with absolute paths, and with the run folder itself for `run_dir`.
    """
    config = merged_config(parser)
    for name in PATH_IDS:
        value = config.get(name)
        if isinstance(value, str) and Path(value).exists():
            config[name] = str(Path(value).resolve())
    return {**config, "run_dir": "@bundle_root", "resume": False}


def differences(config: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """The ids and values that make a configuration out of another.

    Args:
        config: what is wanted.
        base: what is there; keys that only this has are not reported at the top.

    Returns:
        Values by id, as small as possible: a layer over the base.

    Example:
        >>> differences({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 5}, "d": 3, "e": 4})
        {'a#c': 2}
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        old = base.get(key)
        if key in base and isinstance(value, Mapping) and isinstance(old, Mapping) and set(old) <= set(value):
            found |= {f"{key}{SEPARATOR}{name}": item for name, item in differences(value, old).items()}
        elif key not in base or value != old:
            found[key] = value
    return found
