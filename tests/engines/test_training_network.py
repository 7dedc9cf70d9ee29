"""What a network is before it is trained: the same numbers and names, compiled or not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from monai_tff.engines import training_network
from monai_tff.errors import ConfigError
from monai_tff.networks import TFFPredictor


def predictor() -> TFFPredictor:
    torch.manual_seed(0)
    return TFFPredictor(
        (8, 10, 9), num_outputs=3, hidden_size=32, dropout=0.0, transformer_dropout=0.0, code_normalisation=True
    )


def step(network: torch.nn.Module) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss and gradients of one step."""
    # with another seed a feature may be 0 up to rounding, where the slope of the activation jumps
    images = torch.randn(2, 4, 2, 8, 10, 9, generator=torch.Generator().manual_seed(2)).permute(0, 2, 3, 4, 5, 1)
    loss = (network.train()(images) - 1).square().mean()
    loss.backward()
    return loss.detach(), {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}


def assert_same_step(network: torch.nn.Module, expected: torch.nn.Module) -> None:
    loss, gradients = step(network)
    wanted, of_wanted = step(expected)
    torch.testing.assert_close(loss, wanted)
    assert gradients.keys() == of_wanted.keys()
    for name, gradient in gradients.items():
        scale = of_wanted[name].norm().clamp(min=1e-5)
        assert (gradient - of_wanted[name]).norm() / scale < 1e-4, name


@pytest.mark.parametrize("activation_checkpointing", [False, True])
def test_one_process_trains_the_network_itself(activation_checkpointing: bool) -> None:
    network = predictor()
    trained = training_network(network, activation_checkpointing=activation_checkpointing)
    assert trained is network
    assert network.checkpoint_activations is activation_checkpointing
    assert_same_step(trained, predictor())


@pytest.mark.parametrize("activation_checkpointing", [False, True])
def test_the_whole_step_is_one_graph_of_the_same_numbers(
    activation_checkpointing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def traced_only(self: torch.nn.Module) -> None:
        # the same graphs; to compile them, too, takes a minute, see tests/parity/test_compiled.py
        compiled(self, backend="aot_eager", fullgraph=True)

    compiled: Any = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", traced_only)
    network = predictor()
    names = list(network.state_dict())
    trained = training_network(network, compile=True, activation_checkpointing=activation_checkpointing)
    assert_same_step(trained, predictor())
    assert list(network.state_dict()) == names
    torch._dynamo.reset()


@pytest.mark.parametrize(("device", "variable", "usual"), [("cpu", "CXX", "g++"), ("meta", "CC", "gcc or clang or cc")])
def test_refuses_to_compile_without_a_compiler(
    device: str, variable: str, usual: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    network = torch.nn.Linear(3, 2, device=device)
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConfigError, match=rf"compile is true, but this machine has no {usual.replace('+', '.')}"):
        training_network(network, compile=True)
    monkeypatch.setenv(variable, "/no/such/compiler")
    with pytest.raises(ConfigError, match=f"no /no/such/compiler, expected .* environment variable {variable}"):
        training_network(network, compile=True)


def test_a_compiler_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    compiler = tmp_path / "compiler"
    compiler.touch(mode=0o755)
    monkeypatch.setenv("CXX", str(compiler))
    network = torch.nn.Linear(3, 2)
    assert training_network(network, compile=True) is network
