"""The loss of phase 3, chosen by the kind of the target."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from monai_tff.contract import Target
from monai_tff.errors import ConfigError
from monai_tff.losses.process_mean import process_mean


class BatchMean(nn.Module):
    """Mean of a loss over the batch of all processes that train together, see `process_mean`.

    Args:
        loss: of torch, with `reduction="sum"`. Class weights of a cross-entropy are those of its mean, too.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, prediction: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Computes the mean.

        Args:
            prediction: as the loss takes it, [B, ...].
            label: as the loss takes it, [B, ...].

        Returns:
            Scalar, 0 for an empty batch.
        """
        weights = self.loss.weight if isinstance(self.loss, nn.CrossEntropyLoss) else None
        count = label.numel() if weights is None else weights[label].sum()
        return process_mean(self.loss(prediction, label), count)


def prediction_loss(
    target: Target, class_weights: float | Sequence[float] | None = None, paper_head: bool = False
) -> nn.Module:
    """The loss that fits a target and its head.

    Args:
        target: what is predicted.
        class_weights: weight of the positive class (two classes) or of every class (several); None for equal ones.
        paper_head: the network ends in the published head, whose outputs are probabilities or raw values.

    Returns:
        Two classes: cross-entropy on logits [B, 1] (on probabilities for the published head) against float [B, 1].
        Several classes: cross-entropy on logits [B, C] against long [B]. A number: mean absolute error, as
        published, [B, 1] against [B, 1]. Where several processes train together, the mean is over all of them.

    Raises:
        ConfigError: for class weights with the published head, which had none.
    """
    if paper_head and class_weights is not None:
        raise ConfigError(
            "weight_classes: is true, expected false with paper_head, whose published loss has no class weights."
        )
    if target.kind == "regression":
        return BatchMean(nn.L1Loss(reduction="sum"))
    weights = None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32)
    if target.kind == "multiclass":
        return BatchMean(nn.CrossEntropyLoss(weight=weights, reduction="sum"))
    if paper_head:
        return BatchMean(nn.BCELoss(reduction="sum"))
    return BatchMean(nn.BCEWithLogitsLoss(pos_weight=weights, reduction="sum"))
