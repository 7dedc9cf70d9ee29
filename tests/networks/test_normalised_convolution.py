from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from monai_tff.networks.normalised_convolution import normalised_convolution

ORDERS = {"first": torch.contiguous_format, "last": torch.channels_last_3d}


def layers(channels: int, out_channels: int, dtype: torch.dtype) -> tuple[nn.GroupNorm, nn.Conv3d]:
    torch.manual_seed(channels)
    norm = nn.GroupNorm(channels // 4, channels).to(dtype)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm, nn.Conv3d(channels, out_channels, 3, padding=1).to(dtype)


def in_parts(features: torch.Tensor, norm: nn.GroupNorm, conv: nn.Conv3d) -> torch.Tensor:
    return conv(functional.leaky_relu(norm(features), 0.01))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("order", list(ORDERS))
@pytest.mark.parametrize(("channels", "out_channels"), [(4, 4), (4, 8), (8, 8), (16, 16), (32, 2)])
def test_values_and_gradients_are_those_of_the_parts(channels, out_channels, order, dtype):
    norm, conv = layers(channels, out_channels, dtype)
    features = 3 + 2 * torch.randn(3, channels, 7, 8, 9, dtype=dtype).contiguous(memory_format=ORDERS[order])
    results = []
    for function in (normalised_convolution, in_parts):
        inputs = features.clone().requires_grad_()
        output = function(inputs, norm, conv)
        parameters = [*norm.parameters(), *conv.parameters()]
        results.append([output, *torch.autograd.grad((output**3).mean(), [inputs, *parameters])])
    exactness = {"rtol": 2e-4, "atol": 2e-5} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-11}
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, **exactness)


@pytest.mark.parametrize("channels", [4, 8])
def test_an_offset_a_thousand_times_the_signal_costs_less_than_a_digit(channels):
    """The statistics of a large grid are where an order of memory loses digits."""
    norm, conv = layers(channels, 4, torch.float32)
    features = 1000 + torch.randn(2, channels, 47, 48, 49)
    exact = in_parts(features.double(), norm.double(), conv.double())
    norm, conv = norm.float(), conv.float()
    with torch.no_grad():
        found = normalised_convolution(features, norm, conv)
        theirs = in_parts(features, norm, conv)
    assert (found - exact).abs().max() <= 5 * (theirs - exact).abs().max()


def test_only_the_features_are_kept_for_the_backward_pass():
    norm, conv = layers(8, 8, torch.float32)
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    features = torch.randn(2, 8, 7, 8, 9, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        normalised_convolution(features, norm, conv)
    parameters = sum(tensor.nbytes for layer in (norm, conv) for tensor in layer.parameters())
    assert sum(kept.values()) <= features.nbytes + parameters


@pytest.mark.parametrize("frozen", ["norm", "conv", "input", "norm and input"])
def test_a_frozen_part_gets_no_gradient_and_the_rest_keeps_its_own(frozen):
    norm, conv = layers(4, 4, torch.float64)
    features = torch.randn(2, 4, 7, 8, 9, dtype=torch.float64)
    results = []
    for function in (normalised_convolution, in_parts):
        inputs = features.clone().requires_grad_("input" not in frozen)
        norm.requires_grad_("norm" not in frozen)
        conv.requires_grad_("conv" not in frozen)
        wanted = [t for t in (inputs, *norm.parameters(), *conv.parameters()) if t.requires_grad]
        results.append(torch.autograd.grad(function(inputs, norm, conv).square().sum(), wanted))
    torch.testing.assert_close(*results)


def test_autocast_runs_the_parts():
    norm, conv = layers(4, 4, torch.float32)
    features = torch.randn(2, 4, 7, 8, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = normalised_convolution(features, norm, conv)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), in_parts(features, norm, conv), rtol=0.05, atol=0.05)
