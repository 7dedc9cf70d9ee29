from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_tff.errors import ConfigError, ContractError
from monai_tff.losses import IntensityLoss, ReconstructionLoss

SIZE = (7, 8, 9)


def make_target(frames: int = 3, batch: int = 2, seed: int = 0) -> torch.Tensor:
    target = torch.randn(batch, 2, *SIZE, frames, generator=torch.Generator().manual_seed(seed))
    target[:, 0, :2], target[:, 1, :2] = -3.0, 0.0
    return target


def make_prediction(target: torch.Tensor, seed: int = 1) -> torch.Tensor:
    return torch.randn(target[:, :1].shape, generator=torch.Generator().manual_seed(seed))


def direct_mask(activity: np.ndarray, background: float, quantile: float) -> np.ndarray:
    """The definition word by word, one frame [H, W, D]."""
    magnitude = np.abs(np.where(activity <= background, 0, activity))
    positive = magnitude[magnitude > 0]
    return magnitude > (np.quantile(positive, quantile) if positive.size else np.inf)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    positive=st.integers(0, 60),
    quantile=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 0.95]),
    background=st.sampled_from([0.0, -1.25, 0.5]),
    distinct=st.booleans(),
)
def test_mask_equals_the_direct_definition(seed, positive, quantile, background, distinct):
    generator = np.random.default_rng(seed)
    frame = np.full(60, background)
    drawn = generator.standard_normal(positive) * 2
    frame[:positive] = drawn if distinct else np.rint(drawn)
    frame = generator.permutation(frame).reshape(3, 4, 5)
    target = torch.from_numpy(np.stack([frame, frame])[None, ..., None])
    found = IntensityLoss(quantile=quantile, background=background).mask(target)[0, ..., 0].numpy()
    np.testing.assert_array_equal(found, direct_mask(frame, background, quantile))


def test_intensity_is_one_mean_over_all_masked_voxels():
    target = make_target()
    prediction = make_prediction(target)
    errors = []
    for sample in range(2):
        for frame in range(3):
            mask = direct_mask(target[sample, 1, ..., frame].double().numpy(), 0.0, 0.9)
            errors.append((prediction[sample, 0] - target[sample, 0])[..., frame].abs().numpy()[mask])
    expected = np.concatenate(errors).mean()
    assert IntensityLoss()(prediction, target).item() == pytest.approx(expected, rel=1e-6)


def test_corner_takes_the_background_of_each_frame():
    target = make_target()
    target[:, 1] += torch.tensor([0.0, -1.0, 2.0])
    corner = IntensityLoss(background="corner").mask(target)
    for frame, value in enumerate((0.0, -1.0, 2.0)):
        fixed = IntensityLoss(background=value).mask(target)
        torch.testing.assert_close(corner[..., frame], fixed[..., frame])


def test_corner_and_the_default_agree_where_the_corner_is_background():
    target = make_target()
    assert torch.equal(IntensityLoss(background="corner").mask(target), IntensityLoss().mask(target))


def test_frame_without_positive_voxels_contributes_nothing():
    target = make_target(frames=2)
    target[:, 1, ..., 1] = -target[:, 1, ..., 1].abs()
    prediction = make_prediction(target)
    both = IntensityLoss()(prediction, target)
    first = IntensityLoss()(prediction[..., :1], target[..., :1])
    torch.testing.assert_close(both, first)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_batch_without_positive_voxels_gives_zero_and_no_gradient(value):
    target = make_target()
    target[:, 1] = value
    prediction = make_prediction(target).requires_grad_()
    loss = IntensityLoss()(prediction, target)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


def test_gradient_is_the_sign_of_the_error_over_the_count():
    target = make_target().double()
    prediction = make_prediction(target).double().requires_grad_()
    mask = IntensityLoss().mask(target)
    IntensityLoss()(prediction, target).backward()
    expected = torch.where(mask, (prediction - target[:, :1]).detach()[:, 0].sign(), 0) / mask.sum()
    torch.testing.assert_close(prediction.grad[:, 0], expected)


def test_non_contiguous_input_gives_the_same_value():
    target = make_target()
    prediction = make_prediction(target)
    swapped = target.transpose(2, 4).contiguous().transpose(2, 4)
    assert not swapped.is_contiguous()
    assert ReconstructionLoss()(prediction, swapped) == ReconstructionLoss()(prediction, target)


def test_terms_are_unweighted_and_the_sum_is_weighted():
    target = make_target()
    prediction = make_prediction(target).requires_grad_()
    loss = ReconstructionLoss(reconstruction_weight=0.5, intensity_weight=2.0)
    total = loss(prediction, target)
    assert list(loss.terms) == ["reconstruction", "intensity"]
    assert not any(term.requires_grad for term in loss.terms.values())
    torch.testing.assert_close(loss.terms["reconstruction"], (prediction.detach() - target[:, :1]).abs().mean())
    torch.testing.assert_close(loss.terms["intensity"], IntensityLoss()(prediction.detach(), target))
    torch.testing.assert_close(total.detach(), 0.5 * loss.terms["reconstruction"] + 2.0 * loss.terms["intensity"])


@pytest.mark.parametrize("off", ["reconstruction", "intensity"])
def test_weight_zero_leaves_the_term_out(off):
    target = make_target()
    loss = ReconstructionLoss(**{f"{off}_weight": 0})
    loss(make_prediction(target), target)
    assert list(loss.terms) == [name for name in ("reconstruction", "intensity") if name != off]


def test_perfect_reconstruction_costs_nothing():
    target = make_target()
    assert ReconstructionLoss()(target[:, :1], target).item() == 0.0


def test_half_precision_predictions_are_compared_in_single_precision():
    target = make_target()
    prediction = make_prediction(target)
    half = ReconstructionLoss()(prediction.bfloat16(), target)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, ReconstructionLoss()(prediction, target), rtol=1e-2, atol=0)


@pytest.mark.parametrize(
    ("prediction", "target"),
    [
        ((2, 1, 7, 8, 9, 3), (2, 1, 7, 8, 9, 3)),
        ((2, 2, 7, 8, 9, 3), (2, 2, 7, 8, 9, 3)),
        ((2, 1, 7, 8, 9), (2, 2, 7, 8, 9)),
        ((2, 1, 7, 8, 9, 3), (1, 2, 7, 8, 9, 3)),
        ((2, 1, 7, 8, 9, 3), (2, 2, 9, 8, 7, 3)),
    ],
)
@pytest.mark.parametrize("loss", [ReconstructionLoss(), IntensityLoss()], ids=["reconstruction", "intensity"])
def test_shapes_that_do_not_fit_are_refused(loss, prediction, target):
    with pytest.raises(ContractError, match=r"the prediction is \[2, .*expected \[B, 1, H, W, D, T\]"):
        loss(torch.zeros(prediction), torch.zeros(target))


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_that_are_no_weights_are_refused(weight):
    with pytest.raises(ConfigError, match=r"intensity_weight is .*expected a number of at least 0"):
        ReconstructionLoss(intensity_weight=weight)


def test_a_loss_without_terms_is_refused():
    with pytest.raises(ConfigError, match="every weight is 0"):
        ReconstructionLoss(reconstruction_weight=0, intensity_weight=0)


def test_wrong_quantile_and_background_are_refused():
    with pytest.raises(ConfigError, match=r"quantile is 1\.0"):
        IntensityLoss(quantile=1.0)
    with pytest.raises(ConfigError, match="background is 'edge'"):
        IntensityLoss(background="edge")
