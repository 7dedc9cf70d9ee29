"""Checks of a configuration before anything in it runs: duplicate keys, misspelt keys, misspelt arguments."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pydoc import locate
from typing import Any

import yaml
from monai.bundle import ConfigComponent, ConfigParser
from monai.bundle.config_item import ComponentLocator
from monai.bundle.properties import InferProperties, TrainProperties
from monai.utils import BundlePropertyConfig

from monai_tff.bundle.merged import SEPARATOR
from monai_tff.errors import ConfigError

WORKFLOW_IDS = ("imports", "initialize", "run", "finalize", "training", "evaluating", "inferring", "_meta_")
"""Ids that MONAI or a user runs; nothing else in the configuration refers to them."""

COMPONENT_KEYS = ("_target_", "_requires_", "_disabled_", "_desc_", "_mode_")
"""What MONAI itself reads in a component."""

REFERENCE = re.compile(r"[@%]([A-Za-z_][\w#]*(?:::\w+)*)")
TEXT_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")
"""Numbers for everyone but YAML, which wants a point and a signed exponent."""

TEXT_TAG = "tag:yaml.org,2002:str"


def check_config_files(files: Sequence[str | Path]) -> None:
    """Refuses config files that are missing, cannot be read, name a key twice or hold a number that YAML reads as text.

    Raises:
        ConfigError: naming the file, and the line where there is one.
    """
    for file in files:
        path = Path(file)
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such config file; check the path.")
        try:
            node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"{path}: cannot be read as YAML or JSON ({reason}); correct the file.") from error
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{path}: holds no `key: value` pairs at its top, expected a configuration.")
        _check_node(path, node)


def _check_node(path: Path, node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise ConfigError(
                    f"{path}: key '{key.value}' stands on line {seen[key.value]} and again on line {line}, "
                    "expected once; remove one of them."
                )
            seen[key.value] = line
            _check_node(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _check_node(path, value)
    elif isinstance(node, yaml.ScalarNode) and path.suffix != ".json" and _is_text_number(node):
        raise ConfigError(
            f"{path}: YAML reads {node.value} on line {node.start_mark.line + 1} as text, expected a number; write it "
            "with a point and a signed exponent, such as 1.0e-4."
        )


def _is_text_number(node: yaml.ScalarNode) -> bool:
    return node.tag == TEXT_TAG and node.style is None and TEXT_NUMBER.fullmatch(node.value) is not None


def check_known_keys(config: Mapping[str, Any], base_files: Sequence[str | Path]) -> None:
    """Refuses keys that nothing uses and arguments that their component does not take.

    A key is known if a base file has it, if another value refers to it, or if MONAI runs it or lists it as a
    property; so a misspelt override is found without a second list of keys to keep.

    Args:
        config: the merged configuration before it is parsed.
        base_files: the first of the merged config files; where it is not known, all that it can have been.

    Raises:
        ConfigError: naming the key, and the nearest known one.
    """
    references = set(_references(config))
    properties = (*TrainProperties.values(), *InferProperties.values())
    known = {
        _with_hashes(str(found[BundlePropertyConfig.ID])) for found in properties if BundlePropertyConfig.ID in found
    }
    known |= {SEPARATOR.join(parts[:i]) for parts in _parts(known | references) for i in range(1, len(parts) + 1)}
    known |= set(WORKFLOW_IDS)
    for file in base_files:
        known |= set(_plain_keys(ConfigParser.load_config_file(file)))
    for key in _plain_keys(config):
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known | set(_plain_keys(config)) - {key}), n=1)
            hint = f"; did you mean '{near[0]}'?" if near else "; remove it."
            raise ConfigError(f"config key '{key}': nothing in the configuration uses it, expected a known key{hint}")
    _check_arguments(config, "", ComponentLocator())


def _parts(ids: set[str]) -> list[list[str]]:
    return [name.split(SEPARATOR) for name in ids]


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _references(item)
    elif isinstance(value, str):
        for name in REFERENCE.findall(value):
            yield _with_hashes(name)


def _with_hashes(name: str) -> str:
    return name.replace("::", SEPARATOR)


def _plain_keys(config: Mapping[str, Any]) -> list[str]:
    """Top-level keys, and the keys of the groups `train` and `validate`."""
    keys = [str(key) for key in config]
    for group in ("train", "validate"):
        members = config.get(group)
        if isinstance(members, Mapping):
            keys += [f"{group}{SEPARATOR}{member}" for member in members]
    return keys


def _check_arguments(value: Any, key: str, locator: ComponentLocator) -> None:
    if isinstance(value, Mapping):
        if isinstance(value.get("_target_"), str) and not value["_target_"].startswith(("$", "@", "%")):
            _check_component(value, key, locator)
        for name, item in value.items():
            _check_arguments(item, f"{key}{SEPARATOR}{name}" if key else str(name), locator)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_arguments(item, f"{key}{SEPARATOR}{i}", locator)


def _check_component(config: Mapping[str, Any], key: str, locator: ComponentLocator) -> None:
    name = ConfigComponent(config=dict(config), id=key, locator=locator).resolve_module_name()
    target = locate(name) if isinstance(name, str) else name
    if target is None:
        raise ConfigError(
            f"config key '{key}': there is no component '{config['_target_']}', "
            "expected a class or function that can be imported; check its spelling."
        )
    taken = [*_parameters(target), *COMPONENT_KEYS]
    for argument in config:
        if argument not in taken and (argument.startswith("_") or "**" not in taken):
            near = difflib.get_close_matches(argument, taken, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; it takes {', '.join(taken)}."
            raise ConfigError(f"config key '{key}{SEPARATOR}{argument}': {name} takes no such argument{hint}")


def _parameters(target: Any) -> list[str]:
    """Names of the arguments of a component, `**` where it takes any."""
    try:
        parameters = inspect.signature(target).parameters.values()
    except ValueError:  # some builtins do not say
        return ["**"]
    return ["**" if parameter.kind is parameter.VAR_KEYWORD else parameter.name for parameter in parameters]
