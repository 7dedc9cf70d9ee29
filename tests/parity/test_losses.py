from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_tff.losses import IntensityLoss, PerceptualLoss, ReconstructionLoss

EXPECTED = json.loads((Path(__file__).parent / "expected.json").read_text())["losses"]
TERMS = ("reconstruction", "intensity", "perceptual")
MASK_STORED = [name for name in EXPECTED if "16x18x14" in name]


@pytest.fixture(scope="module")
def vgg16_state(recipe, keys):
    state = {}
    for name, row in keys["vgg"].items():
        values = recipe.weight(name, row["shape"])
        assert recipe.fingerprint(values) == row["crc32"]
        state[name.removeprefix("vgg.")] = torch.from_numpy(values)
    return state


def load_case(recipe, name: str, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    tag, size, frames, batch = name.split("/")
    dims = tuple(int(number) for number in size.split("x"))
    shape = (dims, int(frames[1:]), int(batch[1:]))
    target = recipe.sequence(tag, *shape, tuple(EXPECTED[name]["background"]))
    prediction = recipe.fake_reconstruction(tag, *shape)
    return torch.from_numpy(prediction).to(dtype).requires_grad_(), torch.from_numpy(target).to(dtype)


def make_loss(vgg16_state) -> ReconstructionLoss:
    perceptual = PerceptualLoss(fraction=1.0, weights=vgg16_state, planes_at_once=25)
    return ReconstructionLoss(perceptual=perceptual, intensity=IntensityLoss(background="corner"))


@pytest.mark.parametrize("name", EXPECTED)
def test_terms_and_total_in_single_precision(name, recipe, vgg16_state):
    prediction, target = load_case(recipe, name, torch.float32)
    loss = make_loss(vgg16_state)
    total = loss(prediction.detach(), target)
    expected = EXPECTED[name]["float32"]
    for term in TERMS:
        assert loss.terms[term].item() == pytest.approx(expected[term], rel=2e-6), term
    assert total.item() == pytest.approx(sum(expected[term] for term in TERMS), rel=2e-6)


@pytest.mark.parametrize("name", EXPECTED)
def test_values_and_gradients_of_each_term_in_double_precision(name, recipe, vgg16_state, reference):
    prediction, target = load_case(recipe, name, torch.float64)
    loss = make_loss(vgg16_state).double()
    values = {
        "reconstruction": ReconstructionLoss(intensity_weight=0).double()(prediction, target),
        "intensity": loss.intensity(prediction, target),
        "perceptual": loss.perceptual(prediction, target),
    }
    for term, value in values.items():
        assert value.item() == pytest.approx(EXPECTED[name]["float64"][term], rel=1e-9), term
        (gradient,) = torch.autograd.grad(value, prediction)
        stored = reference[f"loss/{name}/grad_{term}"]
        np.testing.assert_allclose(recipe.sample(gradient.numpy(), 1024), stored, rtol=1e-6, atol=1e-12)
        mean, spread, *_ = reference[f"loss/{name}/grad_{term}#stats"]
        assert gradient.mean().item() == pytest.approx(mean, rel=1e-6, abs=1e-12)
        assert gradient.std(correction=0).item() == pytest.approx(spread, rel=1e-6)


@pytest.mark.parametrize("name", EXPECTED)
def test_number_of_intense_voxels_per_frame(name, recipe):
    _, target = load_case(recipe, name, torch.float64)
    mask = IntensityLoss(background="corner").mask(target)
    assert mask.sum(dim=(1, 2, 3)).tolist() == EXPECTED[name]["float64"]["intense_voxel_counts"]


@pytest.mark.parametrize("name", MASK_STORED)
def test_the_same_voxels_are_intense(name, recipe, reference):
    _, target = load_case(recipe, name, torch.float64)
    mask = IntensityLoss(background="corner").mask(target).numpy()
    stored = np.unpackbits(reference[f"loss/{name}/intense_mask_packbits"], count=mask.size).astype(bool)
    np.testing.assert_array_equal(mask.reshape(-1), stored)


@pytest.mark.parametrize("name", EXPECTED)
def test_features_of_the_prediction(name, recipe, vgg16_state, reference):
    prediction, _ = load_case(recipe, name, torch.float64)
    planes = prediction.detach()[:, 0].permute(0, 4, 3, 1, 2).flatten(0, 2)[:, None]
    loss = PerceptualLoss(fraction=1.0, weights=vgg16_state).double()
    for key, found in zip(("vgg_relu1_2_recon", "vgg_relu2_2_recon"), loss.features(planes), strict=True):
        stored = reference[f"loss/{name}/{key}"]
        shape = tuple(reference[f"loss/{name}/{key}#shape"])
        assert found.shape == shape
        np.testing.assert_allclose(recipe.sample(found.numpy(), 256), stored, rtol=1e-6, atol=1e-6)
