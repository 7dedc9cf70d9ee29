"""Dataset layers: merged in order, with a sentence for whatever a layer cannot hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_tff.data.layers import LAYER_KEYS, contract_of, read_dataset_layers
from monai_tff.errors import ConfigError, ContractError
from monai_tff.resources import configs_folder


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_later_layer_wins_key_by_key(tmp_path: Path) -> None:
    first = written(tmp_path / "a.yaml", "spatial_size: [7, 8, 9]\ntrim: 3\nmask: nonzero\n")
    second = written(tmp_path / "b.yaml", "trim: 0\naxis_codes: null\n")
    layer = read_dataset_layers([first, second])
    assert layer == {"spatial_size": [7, 8, 9], "trim": 0, "mask": "nonzero", "axis_codes": None}
    contract = contract_of(layer, window_length=5)
    assert (contract.spatial_size, contract.window_length, contract.trim) == ((7, 8, 9), 5, 0)
    assert (contract.mask, contract.axis_codes, contract.tr_policy) == ("nonzero", None, "refuse")


def test_no_layer_and_an_empty_one_set_nothing(tmp_path: Path) -> None:
    assert read_dataset_layers([]) == {}
    assert read_dataset_layers([written(tmp_path / "a.yaml", "# nothing\n")]) == {}


@pytest.mark.parametrize("file", sorted((configs_folder() / "datasets").glob("*.yaml")), ids=lambda file: file.stem)
def test_the_shipped_layers_make_contracts(file: Path) -> None:
    layer = read_dataset_layers([file])
    assert set(layer) <= set(LAYER_KEYS)
    if layer.get("spatial_size") is not None:
        assert contract_of(layer).spatial_size == tuple(layer["spatial_size"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "spatial_sise: [7, 8, 9]",
            r"a.yaml: 'spatial_sise' is no key of a dataset layer; did you mean 'spatial_size'",
        ),
        ("batch: 4", r"a.yaml: 'batch' is no key of a dataset layer; expected one of dataset_dir, datalist, reader"),
        ("datalist: $@dataset_dir + '/d.json'", r"a.yaml: datalist is the expression '\$@dataset_dir \+ '/d.json''"),
        ("dataset_dir: [a]", r"a.yaml: dataset_dir is \['a'\], expected a path as text"),
        ("- trim", r"a.yaml: holds no `key: value` pairs"),
        ("crop: [1,", r"a.yaml: cannot be read as YAML \(.*line"),
    ],
)
def test_what_no_layer_can_hold_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        read_dataset_layers([written(tmp_path / "a.yaml", text)])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: cannot be read \(No such file"):
        read_dataset_layers([tmp_path / "none.yaml"])


@pytest.mark.parametrize(
    ("layer", "error", "sentence"),
    [
        ({"trim": 3}, ConfigError, "dataset layer: spatial_size is not set"),
        ({"spatial_size": 7}, ContractError, "spatial_size is 7, expected 3 whole numbers"),
        ({"spatial_size": [7, 8, 9], "mask": "best"}, ContractError, "mask is 'best', expected one of auto, nonzero"),
    ],
)
def test_layers_without_a_contract_are_refused(layer: dict, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        contract_of(layer)
