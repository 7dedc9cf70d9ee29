"""What configures published weights: the published recipe and the dataset layers, checked against the tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from monai.bundle import ConfigParser

from monai_tff.bundle.experiment import quiet_workflow, read_experiment
from monai_tff.bundle.export.published import PublishedWeights
from monai_tff.bundle.export.published_config import PREPARATION, published_config
from monai_tff.contract import InputContract, Target
from monai_tff.errors import ConfigError, WeightsError
from monai_tff.networks import TFFAutoEncoder, TFFPredictor, TFFReconstructor
from monai_tff.resources import bundles_folder, configs_folder

PHASES = ("autoencoder", "transformer", "finetune")
NETWORKS = {"autoencoder": TFFAutoEncoder, "transformer": TFFReconstructor, "finetune": TFFPredictor}
TEMPLATES = {"autoencoder": "tff_fmri_reconstruction", "transformer": "tff_fmri_reconstruction"}
SEX, AGE = Target("sex", "binary", ("F", "M")), Target("age", "regression")
SIZE = (8, 10, 9)
LAYER = {"spatial_size": list(SIZE), "axis_codes": None, "mask": "nonzero"}


def weights_of(phase: str, size: tuple[int, int, int] = SIZE, flat_size: int = 8, **sizes: int) -> PublishedWeights:
    network = {"hidden_size": 32, **sizes}
    if phase != "autoencoder":
        network = {"max_frames": 29, "num_layers": 2, "feedforward_size": 3072, **network}
    state = NETWORKS[phase](size, **network).state_dict()
    return PublishedWeights("weights.pth", "0" * 64, phase, state, network, flat_size)


def target_of(phase: str) -> Target | None:
    return SEX if phase == "finetune" else None


@pytest.fixture
def layer(tmp_path: Path) -> Callable[..., Path]:
    """Writes a dataset layer: layer(trim=1) adds to a whole one, layer(mask=...) replaces, `...` takes out."""

    def write(**values: Any) -> Path:
        path = tmp_path / "layer.yaml"
        content = {key: value for key, value in (LAYER | values).items() if value is not ...}
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.mark.parametrize("name", ["hcp_paper", "hcp_published", "ucla_paper"])
def test_the_paper_s_layers_prepare_scans_as_published(name: str) -> None:
    """What `PREPARATION` states a second time, as a demand, is what the shipped layers say."""
    layer = yaml.safe_load((configs_folder() / "datasets" / f"{name}.yaml").read_text())
    assert {key: layer[key] for key in PREPARATION} == PREPARATION


@pytest.mark.parametrize("phase", PHASES)
def test_contract_and_network_are_those_of_a_run_of_the_recipe(phase: str, layer: Callable[..., Path]) -> None:
    """Compared with the configuration of the paper's experiment itself, on the paper's layer."""
    (recipe,) = [
        p for p in read_experiment("monai_tff:configs/experiments/paper_hcp_sex.yaml").phases if p.name == phase
    ]
    overrides = {**recipe.overrides, "hidden_size": 32}
    if phase == "finetune":
        overrides["target"] = {"_target_": "monai_tff.contract.Target", **dataclasses.asdict(SEX)}
    parser = quiet_workflow(list(recipe.config_files), "train", overrides).parser
    paper_layer = configs_folder() / "datasets" / "hcp_paper.yaml"
    size = (75, 93, 81)
    found = published_config(weights_of(phase, size, 2640), [paper_layer], target=target_of(phase))
    assert found.contract == parser.get_parsed_content("contract")
    assert found.contract.repetition_time == 0.72
    assert found.contract.window_length == (1 if phase == "autoencoder" else 20)
    assert found.template == TEMPLATES.get(phase, "tff_fmri_prediction")
    assert found.network["code_normalisation"] is False
    assert found.network["spatial_size"] == list(size)
    assert found.network.get("paper_head") == ("binary" if phase == "finetune" else None)
    built = ConfigParser({"network_def": found.network}).get_parsed_content("network_def")
    expected = parser.get_parsed_content("network_def").state_dict()
    assert {name: tensor.shape for name, tensor in built.state_dict().items()} == {
        name: tensor.shape for name, tensor in expected.items()
    }
    assert found.remarks == ()


def test_sizes_of_the_tensors_reach_the_network(layer: Callable[..., Path]) -> None:
    weights = weights_of("transformer", max_frames=6, num_layers=3, feedforward_size=20)
    found = published_config(weights, [layer()], window_length=6)
    assert found.network | weights.network == found.network
    assert found.contract.window_length == 6


def test_the_usual_sizes_are_not_repeated(layer: Callable[..., Path]) -> None:
    (template,) = [bundles_folder() / "tff_fmri_prediction" / "configs" / "inference.yaml"]
    found = published_config(weights_of("finetune"), [layer()], target=SEX)
    usual = {*ConfigParser.load_config_file(template)["network_def"], "dropout", "transformer_dropout", "max_frames"}
    assert set(found.network) == usual


def test_a_number_stays_in_its_own_units(layer: Callable[..., Path]) -> None:
    found = published_config(weights_of("finetune"), [layer()], target=AGE)
    assert found.network["paper_head"] == "regression"
    assert (found.contract.target_mean, found.contract.target_std) == (None, None)


def test_what_the_layers_say_of_a_scan_is_in_the_contract_and_where_it_lies_is_nowhere(
    layer: Callable[..., Path], tmp_path: Path
) -> None:
    second = tmp_path / "second.yaml"
    second.write_text("trim: 3\nrepetition_time: 2.5\ndataset_dir: /secret/place\ndatalist: /secret/list.json\n")
    first = layer(crop=[[0, -1], None, [1, None]], trim=1, reader="ITKReader", tr_policy="allow")
    found = published_config(weights_of("finetune"), [first, second], target=SEX)
    assert found.contract == InputContract(
        spatial_size=SIZE,
        window_length=20,
        axis_codes=None,
        mask="nonzero",
        crop=((0, -1), (None, None), (1, None)),
        trim=3,
        repetition_time=2.5,
        tr_policy="allow",
        target=SEX,
    )
    assert found.inference == {"reader": "ITKReader"}
    assert "secret" not in str(dataclasses.asdict(found))


def test_training_and_evaluation_take_the_target_from_their_datalist(layer: Callable[..., Path]) -> None:
    found = published_config(weights_of("finetune"), [layer()], target=SEX)
    for config in (found.train, found.evaluate):
        assert config["target"] == "$monai_tff.data.target_of(@datalist)"
        assert config["flat_average"] is True
        assert config["hidden_size"] == 32
    assert found.train["batch_size"] == 3
    assert found.evaluate["section"] == "test"
    assert "section" not in found.train


def test_nothing_of_the_recipe_reads_the_weights_of_the_phase_before(layer: Callable[..., Path]) -> None:
    assert "read_learning_rate" not in str(published_config(weights_of("transformer"), [layer()]).train)


@pytest.mark.parametrize(("key", "value"), [("axis_codes", "RAS"), ("mask", "auto")])
def test_another_preparation_than_the_published_one_is_remarked_on(
    key: str, value: str, layer: Callable[..., Path]
) -> None:
    found = published_config(weights_of("autoencoder"), [layer(**{key: value})])
    (remark,) = found.remarks
    assert remark.startswith(f"{key} is {value}, with the published code it is ")
    assert getattr(found.contract, key) == value


@pytest.mark.parametrize("key", ["spatial_size", "axis_codes", "mask"])
def test_a_layer_that_leaves_the_preparation_open(key: str, layer: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=f"--layer: {key} is not set, expected the preparation"):
        published_config(weights_of("autoencoder"), [layer(**{key: ...})])


def test_no_layer_at_all() -> None:
    with pytest.raises(ConfigError, match="--layer: spatial_size is not set"):
        published_config(weights_of("autoencoder"), [])


@pytest.mark.parametrize(
    ("phase", "target", "sentence"),
    [
        ("finetune", None, "phase 'finetune', which predicts a target; give --target, --kind and, for two classes"),
        ("autoencoder", SEX, "phase 'autoencoder', which reconstructs scans; give no --target"),
        ("transformer", AGE, "phase 'transformer', which reconstructs scans; give no --target"),
    ],
)
def test_a_target_where_there_is_none(
    phase: str, target: Target | None, sentence: str, layer: Callable[..., Path]
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        published_config(weights_of(phase), [layer()], target=target)


def test_the_layer_of_another_grid(layer: Callable[..., Path]) -> None:
    with pytest.raises(WeightsError, match=r"bottleneck has 8 numbers, expected 12 for .* spatial_size \[8, 10, 17\]"):
        published_config(weights_of("autoencoder"), [layer(spatial_size=[8, 10, 17])])


def test_a_window_that_the_network_cannot_take(layer: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=r"window_length is 30, expected 1 to 29 \(max_frames\)"):
        published_config(weights_of("finetune"), [layer()], target=SEX, window_length=30)


def test_values_that_are_not_finite(layer: Callable[..., Path]) -> None:
    weights = weights_of("finetune")
    weights.state["head.bias"].fill_(torch.nan)
    with pytest.raises(WeightsError, match=r"weights\.pth: 'head.bias' holds NaN or infinite values"):
        published_config(weights, [layer()], target=SEX)


def test_sizes_that_a_file_makes_up_take_no_memory(layer: Callable[..., Path]) -> None:
    """A network of that hidden size would have 10^14 weights."""
    weights = dataclasses.replace(weights_of("autoencoder"), network={"hidden_size": 10**7})
    with pytest.raises(WeightsError, match="expected"):
        published_config(weights, [layer()])
    weights = dataclasses.replace(
        weights_of("transformer"), network=weights_of("transformer").network | {"hidden_size": 16 * 10**6}
    )
    with pytest.raises(WeightsError, match="has the shape"):
        published_config(weights, [layer()])
