"""Weights in the published format: phase and sizes from the tensors, and a sentence for every other file."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_tff.bundle.export.published import read_published
from monai_tff.errors import WeightsError
from monai_tff.networks import TFFAutoEncoder, TFFPredictor, TFFReconstructor
from monai_tff.networks.original import original_name

SIZE = (8, 10, 9)
SIZES = {"num_layers": 3, "feedforward_size": 20, "max_frames": 6}
NETWORKS: dict[str, Callable[[], torch.nn.Module]] = {
    "autoencoder": lambda: TFFAutoEncoder(SIZE, hidden_size=32),
    "transformer": lambda: TFFReconstructor(SIZE, hidden_size=32, **SIZES),
    "finetune": lambda: TFFPredictor(SIZE, hidden_size=32, **SIZES),
}


def network_of(phase: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return NETWORKS[phase]()


def published(phase: str) -> dict[str, torch.Tensor]:
    """A published state dict, with the buffer that its version of transformers saves."""
    state = {original_name(name): tensor for name, tensor in network_of(phase).state_dict().items()}
    return {**state, "transformer.bert.embeddings.position_ids": torch.arange(7)[None]}


def checkpoint(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {"model_state_dict": state, "optimizer_state_dict": {"state": {}}, "epoch": 3.5, "lr": 0.001}


@pytest.mark.parametrize("phase", NETWORKS)
def test_phase_and_sizes_are_those_of_the_network(phase: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(checkpoint(published(phase)), path)
    found = read_published(path)
    assert found.phase == phase
    assert found.network == {"hidden_size": 32, **({} if phase == "autoencoder" else SIZES)}
    assert found.flat_size == 2 * 1 * 2 * 2  # two channels of what three halvings leave of 8 x 10 x 9
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    expected = network_of(phase).state_dict()
    assert set(found.state) == set(expected)
    assert all(torch.equal(found.state[name], expected[name]) for name in expected)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.tuples(*[st.integers(9, 17)] * 3),
    heads=st.integers(1, 3),
    sizes=st.fixed_dictionaries(
        {"num_layers": st.integers(1, 3), "feedforward_size": st.integers(1, 9), "max_frames": st.integers(1, 40)}
    ),
)
def test_any_sizes_are_read_back(size: tuple[int, int, int], heads: int, sizes: dict[str, int], tmp_path: Path) -> None:
    network = TFFReconstructor(size, hidden_size=16 * heads, **sizes)
    state = {original_name(name): tensor for name, tensor in network.state_dict().items()}
    torch.save(state, tmp_path / "weights.pth")
    found = read_published(tmp_path / "weights.pth")
    assert found.network == {"hidden_size": 16 * heads, **sizes}
    assert found.flat_size == 2 * math.prod(-(-length // 8) for length in size)


@pytest.mark.parametrize("phase", ["autoencoder", "finetune"])
def test_bottleneck_without_a_linear_layer_is_as_long_as_the_code(phase: str, tmp_path: Path) -> None:
    size, sizes = (32, 36, 28), {"hidden_size": 160}  # 2 x 4 x 5 x 4 numbers
    network = TFFAutoEncoder(size, **sizes) if phase == "autoencoder" else TFFPredictor(size, **sizes)
    state = {original_name(name): tensor for name, tensor in network.state_dict().items()}
    assert not any(name.startswith("into_bert.into_bert") for name in state)
    torch.save(state, tmp_path / "weights.pth")
    found = read_published(tmp_path / "weights.pth")
    assert (found.network["hidden_size"], found.flat_size) == (160, 160)


@pytest.mark.parametrize("form", ["alone", "distributed", "older torch", "safetensors"])
def test_other_forms_of_the_file(form: str, tmp_path: Path) -> None:
    state, path = published("finetune"), tmp_path / "weights.pth"
    if form == "safetensors":
        path = tmp_path / "weights.safetensors"
        safetensors.torch.save_file(state, path)
    elif form == "distributed":
        torch.save(checkpoint({f"module.{name}": tensor for name, tensor in state.items()}), path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "alone")
    found = read_published(path)
    assert found.phase == "finetune"
    assert set(found.state) == set(network_of("finetune").state_dict())


class RunsCode:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_file_that_would_run_code_is_refused_and_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    torch.save({**checkpoint(published("finetune")), "extra": RunsCode(canary)}, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=r"weights\.pth: holds Python objects that would run code on loading"):
        read_published(tmp_path / "weights.pth")
    assert not canary.exists()


def test_a_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(checkpoint(published("autoencoder")), path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"weights\.pth: cannot be read as a checkpoint"):
        read_published(path)


POSITIONS = "transformer.bert.embeddings.position_embeddings.weight"
INTO = "into_bert.into_bert.weight"
HEAD = "regression_head.0.weight"


def without(state: dict[str, torch.Tensor], *beginnings: str) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith(beginnings)}


def faulty(name: str) -> Any:
    state = published("finetune")
    faults: dict[str, Callable[[], Any]] = {
        "optimiser alone": lambda: {"optimizer_state_dict": {"state": {}}, "epoch": 3.5},
        "nothing": dict,
        "ours": lambda: {"model": network_of("finetune").state_dict()},
        "encoder alone": lambda: without(state, "transformer", "regression_head", "decoder"),
        "no positions": lambda: without(state, POSITIONS),
        "positions in a row": lambda: {**state, POSITIONS: torch.zeros(6)},
        "three classes": lambda: {**state, HEAD: torch.zeros(3, 32)},
        "whole numbers": lambda: {**state, HEAD: torch.zeros(1, 32, dtype=torch.int64)},
        "sparse": lambda: {**state, HEAD: torch.zeros(1, 32).to_sparse()},
        "larger than the file": lambda: {**state, HEAD: torch.zeros(1, 1).expand(1, 10**12)},
    }
    return faults[name]()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("optimiser alone", "found optimizer_state_dict, epoch in the place of tensors, expected a state dict"),
        ("nothing", "found nothing in the place of tensors"),
        ("ours", "expected the names of the published TFF code .* use export on their run folder"),
        (
            "encoder alone",
            r"holds bottleneck_in, encoder, expected the encoder and a decoder \(phases 1 and 2\) or a head",
        ),
        ("no positions", "position_embeddings.weight' is missing, expected a table"),
        ("positions in a row", r"position_embeddings.weight' has the shape \[6\], expected a table"),
        ("three classes", "the head gives 3 outputs, expected 1"),
        ("whole numbers", r"'head.weight' is no plain tensor of floating-point numbers \(torch.int64"),
        ("sparse", "'head.weight' is no plain tensor of floating-point numbers .*torch.sparse_coo"),
        ("larger than the file", "'head.weight' is no plain tensor"),
    ],
)
def test_what_is_no_whole_phase_is_refused_in_one_sentence(name: str, sentence: str, tmp_path: Path) -> None:
    torch.save(faulty(name), tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=rf"weights\.pth: .*{sentence}") as caught:
        read_published(tmp_path / "weights.pth")
    assert "\n" not in str(caught.value)
