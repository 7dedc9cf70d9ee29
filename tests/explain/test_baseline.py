from __future__ import annotations

import pytest
import torch

from monai_tff.data.scan import CompactScan
from monai_tff.explain.baseline import Baselines, mean_image


def scan(seed: int, factor: float = 1.0) -> CompactScan:
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(100, 900, (6, 7, 8, 9), generator=generator).float()
    frames[:, :3] *= factor
    mask = torch.ones(7, 8, 9, dtype=torch.bool)
    mask[0, seed % 8] = mask[6] = False
    return CompactScan.from_frames(frames, mask)


def test_the_mean_image_is_the_mean_over_frames_of_channel_0():
    one = scan(1)
    image, mask = mean_image(one)
    torch.testing.assert_close(image[one.mask], one.unpack()[0][one.mask].mean(dim=-1), rtol=1e-4, atol=1e-5)
    assert (image[~one.mask] == 0).all()
    assert torch.equal(mask.bool(), one.mask)


@pytest.mark.parametrize(("predicted", "others"), [(0, (1, 2)), (1, (0, 2)), (2, (0, 1)), (None, (0, 1, 2))])
def test_a_window_is_compared_with_the_other_classes(predicted, others):
    scans = [(scan(number, 1 + 0.3 * (number % 3)), number % 3) for number in range(6)]
    baselines, new = Baselines(scans), scan(17)
    window = new.window(1, 4).unpack()
    found = baselines.of(new, window, predicted)
    means = []
    for label in others:
        images = [mean_image(item) for item, of_class in scans if of_class == label]
        count = torch.stack([mask for _, mask in images]).sum(dim=0).clamp(min=1)
        means.append(torch.stack([image for image, _ in images]).sum(dim=0) / count)
    wanted = torch.stack(means).mean(dim=0)[new.mask]
    for frame in range(4):
        torch.testing.assert_close(found[0, ..., frame][new.mask], wanted)
    assert (found[1][new.mask] == 0).all()
    assert torch.equal(found[:, ~new.mask], window[:, ~new.mask])
