"""The merged configuration as the run folder keeps it, and differences between two configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from monai.bundle import ConfigParser

from monai_tff.bundle.merged import differences, merged_config, portable_config


@pytest.mark.parametrize(
    ("config", "base", "expected"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, {}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 5}}, {"a#c": 2}),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 5}}, {"a": {"b": 1}}),
        ({"a": {"b": 1, "d": 7}}, {"a": {"b": 1}}, {"a#d": 7}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1, 2]}),
        ({"a": None}, {}, {"a": None}),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, {"a#b#c": 1}),
    ],
)
def test_differences(config: dict[str, Any], base: dict[str, Any], expected: dict[str, Any]) -> None:
    assert differences(config, base) == expected


values = st.recursive(st.integers(0, 2), lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=6)
configs = st.dictionaries(st.sampled_from("abc"), values)


@given(configs, configs)
def test_a_base_with_the_differences_is_the_configuration(config: dict[str, Any], base: dict[str, Any]) -> None:
    parser = ConfigParser({**base})
    parser.update(differences(config, base))
    assert {key: parser.get()[key] for key in config} == config


def test_what_the_run_folder_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cohort").mkdir()
    config = {"dataset_dir": "cohort", "datalist": "$@dataset_dir + '/x.json'", "perceptual_weights": "imagenet"}
    parser = ConfigParser({**config, "run_dir": "here", "resume": True, "_meta_": {"version": "1"}, "seed": 3})
    assert merged_config(parser) == {**config, "run_dir": "here", "resume": True, "seed": 3}
    expected = {
        **config,
        "dataset_dir": str(tmp_path / "cohort"),
        "run_dir": "@bundle_root",
        "resume": False,
        "seed": 3,
    }
    assert portable_config(parser) == expected
