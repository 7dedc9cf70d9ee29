from __future__ import annotations

import pytest
import torch

from monai_tff.networks.dropout import STEPS, add_dropped

SHAPE = (5, 4, 17, 18, 19)


def dropped_branch(probability: float, seed: int = 0, order: torch.memory_format = torch.contiguous_format):
    torch.manual_seed(seed)
    branch = torch.ones(SHAPE).contiguous(memory_format=order).requires_grad_()
    features = torch.zeros(SHAPE, requires_grad=True)
    output = add_dropped(features, branch, probability, training=True)
    return features, branch, output


@pytest.mark.parametrize("probability", [0.1, 0.2, 0.35, 0.5, 0.999])
def test_the_share_of_dropped_elements_and_the_scale(probability):
    _, _, output = dropped_branch(probability)
    values, counts = output.detach().unique(return_counts=True)
    assert len(values) == 2
    assert values[0] == 0
    share = round(probability * STEPS) / STEPS
    assert values[1].item() == pytest.approx(1 / (1 - share))
    deviation = (share * (1 - share) / output.numel()) ** 0.5
    assert counts[0].item() / output.numel() == pytest.approx(share, abs=4 * deviation)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last_3d])
def test_the_gradient_is_that_of_the_elements_that_were_kept(order):
    features, branch, output = dropped_branch(0.35, order=order)
    weights = torch.randn(SHAPE)
    of_features, of_branch = torch.autograd.grad((output * weights).sum(), (features, branch))
    torch.testing.assert_close(of_features, weights)
    torch.testing.assert_close(of_branch, weights * output.detach())


def test_elements_are_dropped_independently_along_every_axis():
    """Neighbours, and elements a word or two words apart, share no fate."""
    _, _, output = dropped_branch(0.5)
    kept = (output.detach() > 0).double() - 0.5
    for axis in range(kept.ndim):
        for lag in (1, 2, 3, 4):
            if kept.shape[axis] <= lag:
                continue
            length = kept.shape[axis] - lag
            product = 4 * kept.narrow(axis, 0, length) * kept.narrow(axis, lag, length)
            assert abs(product.mean().item()) < 5 / product.numel() ** 0.5


def test_the_draws_follow_torchs_generator():
    first, again, other = (dropped_branch(0.2, seed=seed)[2] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("probability", "training"), [(0.0, True), (0.5, False)])
def test_nothing_is_dropped_without_training_or_probability(probability, training):
    features, branch = torch.randn(SHAPE), torch.randn(SHAPE)
    state = torch.get_rng_state()
    torch.testing.assert_close(add_dropped(features, branch, probability, training), features + branch)
    assert torch.equal(torch.get_rng_state(), state)


def test_everything_may_be_dropped():
    _, branch, output = dropped_branch(1.0)
    assert not output.any()
    (gradient,) = torch.autograd.grad(output.sum(), branch)
    assert not gradient.any()
