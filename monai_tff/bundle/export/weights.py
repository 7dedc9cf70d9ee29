"""The weights of a bundle as plain files: safetensors with the input contract, and a state dict."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from monai.bundle import ConfigParser

from monai_tff.bundle import layout
from monai_tff.bundle.export.saving import saving, write_buffer
from monai_tff.contract import InputContract
from monai_tff.networks import load_finished


def built_network(network: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """The network with its weights, ready to predict.

    Args:
        network: `network_def` with every value filled in.
        state: the weights.

    Returns:
        The network in evaluation mode, on the CPU.

    Raises:
        WeightsError: if the weights do not fit, or are not finite.
    """
    built: torch.nn.Module = ConfigParser({"network_def": dict(network)}).get_parsed_content("network_def")
    load_finished(built, state)
    return built.eval().requires_grad_(False)


def write_weights(folder: Path, network: torch.nn.Module, contract: InputContract) -> None:
    """Writes `model.safetensors` and `model.pt`: the same tensors.

    Args:
        folder: of the bundle.
        network: with its weights.
        contract: goes into the metadata of the safetensors file, as JSON.

    Raises:
        BundleError: if the disk refuses.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    (folder / layout.SAFETENSORS).parent.mkdir(parents=True, exist_ok=True)
    metadata = {layout.CONTRACT_KEY: json.dumps(contract.to_dict())}
    with saving(folder / layout.SAFETENSORS):
        safetensors.torch.save_file(state, folder / layout.SAFETENSORS, metadata=metadata)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_buffer(folder / layout.STATE_DICT, buffer)
    # safetensors lets nobody but its owner read a file
    shutil.copymode(folder / layout.STATE_DICT, folder / layout.SAFETENSORS)
