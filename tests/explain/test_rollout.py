from __future__ import annotations

import torch

from monai_tff.explain.rollout import attention_rollout


def test_two_layers_by_hand():
    first = torch.tensor([[0.2, 0.5, 0.3], [0.0, 1.0, 0.0], [0.6, 0.0, 0.4]])
    second = torch.tensor([[0.0, 0.2, 0.8], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    maps = torch.stack([first, second])[:, None, None].repeat(1, 1, 2, 1, 1)
    maps[:, :, 0] += 0.1  # heads are averaged
    maps[:, :, 1] -= 0.1
    # class token after layer 2: 0.5 of itself, 0.1 of frame 1, 0.4 of frame 2, each as layer 1 left it
    frame1 = 0.5 * 0.25 + 0.1 * 1.0 + 0.4 * 0.0
    frame2 = 0.5 * 0.15 + 0.1 * 0.0 + 0.4 * 0.7
    wanted = torch.tensor([[frame1, frame2]]) / (frame1 + frame2)
    torch.testing.assert_close(attention_rollout(maps), wanted)


def test_a_frame_that_no_layer_looks_at_has_no_share():
    maps = torch.zeros(3, 2, 4, 6, 6)
    maps[..., 2] = 1.0
    torch.testing.assert_close(attention_rollout(maps), torch.tensor([[0.0, 1.0, 0, 0, 0]]).expand(2, -1))
