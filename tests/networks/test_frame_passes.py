from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_tff.networks import frame_passes
from monai_tff.networks.frame_passes import in_passes, number_of_passes

SIZE = (7, 8, 9)


@pytest.fixture
def _two_frames_a_pass(monkeypatch):
    bytes_of_two = 2 * 4 * math.prod(SIZE) * 4
    monkeypatch.setattr(frame_passes, "PASS_BYTES", {"cpu": bytes_of_two, "other": bytes_of_two})


@given(count=st.integers(1, 300), voxels=st.integers(1, 10**7), checkpointed=st.booleans())
def test_a_pass_has_two_frames_at_least_and_fits_its_bytes(count, voxels, checkpointed):
    frames = torch.empty(count, 0)
    parts = frames.tensor_split(number_of_passes(frames, voxels, checkpointed))
    sizes = [len(part) for part in parts]
    assert sum(sizes) == count
    assert min(sizes) >= min(2, count)
    assert max(sizes) <= max(3, 2**24 // (16 * voxels))


@pytest.mark.usefixtures("_two_frames_a_pass")
@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("num_frames", [1, 2, 5, 6])
def test_passes_change_neither_outputs_nor_gradients(make, num_frames, checkpointed):
    network = make("reconstructor", dropout=0.0, transformer_dropout=0.0).double()
    image = torch.randn(1, 2, *SIZE, num_frames, dtype=torch.float64)
    results = []
    for passes in (True, False):
        network.checkpoint_activations = checkpointed and passes
        with pytest.MonkeyPatch.context() as patch:
            if not passes:
                patch.setattr(frame_passes, "number_of_passes", lambda *_: 1)
            output = network.train()(image)
        parameters = [value for value in network.parameters() if value.requires_grad]
        results.append([output, *torch.autograd.grad((output**2).mean(), parameters)])
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("_two_frames_a_pass")
def test_checkpointing_repeats_the_dropout_of_the_forward_pass(make):
    network = make("reconstructor", dropout=0.3, transformer_dropout=0.0).double().train()
    image = torch.randn(1, 2, *SIZE, 5, dtype=torch.float64)
    gradients = []
    for checkpointed in (False, True):
        network.checkpoint_activations = checkpointed
        torch.manual_seed(4)
        output = network(image)
        parameters = [value for value in network.parameters() if value.requires_grad]
        gradients.append([output, *torch.autograd.grad((output**2).mean(), parameters)])
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


def kept_bytes(work, inputs):
    """Bytes of what a forward pass keeps for the backward pass."""
    storages: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = work(inputs)
    assert output.requires_grad
    return sum(storages.values())


@pytest.mark.usefixtures("_two_frames_a_pass")
def test_checkpointing_keeps_the_memory_of_the_frames_alone(make):
    network = make("autoencoder").train()
    kept: dict[bool, int] = {}
    for checkpointed in (False, True):
        network.checkpoint_activations = checkpointed
        kept[checkpointed] = kept_bytes(network, torch.randn(1, 2, *SIZE, 6))
    assert kept[True] < 0.3 * kept[False]


def test_a_graph_has_one_pass(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert number_of_passes(torch.empty(100, 0), 10**7, checkpointed=False) == 1


def test_work_sees_the_frames_in_their_order():
    frames = torch.arange(2000.0).reshape(100, 20)
    seen = []
    result = in_passes(lambda part: seen.append(len(part)) or part + 1, frames, voxels=10**6, checkpointed=False)
    assert torch.equal(result, frames + 1)
    assert seen == [2] * 50


@pytest.mark.usefixtures("_two_frames_a_pass")
def test_training_on_codes_keeps_nothing_of_the_convolutions_of_a_frame(make):
    """A frame more costs its features at the bottleneck, a part of its own size, against many times its size."""
    network = make("reconstructor").train()
    network.freeze_encoder()
    growth: dict[bool, float] = {}
    for checkpointed in (False, True):
        network.checkpoint_activations = checkpointed
        short, long = (kept_bytes(network.decode_frames, torch.randn(1, frames, 12)) for frames in (8, 64))
        growth[checkpointed] = (long - short) / 56 / (math.prod(SIZE) * 4)
    assert growth[True] < 0.25
    assert growth[False] > 20


@pytest.mark.usefixtures("_two_frames_a_pass")
def test_without_gradients_other_devices_take_passes_too(monkeypatch):
    monkeypatch.setattr(frame_passes, "PASS_BYTES", {"cpu": 1, "other": 2 * 16 * 7})
    frames = torch.empty(9, 5, device="meta")
    seen = []
    with torch.no_grad():
        in_passes(lambda part: seen.append(len(part)) or part, frames, voxels=7, checkpointed=False)
    assert max(seen) <= 3
    in_passes(lambda part: seen.append(len(part)) or part, frames, voxels=7, checkpointed=False)
    assert seen[-1] == 9
