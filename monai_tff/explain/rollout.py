"""Attention rollout: from the weights of all layers to the share of each frame in the class token.

Reference: Abnar, Zuidema, "Quantifying Attention Flow in Transformers", 2020, https://arxiv.org/abs/2005.00928
"""

from __future__ import annotations

import torch


def attention_rollout(maps: torch.Tensor) -> torch.Tensor:
    """Follows the class token's attention through all layers back to the frames.

    Each layer passes on half of a token as it is (the residual connection) and half as a mixture of all tokens, by
    attention weights that are averaged over heads; the layers' matrices are multiplied.

    Args:
        maps: attention weights `[layers, B, heads, 1 + T, 1 + T]`, token 0 being the class token.

    Returns:
        Share of each frame `[B, T]`, without what stays with the class token itself, so that it adds up to 1.
    """
    flow = torch.eye(maps.shape[-1], dtype=maps.dtype, device=maps.device).expand(maps.shape[1], -1, -1)
    for layer in maps.mean(dim=2):
        mixed = (layer + torch.eye(layer.shape[-1], dtype=layer.dtype, device=layer.device)) / 2
        flow = mixed @ flow
    frames = flow[:, 0, 1:]
    return frames / frames.sum(dim=-1, keepdim=True)
