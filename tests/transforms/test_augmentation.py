from __future__ import annotations

import pytest
import torch

from monai_tff.transforms.augmentation import WindowAugmentation
from monai_tff.transforms.intensity import two_channels


@pytest.fixture
def window() -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    frames = 300 + 20 * torch.randn(5, 7, 8, 9, generator=generator)
    frames[:, :3] = 0
    return two_channels(frames)


def test_signal_changes_and_background_stays(window):
    kept = window.clone()
    out = WindowAugmentation(prob=1.0)(window, seed=1)
    assert torch.equal(window, kept)
    assert out.shape == window.shape
    assert out.dtype == torch.float32
    assert torch.equal(out[:, :3], window[:, :3])
    assert (out[:, 3:] != window[:, 3:]).float().mean() > 0.99
    assert out.permute(4, 0, 1, 2, 3).is_contiguous()


def test_what_is_drawn_depends_on_the_seed_alone(window):
    augmentation = WindowAugmentation(prob=1.0)
    first = augmentation(window, seed=1)
    assert not torch.equal(augmentation(window, seed=2), first)
    augmentation(window)
    assert torch.equal(augmentation(window, seed=1), first)
    assert torch.equal(WindowAugmentation(prob=1.0).set_random_state(1)(window), first)


def test_blur_alone_smooths_each_frame_by_itself(window):
    out = WindowAugmentation(prob=1.0, sigma=(1.0, 1.0), noise_std=0.0)(window, seed=1)
    assert out[1, 3:].std() < 0.6 * window[1, 3:].std()
    alone = WindowAugmentation(prob=1.0, sigma=(1.0, 1.0), noise_std=0.0)(window[..., 2:3], seed=1)
    torch.testing.assert_close(out[..., 2:3], alone)


def test_noise_alone_has_its_size(window):
    augmentation = WindowAugmentation(prob=1.0, sigma=(1e-6, 1e-6), noise_std=0.1)
    spreads = [(augmentation(window, seed=seed) - window)[:, 3:].std().item() for seed in range(20)]
    assert max(spreads) < 0.11
    assert max(spreads) > 0.05


def test_probability_zero_changes_nothing(window):
    assert torch.equal(WindowAugmentation(prob=0.0)(window, seed=1), window)
