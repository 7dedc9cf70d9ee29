from __future__ import annotations

import pytest
import torch

from monai_tff.bundle.verification.running import is_same_output


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
