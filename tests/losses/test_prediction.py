from __future__ import annotations

import math

import pytest
import torch

from monai_tff.contract import Target
from monai_tff.errors import ConfigError
from monai_tff.losses import prediction_loss

BINARY = Target("sex", "binary", ("F", "M"))
SITE = Target("site", "multiclass", ("a", "b", "c"))
AGE = Target("age", "regression")


def test_two_classes_take_logits():
    loss = prediction_loss(BINARY)(torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [0.0]]))
    assert loss.item() == pytest.approx((math.log(2) + math.log(1 + math.exp(2))) / 2)


def test_the_weight_of_the_positive_class():
    loss = prediction_loss(BINARY, class_weights=3.0)
    assert loss(torch.zeros(1, 1), torch.ones(1, 1)).item() == pytest.approx(3 * math.log(2))
    assert loss(torch.zeros(1, 1), torch.zeros(1, 1)).item() == pytest.approx(math.log(2))


def test_the_published_head_takes_probabilities():
    loss = prediction_loss(BINARY, paper_head=True)(torch.tensor([[0.25]]), torch.tensor([[1.0]]))
    assert loss.item() == pytest.approx(math.log(4))


def test_several_classes_with_weights():
    logits, truth = torch.zeros(3, 3), torch.tensor([0, 1, 2])
    assert prediction_loss(SITE)(logits, truth).item() == pytest.approx(math.log(3))
    loss = prediction_loss(SITE, class_weights=[1.0, 0.0, 0.0])
    sharp = torch.tensor([[0.0, 9.0, 9.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert loss(sharp, truth).item() == pytest.approx(math.log(1 + 2 * math.exp(9)), rel=1e-6)


@pytest.mark.parametrize("paper_head", [True, False])
def test_a_number_has_the_mean_absolute_error(paper_head):
    loss = prediction_loss(AGE, paper_head=paper_head)(torch.tensor([[1.0], [4.0]]), torch.tensor([[2.0], [2.0]]))
    assert loss.item() == 1.5


def test_the_published_head_had_no_class_weights():
    with pytest.raises(ConfigError, match="weight_classes: is true"):
        prediction_loss(BINARY, class_weights=2.0, paper_head=True)
