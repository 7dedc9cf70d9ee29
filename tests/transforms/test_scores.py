from __future__ import annotations

import pytest
import torch

from monai_tff.contract import InputContract, Target
from monai_tff.errors import ContractError
from monai_tff.transforms import OutputsToScores, OutputsToScoresd


def _contract(target: Target | None, **values) -> InputContract:
    return InputContract(spatial_size=(7, 8, 9), window_length=5, target=target, **values)


SEX = Target("sex", "binary", ("F", "M"))
SITE = Target("site", "multiclass", ("a", "b", "c"))
AGE = Target("age", "regression")


@pytest.mark.parametrize(
    ("contract", "outputs", "expected"),
    [
        (_contract(SEX), [[0.0], [2.0]], [[0.5], [0.880797]]),
        (_contract(SEX, temperature=2.0), [[2.0]], [[0.731059]]),
        (_contract(SITE), [[0.0, 0.0, 0.693147]], [[0.25, 0.25, 0.5]]),
        (_contract(AGE, target_mean=40.0, target_std=10.0), [[0.5], [-2.0]], [[45.0], [20.0]]),
    ],
)
def test_scores(contract, outputs, expected):
    found = OutputsToScoresd("pred", contract)({"pred": torch.tensor(outputs), "other": 1})
    torch.testing.assert_close(found["pred"], torch.tensor(expected))
    assert found["other"] == 1


@pytest.mark.parametrize("target", [SEX, AGE])
def test_published_heads_pass_unchanged(target):
    outputs = torch.tensor([[0.2], [0.9]])
    assert torch.equal(OutputsToScores(_contract(target), paper_head=True)(outputs), outputs)


def test_a_contract_without_target_is_refused():
    with pytest.raises(ContractError, match="there is no target"):
        OutputsToScores(_contract(None))


def test_a_number_without_statistics_is_refused():
    with pytest.raises(ContractError, match="target_mean and target_std are missing"):
        OutputsToScores(_contract(AGE))(torch.zeros(1, 1))
