from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from monai_tff.networks.blocks import (
    BottleneckIn,
    BottleneckOut,
    FrameConv3d,
    FrameDecoder,
    FrameEncoder,
    ResidualBlock,
    UpBlock,
    stage_sizes,
)


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        ((75, 93, 81), [(75, 93, 81), (38, 47, 41), (19, 24, 21), (10, 12, 11)]),
        ((7, 8, 9), [(7, 8, 9), (4, 4, 5), (2, 2, 3), (1, 1, 2)]),
        ((1, 2, 17), [(1, 2, 17), (1, 1, 9), (1, 1, 5), (1, 1, 3)]),
    ],
)
def test_every_stage_halves_and_rounds_up(size, sizes):
    assert stage_sizes(size) == sizes


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.integers(1, 20)] * 3))
def test_computed_sizes_are_those_of_the_convolutions(size):
    encoder = FrameEncoder(dropout=0.0)
    with torch.no_grad():
        features = encoder.stem(torch.zeros(1, 2, *size))
        for stage, wanted in zip(encoder.stages, stage_sizes(size)[1:] + stage_sizes(size)[-1:], strict=True):
            features = stage(features)
            assert features.shape[2:] == wanted


@pytest.mark.parametrize("channels", [4, 8, 16, 32])
def test_residual_block_is_the_formula(channels):
    block = ResidualBlock(channels).double()
    features = torch.randn(3, channels, 7, 8, 9, dtype=torch.float64)
    kept = features.clone()

    def half(values, norm, conv):
        values = functional.group_norm(values, channels // 4, norm.weight, norm.bias, 1e-5)
        values = torch.where(values > 0, values, 0.01 * values)
        return functional.conv3d(values, conv.weight, conv.bias, padding=1)

    wanted = features + half(half(features, block.norm1, block.conv1), block.norm2, block.conv2)
    torch.testing.assert_close(block(features), wanted)
    torch.testing.assert_close(features, kept, rtol=0, atol=0)


def test_residual_block_has_the_right_gradient():
    block = ResidualBlock(4).double()
    assert torch.autograd.gradcheck(block, torch.randn(1, 4, 2, 3, 2, dtype=torch.float64, requires_grad=True))


def test_dropout_is_on_elements_of_the_branch_in_training_only():
    block = ResidualBlock(4, dropout=0.25)
    features = torch.randn(2, 4, 7, 8, 9)
    branch = block.eval()(features) - features
    trained = block.train()(features) - features
    dropped = trained.abs() < 1e-6
    assert 0.2 < dropped.float().mean().item() < 0.3
    torch.testing.assert_close(trained[~dropped], branch[~dropped] / 0.75, rtol=1e-3, atol=1e-5)


def test_up_block_convolves_before_it_repeats_the_nearest_voxel():
    block = UpBlock(8, 4, (5, 6, 7), dropout=0.0)
    nn.init.zeros_(block.block.conv2.weight)
    nn.init.zeros_(block.block.conv2.bias)
    features = torch.randn(2, 8, 3, 3, 4)
    low = block.conv(features)
    index = [[math.floor(i * low_size / size) for i in range(size)] for low_size, size in ((3, 5), (3, 6), (4, 7))]
    torch.testing.assert_close(block(features), low[:, :, index[0]][:, :, :, index[1]][:, :, :, :, index[2]])


@pytest.mark.parametrize(("hidden_size", "kind"), [(2 * 3 * 4 * 5, nn.Identity), (40, nn.Linear)])
def test_bottleneck_in_has_no_linear_layer_where_the_lengths_agree(hidden_size, kind):
    bottleneck = BottleneckIn((3, 4, 5), hidden_size)
    assert type(bottleneck.linear) is kind
    assert bottleneck(torch.randn(2, 32, 3, 4, 5)).shape == (2, hidden_size)


def test_bottleneck_out_always_has_a_linear_layer():
    bottleneck = BottleneckOut((3, 4, 5), 120)
    assert isinstance(bottleneck.linear, nn.Linear)
    assert bottleneck(torch.randn(2, 120)).shape == (2, 32, 3, 4, 5)


def test_decoder_gives_one_channel_at_the_input_size():
    assert FrameDecoder((17, 9, 12), dropout=0.0)(torch.randn(2, 32, 3, 2, 2)).shape == (2, 1, 17, 9, 12)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [2, 8, 16])
def test_frame_convolution_is_the_plain_one(channels, stride):
    convolution = FrameConv3d(channels, 4, stride)
    features = torch.randn(2, channels, 7, 8, 9, requires_grad=True)
    found = convolution(features)
    wanted = functional.conv3d(features, convolution.weight, convolution.bias, stride=stride, padding=1)
    assert found.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(found, wanted)
    gradients = [torch.autograd.grad(output.square().sum(), features)[0] for output in (found, wanted)]
    torch.testing.assert_close(*gradients)
