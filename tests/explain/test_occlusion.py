from __future__ import annotations

import torch

from monai_tff.explain.occlusion import cubes, occluded_frames, occluded_space


def test_cubes_are_numbered_within_the_mask_without_a_gap():
    mask = torch.zeros(7, 8, 9, dtype=torch.bool)
    mask[0, 0, 0] = mask[2, 1, 0] = mask[3, 0, 0] = mask[6, 7, 8] = True
    numbers = cubes(mask, (3, 4, 5))
    assert numbers[0, 0, 0] == numbers[2, 1, 0] == 0
    assert (numbers[3, 0, 0], numbers[6, 7, 8]) == (1, 2)
    assert (numbers[~mask] == -1).all()


def test_a_cube_is_worth_what_its_voxels_add(readout, random_windows, random_weights):
    window, baseline = random_windows(3)
    mask = torch.rand(7, 8, 9, generator=torch.Generator().manual_seed(4)) > 0.3
    baseline = torch.where(mask[..., None], baseline, window)
    numbers = cubes(mask, (3, 4, 5))
    network = readout(random_weights)
    values = occluded_space(lambda x: network(x)[:, 0], window, baseline, numbers)
    of_voxels = random_weights * (window - baseline)[0].mean(dim=-1)
    for number in range(int(numbers.max()) + 1):
        inside = numbers == number
        torch.testing.assert_close(values[inside], of_voxels[inside].sum().expand(int(inside.sum())))
    assert (values[~mask] == 0).all()


def test_a_block_of_frames_is_worth_what_its_frames_add(readout, random_windows, random_weights):
    window, baseline = random_windows(5)
    network = readout(random_weights)
    codes, of_baseline = (network.encode_frames(item[None])[0] for item in (window, baseline))
    values = occluded_frames(lambda x: network(x)[:, 0], codes, of_baseline, block=2)
    each = ((codes - of_baseline)[:, 0] / 5).detach()
    pairs = torch.stack([each[:2].sum(), each[2:4].sum(), each[4]])
    torch.testing.assert_close(values, pairs[torch.tensor([0, 0, 1, 1, 2])], rtol=1e-4, atol=1e-5)
