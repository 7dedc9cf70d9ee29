"""What the published format does not say of its weights, from the published recipe and dataset layers.

The recipe is the shipped one: the bundle's train.yaml with the layers of the paper's experiment, merged as a run does.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from monai_tff.bundle.experiment import Phase, quiet_workflow, read_experiment
from monai_tff.bundle.export.published import PublishedWeights
from monai_tff.bundle.merged import merged_config
from monai_tff.bundle.run_folder import evaluation_config, filled_network
from monai_tff.bundle.start import check_window
from monai_tff.contract import InputContract, Target
from monai_tff.data.layers import CONTRACT_KEYS, read_dataset_layers
from monai_tff.errors import ConfigError, WeightsError
from monai_tff.networks import TFFReconstructor, check_fit
from monai_tff.networks.blocks import BOTTLENECK_CHANNELS, stage_sizes
from monai_tff.resources import configs_folder

RECIPE = "monai_tff:configs/experiments/paper_hcp_sex.yaml"
"""An experiment of the published recipe; its dataset layer is left out, the other layers are those of every cohort."""

PREPARATION = {"axis_codes": None, "mask": "nonzero"}
"""How the published code prepares scans of every cohort: a layer must say it, and another value is remarked on."""

CONFIG_KEYS = ("hidden_size", "max_frames")
"""Sizes that have an id of their own in train.yaml; the others are arguments of the network alone."""


@dataclasses.dataclass(frozen=True)
class PublishedConfig:
    """What a bundle of published weights is configured with.

    Attributes:
        template: name of the shipped bundle.
        contract: the input contract.
        network: `network_def` with every value filled in.
        inference: ids and values of `inference.yaml` other than the template's.
        train: the published recipe, merged.
        evaluate: the evaluation over it.
        remarks: sentences on layers that say something else than the published code does.
    """

    template: str
    contract: InputContract
    network: dict[str, Any]
    inference: dict[str, Any]
    train: dict[str, Any]
    evaluate: dict[str, Any]
    remarks: tuple[str, ...]


def published_config(
    weights: PublishedWeights,
    layers: Sequence[str | Path],
    *,
    target: Target | None = None,
    window_length: int | None = None,
) -> PublishedConfig:
    """Puts together the configuration of published weights, and checks it against the sizes of their tensors.

    Args:
        weights: as read from the file.
        layers: dataset layers of the cohort that they were trained on.
        target: what they predict; None for a reconstruction.
        window_length: frames in a window; None for the published one.

    Returns:
        The configuration.

    Raises:
        ConfigError: for layers that leave the preparation open, a target where there is none, or a window that is too
            long.
        WeightsError: for weights of another grid, or that do not make up the network.
    """
    _check_target(weights, target)
    layer = _preparation(layers)
    recipe = next(phase for phase in read_experiment(RECIPE).phases if phase.name == weights.phase)
    files = [Path(file) for file in recipe.config_files if configs_folder() not in Path(file).parents]
    parser = _parser(files, recipe, weights, layer, target, window_length)
    contract: InputContract = parser.get_parsed_content("contract")
    _check_grid(weights, contract)
    with torch.device("meta"):  # shapes alone: nothing is allocated for sizes that a file makes up
        network: torch.nn.Module = parser.get_parsed_content("network_def")
    check_window(network, contract.window_length)
    check_fit(weights.state, network.state_dict(), weights.source)
    train = merged_config(parser)
    if target is not None:  # a training takes it from its datalist
        train["target"] = ConfigParser.load_config_file(files[0])["target"]
    return PublishedConfig(
        template=files[0].parents[1].name,
        contract=contract,
        network=filled_network(parser),
        inference={"reader": layer["reader"]} if "reader" in layer else {},
        train=train,
        evaluate=evaluation_config(train, files[0].parent),
        remarks=_remarks(layer),
    )


def _check_target(weights: PublishedWeights, target: Target | None) -> None:
    predicts = weights.phase == "finetune"
    if predicts == (target is not None):
        return
    does = "predicts a target" if predicts else "reconstructs scans"
    wanted = "--target, --kind and, for two classes, --classes" if predicts else "no --target"
    raise ConfigError(f"{weights.source}: holds weights of phase '{weights.phase}', which {does}; give {wanted}.")


def _preparation(layers: Sequence[str | Path]) -> dict[str, Any]:
    """How scans are prepared, from the layers; where the cohort lies is left out."""
    layer = read_dataset_layers(layers)
    for key in ("spatial_size", *PREPARATION):
        if key not in layer:
            raise ConfigError(
                f"--layer: {key} is not set, expected the preparation that the weights were trained with, which their "
                "file does not say; give a dataset layer that sets it, such as "
                "monai_tff:configs/datasets/hcp_paper.yaml."
            )
    return {key: layer[key] for key in (*CONTRACT_KEYS, "reader") if key in layer}


def _remarks(layer: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"{key} is {layer[key]}, with the published code it is {value}; the bundle prepares scans as the layer says"
        for key, value in PREPARATION.items()
        if layer[key] != value
    )


def _parser(
    files: Sequence[Path],
    recipe: Phase,
    weights: PublishedWeights,
    layer: Mapping[str, Any],
    target: Target | None,
    window_length: int | None,
) -> ConfigParser:
    """The merged configuration; of the recipe's overrides those that only a run could work out are left out."""
    overrides = {key: value for key, value in recipe.overrides.items() if not str(value).startswith("$")}
    overrides.update(layer)
    usual = inspect.signature(TFFReconstructor).parameters
    for name, value in weights.network.items():
        if name in CONFIG_KEYS:
            overrides[name] = value
        elif value != usual[name].default:
            overrides[f"network_def#{name}"] = value
    if window_length is not None:
        overrides["window_length"] = window_length
    if target is not None:
        names = {**dataclasses.asdict(target), "class_names": list(target.class_names)}
        overrides["target"] = {"_target_": f"{Target.__module__}.{Target.__qualname__}", **names}
    return quiet_workflow([str(file) for file in files], "train", overrides).parser


def _check_grid(weights: PublishedWeights, contract: InputContract) -> None:
    expected = BOTTLENECK_CHANNELS * math.prod(stage_sizes(contract.spatial_size)[-1])
    if weights.flat_size != expected:
        raise WeightsError(
            f"{weights.source}: the flattened bottleneck has {weights.flat_size} numbers, expected {expected} for the "
            f"layer's spatial_size {list(contract.spatial_size)}; give the layer of the grid that the weights were "
            "trained on."
        )
