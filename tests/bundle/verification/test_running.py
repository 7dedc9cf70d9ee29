from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from monai_tff.bundle import layout
from monai_tff.bundle.verification.running import is_same_output, output_on_noise


@pytest.mark.parametrize(
    ("output", "same"),
    [
        ([1000.0, 1e-3], True),
        ([1000.0, 8e-3], True),  # 7e-6 of the largest number
        ([1000.0, 1.2e-2], False),
        ([1000.0, float("nan")], False),
        ([1000.0], False),
    ],
    ids=["equal", "rounded", "other", "no number", "other shape"],
)
def test_equal_up_to_rounding(output: list[float], same: bool) -> None:
    assert is_same_output(torch.tensor(output), torch.tensor([1000.0, 1e-3])) == same


def test_small_outputs_are_compared_with_one() -> None:
    assert is_same_output(torch.tensor([9e-6]), torch.tensor([0.0]))
    assert not is_same_output(torch.tensor([2e-5]), torch.tensor([0.0]))


@pytest.mark.parametrize(("window_length", "frames"), [(20, 20), (100_000, 32)])
def test_noise_of_a_window_that_memory_can_hold(window_length: int, frames: int, tmp_path: Path) -> None:
    contract = {"_target_": "monai_tff.contract.InputContract", "spatial_size": [8, 10, 9]}
    (tmp_path / "configs").mkdir()
    (tmp_path / layout.INFERENCE).write_text(yaml.safe_dump({"contract": {**contract, "window_length": window_length}}))
    noise = output_on_noise(lambda image: image, tmp_path)
    assert noise.shape == (1, 2, 8, 10, 9, frames)
    assert torch.equal(noise, output_on_noise(lambda image: image, tmp_path))
