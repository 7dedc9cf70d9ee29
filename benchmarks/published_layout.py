"""The published networks' layout of operations, for comparison only: eager float32, channels first, eager attention.

Same parameters and same numbers as the networks of `monai_tff.networks`; only the order of memory and the kernels
differ. The scan of the input for NaN that the published autoencoder also does is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from transformers import BertConfig, BertModel

from monai_tff.networks.blocks import BLOCKS_PER_STAGE, CHANNELS, stage_sizes

BERT = {
    "vocab_size": 1,
    "num_hidden_layers": 2,
    "num_attention_heads": 16,
    "intermediate_size": 3072,
    "max_position_embeddings": 30,
}


def unit(channels: int) -> list[nn.Module]:
    """Normalisation, activation, convolution."""
    return [nn.GroupNorm(channels // 4, channels), nn.LeakyReLU(inplace=True), conv(channels, channels)]


def conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv3d:
    return nn.Conv3d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1)


class Residual(nn.Module):
    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.branch = nn.Sequential(*unit(channels), *unit(channels))
        self.dropout = dropout

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.branch(features), self.dropout, self.training) + features


class PublishedLayout(nn.Module):
    """Encoder, then the transformer where the phase has it, then the decoder or the head.

    Args:
        phase: `autoencoder`, `transformer` or `finetune`, which has one output.
        spatial_size: H, W, D of the input in voxels.
        hidden_size: length of a frame code.
        batch_size: windows in a batch; the published class token has a fixed number of rows.
        dropout: dropout of the residual blocks.
    """

    def __init__(
        self, phase: str, spatial_size: Sequence[int], hidden_size: int, batch_size: int, dropout: float
    ) -> None:
        super().__init__()
        sizes = stage_sizes(spatial_size)
        self.hidden_size = hidden_size
        self.encoder = self._encoder(dropout)
        self.into = nn.Sequential(
            nn.GroupNorm(8, 32), nn.LeakyReLU(inplace=True), conv(32, 2), nn.Flatten(), self._into_linear(sizes[-1])
        )
        self.bert = None
        if phase != "autoencoder":
            self.class_token = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.LeakyReLU())
            self.register_buffer("constant", torch.full((batch_size, 1, hidden_size), 0.5), persistent=False)
            self.bert = BertModel(BertConfig(**BERT, hidden_size=hidden_size))
            self.bert.set_attn_implementation("eager")
        self.head = nn.Linear(hidden_size, 1) if phase == "finetune" else None
        self.decoder = None if phase == "finetune" else self._decoder(sizes, dropout)

    def _encoder(self, dropout: float) -> nn.Sequential:
        modules: list[nn.Module] = [conv(2, CHANNELS[0]), nn.Dropout3d(0.0)]
        for stage, (channels, num_blocks) in enumerate(zip(CHANNELS, BLOCKS_PER_STAGE, strict=True)):
            modules += [Residual(channels, dropout) for _ in range(num_blocks)]
            if stage < len(CHANNELS) - 1:
                modules.append(conv(channels, 2 * channels, stride=2))
        return nn.Sequential(*modules)

    def _into_linear(self, size: Sequence[int]) -> nn.Module:
        flat_size = 2 * math.prod(size)
        return nn.Identity() if flat_size == self.hidden_size else nn.Linear(flat_size, self.hidden_size)

    def _decoder(self, sizes: Sequence[tuple[int, int, int]], dropout: float) -> nn.Sequential:
        modules: list[nn.Module] = [
            nn.Linear(self.hidden_size, 2 * math.prod(sizes[-1])),
            nn.Unflatten(1, (2, *sizes[-1])),
            *[nn.GroupNorm(2, 2), nn.LeakyReLU(inplace=True), conv(2, 32)],
        ]
        for channels, size in zip((16, 8, 4), sizes[-2::-1], strict=True):
            modules += [nn.Conv3d(2 * channels, channels, 1), nn.Upsample(size=size), Residual(channels, dropout)]
        return nn.Sequential(*modules, conv(4, 4), nn.Conv3d(4, 1, 1))

    def take_parameters(self, network: nn.Module) -> PublishedLayout:
        """Copies the parameters of the same network of ours; returns itself."""
        # Both define the convolutional parts in the order in which they run, and BERT is the same class.
        parts: list[tuple[tuple[str, ...], nn.Module]] = [(("encoder",), self.encoder), (("bottleneck_in",), self.into)]
        if self.bert is not None:
            self.bert.load_state_dict(network.get_submodule("transformer.bert").state_dict())
            parts.append((("transformer.class_token",), self.class_token))
        if self.decoder is not None:
            parts.append((("bottleneck_out", "decoder"), self.decoder))
        else:
            parts.append((("head",), self.head))
        for ours, theirs in parts:
            source = [value for part in ours for value in network.get_submodule(part).parameters()]
            for target, value in zip(theirs.parameters(), source, strict=True):
                target.data.copy_(value)
        return self

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        batch_size, channels, *size, num_frames = image.shape
        frames = image.permute(0, 5, 1, 2, 3, 4).reshape(batch_size * num_frames, channels, *size)
        codes = self.into(self.encoder(frames)).reshape(batch_size, num_frames, -1)
        if self.bert is not None:
            sequence = torch.cat([self.class_token(self.constant[:batch_size]), codes], dim=1)
            encoded = self.bert(inputs_embeds=sequence)
            if self.decoder is None:
                return self.head(encoded.pooler_output)
            codes = encoded.last_hidden_state[:, 1:, :]
        frames = self.decoder(codes.reshape(batch_size * num_frames, -1))
        return frames.reshape(batch_size, num_frames, 1, *size).permute(0, 2, 3, 4, 5, 1)
