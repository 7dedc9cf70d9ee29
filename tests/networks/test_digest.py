"""The hash of weights is of their tensors alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from monai_tff.networks.digest import tensors_digest, weights_digest


def tensors() -> dict[str, torch.Tensor]:
    return {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}


def test_the_file_the_contract_and_the_order_do_not_matter(tmp_path: Path) -> None:
    torch.save({"model": tensors(), "contract": {"threshold": 0.5}, "epoch": 3}, tmp_path / "run.pt")
    torch.save(dict(reversed(tensors().items())), tmp_path / "plain.pt")
    safetensors.torch.save_file(tensors(), tmp_path / "bundle.safetensors")
    found = {weights_digest(tmp_path / name) for name in ("run.pt", "plain.pt", "bundle.safetensors")}
    assert found == {tensors_digest(tensors())}
    assert len(found.pop()) == 64


@pytest.mark.parametrize(
    "changed",
    [
        {"a": tensors()["a"] + 1e-6},
        {"a": tensors()["a"].reshape(3, 2)},
        {"a": tensors()["a"].double()},
        {"c": torch.zeros(1)},
    ],
)
def test_other_tensors_have_another_hash(changed: dict[str, torch.Tensor]) -> None:
    assert tensors_digest(tensors() | changed) != tensors_digest(tensors())


def test_how_a_tensor_lies_in_memory_does_not_matter() -> None:
    transposed = tensors()["a"].T.contiguous().T
    assert not transposed.is_contiguous()
    assert tensors_digest(tensors() | {"a": transposed}) == tensors_digest(tensors())
