from __future__ import annotations

import pytest
import torch

from monai_tff.contract import Target
from monai_tff.explain.gradients import windows_at_once
from monai_tff.explain.outputs import column_of, output_of, predicted_class
from monai_tff.networks import TFFPredictor

SEX = Target("sex", "binary", ("F", "M"))
SITE = Target("site", "multiclass", ("a", "b", "c"))
AGE = Target("age", "regression", ())


@pytest.mark.parametrize(
    ("target", "outputs", "paper_head", "predicted", "column"),
    [
        (SEX, [0.2], False, 1, 0),
        (SEX, [-0.2], False, 0, 0),
        (SEX, [0.2], True, 0, 0),
        (SITE, [0.1, -3.0, 0.4], False, 2, 2),
        (AGE, [7.0], False, None, 0),
    ],
)
def test_which_number_is_explained(target, outputs, paper_head, predicted, column):
    assert predicted_class(torch.tensor(outputs), target, paper_head) == predicted
    assert column_of(target, predicted) == column


def test_long_windows_have_the_same_outputs_and_gradients_with_less_memory():
    torch.manual_seed(3)
    network = TFFPredictor((7, 8, 9), num_outputs=2, hidden_size=16, max_frames=90).eval()
    window = torch.randn(1, 2, 7, 8, 9, 85, requires_grad=True)
    assert (windows_at_once(85), windows_at_once(20)) == (1, 4)
    wanted = network(window)[:, 1]
    found = output_of(network, 1)(window)
    torch.testing.assert_close(found, wanted)
    gradients = [torch.autograd.grad(value.sum(), window)[0] for value in (wanted, found)]
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-6)
