from __future__ import annotations

from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from monai_tff.errors import ConfigError, ContractError, WeightsError
from monai_tff.losses import PerceptualLoss, ReconstructionLoss
from monai_tff.losses.perceptual import LAYERS, VGG16_URL

SIZE = (7, 8, 9)


@pytest.fixture(scope="module")
def state():
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for number, (outputs, inputs) in LAYERS.items():
        kernel = torch.randn(outputs, inputs, 3, 3, generator=generator)
        tensors[f"features.{number}.weight"] = kernel / (9 * inputs) ** 0.5
        tensors[f"features.{number}.bias"] = 0.1 * torch.randn(outputs, generator=generator)
    return tensors


@pytest.fixture
def pair():
    torch.manual_seed(3)
    return torch.randn(2, 1, *SIZE, 3), torch.randn(2, 2, *SIZE, 3)


def direct_loss(prediction: torch.Tensor, target: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """All planes one by one, three colour channels, every layer written out."""

    def features(plane: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = plane.expand(1, 3, -1, -1)
        outputs = []
        for number in LAYERS:
            weight, bias = state[f"features.{number}.weight"], state[f"features.{number}.bias"]
            hidden = functional.relu(functional.conv2d(hidden, weight, bias, padding=1))
            outputs.append(hidden)
            hidden = functional.max_pool2d(hidden, 2) if number == 2 else hidden
        return outputs[1], outputs[3]

    terms = []
    for sample in range(target.shape[0]):
        for frame in range(target.shape[5]):
            for depth in range(target.shape[4]):
                found = features(prediction[sample, :, :, :, depth, frame])
                wanted = features(target[sample, :1, :, :, depth, frame])
                terms.append(sum(functional.mse_loss(*both) for both in zip(found, wanted, strict=True)))
    return torch.stack(terms).mean()


@pytest.mark.parametrize("planes_at_once", [None, 1, 10])
def test_value_and_gradient_equal_the_direct_computation(state, pair, planes_at_once):
    prediction, target = pair[0].requires_grad_(), pair[1]
    loss = PerceptualLoss(fraction=1.0, weights=state, planes_at_once=planes_at_once)(prediction, target)
    expected = direct_loss(prediction, target, state)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    gradients = [torch.autograd.grad(value, prediction)[0] for value in (loss, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)


def test_only_the_planes_that_were_chosen_count(state, pair):
    prediction, target = pair
    torch.manual_seed(8)
    chosen = PerceptualLoss(fraction=0.2, weights=state).choose_planes(2, 27)
    same = target[:, :1].clone()
    for index in chosen.tolist():
        sample, frame, depth = index // 27, index % 27 // 9, index % 9
        same[sample, 0, :, :, depth, frame] = prediction[sample, 0, :, :, depth, frame]
    torch.manual_seed(8)
    found = PerceptualLoss(fraction=0.2, weights=state)(prediction, target)
    full = PerceptualLoss(fraction=1.0, weights=state)(same, target)
    torch.testing.assert_close(found, full * 54 / len(chosen), rtol=1e-5, atol=0)


@pytest.mark.parametrize(("fraction", "count"), [(1.0, 54), (0.25, 13), (0.1, 5), (0.001, 1)])
def test_random_planes_are_distinct_and_rounded_down_to_at_least_one(state, fraction, count):
    chosen = PerceptualLoss(fraction=fraction, weights=state).choose_planes(2, 27)
    assert len(set(chosen.tolist())) == len(chosen) == count
    assert 0 <= chosen.min() <= chosen.max() < 54


def test_random_planes_follow_the_global_seed(state):
    loss = PerceptualLoss(fraction=0.5, weights=state)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(loss.choose_planes(2, 27).tolist())
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize(("fraction", "per_window"), [(1.0, 27), (0.25, 6), (0.01, 1)])
def test_fixed_planes_are_the_same_in_every_window(state, fraction, per_window):
    chosen = PerceptualLoss(fraction=fraction, fixed_planes=True, weights=state).choose_planes(3, 27)
    windows = chosen.reshape(3, per_window)
    assert len(set(windows[0].tolist())) == per_window
    assert torch.equal(windows, windows[0] + 27 * torch.arange(3)[:, None])
    assert windows[0].max() < 27


def test_fixed_planes_make_the_loss_of_a_window_independent_of_its_batch(state, pair):
    prediction, target = pair
    loss = PerceptualLoss(fraction=0.3, fixed_planes=True, weights=state)
    before = torch.get_rng_state()
    alone = torch.stack([loss(prediction[i : i + 1], target[i : i + 1]) for i in range(2)]).mean()
    torch.testing.assert_close(loss(prediction, target), alone, rtol=1e-5, atol=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_identical_volumes_cost_nothing(state, pair):
    assert PerceptualLoss(weights=state)(pair[1][:, :1], pair[1]).item() == 0.0


def test_weights_are_frozen_and_stay_out_of_checkpoints(state, pair):
    prediction, target = pair[0].requires_grad_(), pair[1].requires_grad_()
    loss = PerceptualLoss(weights=state)
    loss(prediction, target).backward()
    assert not list(loss.parameters())
    assert not loss.state_dict()
    assert target.grad is None
    assert prediction.grad is not None


def test_term_of_the_reconstruction_loss(state, pair):
    perceptual = PerceptualLoss(fraction=1.0, weights=state)
    loss = ReconstructionLoss(perceptual=perceptual, perceptual_weight=3.0, reconstruction_weight=0, intensity_weight=0)
    total = loss(*pair)
    torch.testing.assert_close(total, 3.0 * perceptual(*pair))
    assert list(loss.terms) == ["perceptual"]
    without = ReconstructionLoss(perceptual=perceptual, perceptual_weight=0)
    without(*pair)
    assert list(without.terms) == ["reconstruction", "intensity"]


def test_one_plane_is_enough_but_not_one_row(state):
    loss = PerceptualLoss(fraction=0.1, weights=state)
    assert loss(torch.ones(1, 1, 2, 3, 1, 1), torch.zeros(1, 2, 2, 3, 1, 1)).isfinite()
    with pytest.raises(ContractError, match="a plane has 1 x 3 voxels, expected at least 2 x 2"):
        loss(torch.ones(1, 1, 1, 3, 4, 2), torch.zeros(1, 2, 1, 3, 4, 2))


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "vgg."])
def test_weights_from_a_file(state, tmp_path, ending, prefix):
    path = tmp_path / f"vgg16{ending}"
    tensors = {prefix + name: tensor for name, tensor in state.items()} | {"classifier.0.weight": torch.zeros(2)}
    if ending == ".pth":
        torch.save(tensors, path)
    else:
        save_file(tensors, path)
    loss = PerceptualLoss(weights=path)
    for number in LAYERS:
        assert torch.equal(loss.get_buffer(f"weight_{number}"), state[f"features.{number}.weight"])
        assert torch.equal(loss.get_buffer(f"bias_{number}"), state[f"features.{number}.bias"])


def test_missing_file(tmp_path):
    with pytest.raises(WeightsError, match=r"there is no file .*absent\.pth.*download https://.*leave the term out"):
        PerceptualLoss(weights=tmp_path / "absent.pth")


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_unreadable_file(tmp_path, ending):
    path = tmp_path / f"broken{ending}"
    path.write_bytes(b"not weights")
    with pytest.raises(WeightsError, match=r"broken.* cannot be read as a state dict"):
        PerceptualLoss(weights=path)


def test_file_that_is_no_state_dict(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match=r"list\.pth cannot be read as a state dict \(it holds a list\)"):
        PerceptualLoss(weights=tmp_path / "list.pth")


def test_state_dict_of_something_else(state):
    with pytest.raises(WeightsError, match=r"nothing under 'features\.5\.weight'.*shape \[128, 64, 3, 3\]"):
        PerceptualLoss(weights={name: tensor for name, tensor in state.items() if name != "features.5.weight"})
    with pytest.raises(WeightsError, match=r"\[\[64\]\] under 'features\.0\.weight'"):
        PerceptualLoss(weights=state | {"features.0.weight": torch.zeros(64)})


def test_imagenet_weights_without_a_network(monkeypatch, tmp_path):
    def refuse(*_args, **_kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    with pytest.raises(WeightsError) as caught:
        PerceptualLoss()
    message = str(caught.value)
    assert VGG16_URL in message
    assert str(tmp_path / "checkpoints" / "vgg16-397923af.pth") in message
    assert "no route to host" in message
    assert "use_perceptual: false" in message


def test_imagenet_weights_from_the_cache(monkeypatch, tmp_path, state):
    (tmp_path / "checkpoints").mkdir()
    torch.save(state, tmp_path / "checkpoints" / "vgg16-397923af.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert torch.equal(PerceptualLoss().get_buffer("weight_0"), state["features.0.weight"])


def test_download_of_another_file_is_refused(monkeypatch, tmp_path, state):
    source = tmp_path / "server" / "vgg16-397923af.pth"
    source.parent.mkdir()
    torch.save(state, source)
    monkeypatch.setattr("monai_tff.losses.perceptual.VGG16_URL", source.as_uri())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(WeightsError, match="invalid hash value"):
        PerceptualLoss()
    assert not list((tmp_path / "hub" / "checkpoints").iterdir())


@pytest.mark.parametrize("wrong", [{"fraction": 0.0}, {"fraction": 1.5}, {"planes_at_once": 0}])
def test_values_out_of_range_are_refused(state, wrong):
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"perceptual loss: {name} is"):
        PerceptualLoss(weights=state, **wrong)


def test_weights_follow_the_device_of_the_data(state, pair):
    loss = PerceptualLoss(weights=state)
    assert loss(pair[0].to("meta"), pair[1].to("meta")).device.type == "meta"
    assert loss.get_buffer("weight_7").device.type == "meta"
