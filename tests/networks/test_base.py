from __future__ import annotations

import re

import pytest
import torch

from monai_tff.errors import ContractError

SIZE = (7, 8, 9)


def memory_of_frames(network, image):
    seen = []
    hook = network.encoder.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[0]))
    with torch.no_grad():
        network.encode_frames(image)
    hook.remove()
    return seen[0]


def test_frames_are_folded_batch_slow_time_fast(network):
    image = torch.randn(2, 2, *SIZE, 3)
    frames = memory_of_frames(network, image)
    assert frames.shape == (6, 2, *SIZE)
    for batch in range(2):
        for time in range(3):
            assert torch.equal(frames[3 * batch + time], image[batch, ..., time])


def test_frame_major_memory_is_folded_without_a_copy(network):
    memory = torch.randn(2, 3, 2, *SIZE)
    frames = memory_of_frames(network, memory.permute(0, 2, 3, 4, 5, 1))
    assert frames.data_ptr() == memory.data_ptr()
    assert frames.is_contiguous()


@pytest.mark.parametrize("frame_major", [True, False])
def test_memory_layout_does_not_change_the_result(network, frame_major):
    image = torch.randn(2, 2, *SIZE, 3)
    if frame_major:
        image = image.permute(0, 5, 1, 2, 3, 4).contiguous().permute(0, 2, 3, 4, 5, 1)
    with torch.no_grad():
        torch.testing.assert_close(network(image), network(image.contiguous()), rtol=0, atol=0)


def test_reconstruction_is_frame_major_memory(make):
    with torch.no_grad():
        image = make("autoencoder").eval()(torch.randn(2, 2, *SIZE, 3))
    assert image.permute(0, 5, 1, 2, 3, 4).is_contiguous()


def test_codes_of_frames_do_not_depend_on_their_neighbours(network):
    image = torch.randn(2, 2, *SIZE, 4)
    with torch.no_grad():
        codes = network.encode_frames(image)
        alone = network.encode_frames(image[1:, ..., 2:3])
    assert codes.shape == (2, 4, 12)
    torch.testing.assert_close(alone, codes[1:, 2:3], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["autoencoder", "reconstructor", "predictor"])
def test_code_normalisation(make, name):
    with torch.no_grad():
        codes = make(name, code_normalisation=True).encode_frames(5 * torch.randn(2, 2, *SIZE, 3))
    torch.testing.assert_close(codes.mean(-1), torch.zeros(2, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(codes.std(-1, correction=0), torch.ones(2, 3), rtol=1e-2, atol=0)


@pytest.mark.parametrize(
    "shape",
    [(2, 7, 8, 9, 3), (1, 1, 7, 8, 9, 3), (1, 2, 8, 7, 9, 3), (1, 2, 7, 8, 9, 0), (1, 3, 7, 8, 9, 3), (1, 2, 7, 8, 9)],
)
def test_wrong_shape_of_the_image(network, shape):
    message = re.escape(f"network input: a tensor of shape {list(shape)} came, expected [B, 2, 7, 8, 9, T]")
    with pytest.raises(ContractError, match=message):
        network(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(2, 12), (2, 3, 13)])
def test_wrong_shape_of_codes(make, shape):
    message = re.escape(f"frame codes: a tensor of shape {list(shape)} came, expected [B, T, 12]")
    with pytest.raises(ContractError, match=message):
        make("autoencoder").decode_frames(torch.zeros(shape))
    with pytest.raises(ContractError, match=message):
        make("predictor").encode_sequence(torch.zeros(shape))


@pytest.mark.parametrize("name", ["reconstructor", "predictor"])
def test_too_many_frames(make, name):
    network = make(name).eval()
    with torch.no_grad():
        network(torch.zeros(1, 2, *SIZE, 6))
        with pytest.raises(ContractError, match="window: 7 frames came, expected at most max_frames = 6"):
            network(torch.zeros(1, 2, *SIZE, 7))


def test_codes_take_the_place_of_the_frames_that_they_are_of(network):
    image = torch.randn(2, 2, *SIZE, 4)
    with torch.no_grad():
        torch.testing.assert_close(network(network.encode_frames(image)), network(image), rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(2, 3, 13), (1, 3, 11)])
def test_codes_of_another_network_are_refused(network, shape):
    message = re.escape(f"frame codes: a tensor of shape {list(shape)} came, expected [B, T, 12]")
    with pytest.raises(ContractError, match=message):
        network(torch.zeros(shape))


@pytest.mark.parametrize("name", ["autoencoder", "reconstructor", "predictor"])
def test_a_frozen_encoder_stays_while_the_rest_learns(make, name):
    network = make(name, dropout=0.4, code_normalisation=True)
    network.freeze_encoder()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.5)
    image = torch.randn(1, 2, *SIZE, 4)
    network.train()
    codes = network.encode_frames(image)
    (network(image) ** 2).sum().backward()
    optimiser.step()
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    frozen = tuple(f"{part}." for part in ("encoder", "bottleneck_in", "code_norm"))
    assert not [key for key in changed if key.startswith(frozen)]
    assert {"predictor": "head.weight"}.get(name, "decoder.output.weight") in changed
    # no dropout in it: neither a second time nor in evaluation does it give other codes
    assert torch.equal(network.encode_frames(image), codes)
    assert torch.equal(network.eval().encode_frames(image), codes)


def test_the_rest_of_a_frozen_network_drops_out_in_training_alone(make):
    network = make("reconstructor", dropout=0.4)
    network.freeze_encoder()
    image = torch.randn(1, 2, *SIZE, 4)
    with torch.no_grad():
        assert not torch.equal(network.train()(image), network(image))
        assert torch.equal(network.eval()(image), network(image))
