"""From network outputs to scores: probabilities of classes, or a value in the target's own units."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

from monai_tff.contract import InputContract
from monai_tff.errors import ContractError


class OutputsToScores(Transform):
    """Turns the outputs of a prediction network into scores.

    Two classes: sigmoid of logit / temperature, the probability of the second class. Several classes: softmax of
    logits / temperature. A number: output * std + mean of the training subjects. The published heads
    (`paper_head`) give probabilities and values themselves, which pass unchanged.

    Args:
        contract: holds the target, the temperature and the mean and standard deviation of a regression target.
        paper_head: the network ends in the published head.

    Raises:
        ContractError: if the contract has no target.
    """

    def __init__(self, contract: InputContract, paper_head: bool = False) -> None:
        if contract.target is None:
            raise ContractError("input contract: there is no target, expected one to turn outputs into scores.")
        self.contract = contract
        self.kind = contract.target.kind
        self.paper_head = paper_head

    def __call__(self, outputs: torch.Tensor) -> torch.Tensor:
        """Converts outputs.

        Args:
            outputs: [windows, outputs].

        Returns:
            Scores of the same shape, float32.
        """
        outputs = outputs.float()
        if self.paper_head:
            return outputs
        if self.kind == "binary":
            return torch.sigmoid(outputs / self.contract.temperature)
        if self.kind == "multiclass":
            return torch.softmax(outputs / self.contract.temperature, dim=-1)
        mean, std = self.contract.target_mean, self.contract.target_std
        if mean is None or std is None:
            raise ContractError(
                "input contract: target_mean and target_std are missing, expected both for a regression target; "
                "they are computed from the training subjects when training starts."
            )
        return outputs * std + mean


class OutputsToScoresd(MapTransform):
    """Dictionary version of `OutputsToScores`.

    Args:
        keys: keys that hold network outputs.
        contract: as in `OutputsToScores`.
        paper_head: as in `OutputsToScores`.
        allow_missing_keys: skip keys that are not there.
    """

    def __init__(
        self,
        keys: KeysCollection,
        contract: InputContract,
        paper_head: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.convert = OutputsToScores(contract, paper_head)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Converts the outputs under each key."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.convert(result[key])
        return result
