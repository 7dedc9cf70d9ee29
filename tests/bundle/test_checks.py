"""Config files and keys that are wrong are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monai_tff.bundle.checks import check_config_files, check_known_keys
from monai_tff.errors import ConfigError


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: 2\na: 3\n", r"layer.yaml: key 'a' stands on line 1 and again on line 3, expected once"),
        (b"a:\n  - b: 1\n    c: 2\n    b: 1\n", r"key 'b' stands on line 2 and again on line 4"),
        (b"a: [1, 2\n", r"layer.yaml: cannot be read as YAML or JSON \(while parsing a flow sequence.* line 1"),
        (b"\xff\xfe\x00", r"layer.yaml: cannot be read as YAML or JSON"),
        (b"- a\n- b\n", r"layer.yaml: holds no `key: value` pairs"),
        (b"", r"layer.yaml: holds no `key: value` pairs"),
        (b"a: 1\nlearning_rate: 1e-4\n", r"YAML reads 1e-4 on line 2 as text, expected a number; .* such as 1.0e-4"),
        (b"a: [.5E3]\n", r"YAML reads .5E3 on line 1 as text"),
    ],
)
def test_a_file_that_is_wrong_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "layer.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        check_config_files([file])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no_such.yaml: there is no such config file"):
        check_config_files([tmp_path / "no_such.yaml"])


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.yaml", "a: 1.0e-4\nb: '1e-4'\nc: 1e\nd: e5\n"), ("a.json", '{"a": 1e-4, "b": {"a": 2}}')],
)
def test_a_file_that_is_right_passes(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    check_config_files([tmp_path / name])


BASE = """
epochs: 3
rate: 0.1
unused_but_ours: 1
optimizer: {_target_: torch.optim.SGD, lr: '@rate', params: []}
train:
  steps: '@epochs'
initialize: []
run: []
"""


def check(tmp_path: Path, changes: dict[str, Any]) -> None:
    from monai.bundle import ConfigParser

    (tmp_path / "base.yaml").write_text(BASE)
    parser = ConfigParser(ConfigParser.load_config_file(tmp_path / "base.yaml"))
    parser.update(changes)
    check_known_keys(parser.get(), [tmp_path / "base.yaml"])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"unused_but_ours": 2},
        {"extra": 3, "rate": "@extra"},
        {"extra": {"deep": 3}, "rate": "$@extra::deep + 1"},
        {"optimizer": {"_target_": "torch.optim.SGD", "params": [], "lr": 1}},
        {"optimizer#_disabled_": True},
        {"anything": {"_target_": "builtins.dict", "a": 1}, "rate": "@anything"},
        {"validate": {"evaluator": 1}, "evaluator": "@validate#evaluator"},
    ],
)
def test_known_keys_pass(changes: dict[str, Any], tmp_path: Path) -> None:
    check(tmp_path, changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochz": 5}, r"config key 'epochz': nothing in the configuration uses it.*did you mean 'epochs'\?"),
        ({"zzzzzz": 5}, r"config key 'zzzzzz': .*remove it"),
        ({"train#stepz": 5}, r"config key 'train#stepz': .*did you mean 'train#steps'\?"),
        (
            {"optimizer#lrr": 5},
            r"config key 'optimizer#lrr': torch.optim.SGD takes no such argument; did you mean 'lr'\?",
        ),
        ({"optimizer#_disable_": True}, r"config key 'optimizer#_disable_': .*did you mean '_disabled_'\?"),
        ({"optimizer#zzzzzz": 5}, r"takes no such argument; it takes params, lr, momentum"),
        ({"rate": [{"_target_": "Compose", "transfroms": []}]}, r"config key 'rate#0#transfroms': .*'transforms'"),
        ({"rate": {"_target_": "torch.optim.SDG"}}, r"config key 'rate': there is no component 'torch.optim.SDG'"),
    ],
)
def test_what_is_misspelt_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        check(tmp_path, changes)
