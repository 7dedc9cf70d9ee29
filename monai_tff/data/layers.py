"""Dataset layers: the YAML files that say where a cohort lies and how its scans are prepared."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from monai_tff.contract import InputContract
from monai_tff.errors import ConfigError

CONTRACT_KEYS = (
    *("spatial_size", "crop", "trim", "axis_codes", "mask"),
    *("voxel_size", "repetition_time", "tr_policy", "denoising"),
)
"""Keys of a dataset layer that the input contract has under the same names."""

LAYER_KEYS = ("dataset_dir", "datalist", "reader", *CONTRACT_KEYS, "encoding", "packed_dir", "memory_map")
"""Keys that a dataset layer may set."""

PATH_KEYS = ("dataset_dir", "datalist", "packed_dir")


def read_dataset_layers(files: Sequence[str | os.PathLike[str]]) -> dict[str, Any]:
    """Reads dataset layers and merges them: what a later file says replaces what an earlier one said.

    Args:
        files: YAML files; none give an empty layer.

    Returns:
        The keys that any of the files sets, with plain values. Relative paths are of the working folder, as for a run.

    Raises:
        ConfigError: for a file that cannot be read, a key that no dataset layer has, or a value that only a run could
            work out (`$...`, `@...`, `%...`).

    Example:
        >>> layer = read_dataset_layers(["configs/datasets/ucla_paper.yaml"])  # doctest: +SKIP
        >>> layer["spatial_size"]  # doctest: +SKIP
        [65, 77, 49]
    """
    merged: dict[str, Any] = {}
    for file in files:
        merged |= _read(Path(file))
    return merged


def contract_of(layer: Mapping[str, Any], window_length: int = 1) -> InputContract:
    """The input contract that a dataset layer describes.

    Args:
        layer: from `read_dataset_layers`, `spatial_size` at least.
        window_length: frames in a window, which the phase sets and not the dataset.

    Returns:
        The contract; what the layer does not set has the contract's default.

    Raises:
        ConfigError: without `spatial_size`.
        ContractError: for a value of another kind, or an unknown policy.
    """
    if layer.get("spatial_size") is None:
        raise ConfigError(
            "dataset layer: spatial_size is not set, expected [H, W, D] in voxels after the crop; give a layer "
            "that has it (`python -m monai_tff datalist` prints the grid, `init` writes the layer)."
        )
    values = {key: layer[key] for key in CONTRACT_KEYS if key in layer}
    return InputContract(window_length=window_length, **values)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}), expected a dataset layer; check the path."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{path}: cannot be read as YAML ({reason}), expected a dataset layer; correct it."
        ) from error
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds no `key: value` pairs, expected a dataset layer; correct it.")
    for key, value in content.items():
        _check(path, str(key), value)
    return content


def _check(path: Path, key: str, value: Any) -> None:
    if key not in LAYER_KEYS:
        near = difflib.get_close_matches(key, LAYER_KEYS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"expected one of {', '.join(LAYER_KEYS)}."
        raise ConfigError(f"{path}: '{key}' is no key of a dataset layer; {hint}")
    if isinstance(value, str) and value.startswith(("$", "@", "%")):
        raise ConfigError(f"{path}: {key} is the expression '{value}', expected a plain value; write the value itself.")
    if key in PATH_KEYS and not isinstance(value, str | None):
        raise ConfigError(f"{path}: {key} is {value!r}, expected a path as text; correct it.")
