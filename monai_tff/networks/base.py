"""What the TFF networks share: frames to codes, codes to frames, codes to tokens, and the checks of their shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import nn

from monai_tff.errors import ContractError
from monai_tff.networks.blocks import BottleneckIn, BottleneckOut, FrameDecoder, FrameEncoder, stage_sizes
from monai_tff.networks.frame_passes import in_passes
from monai_tff.networks.transformer import TemporalTransformer

IN_CHANNELS = 2


def _show(sizes: Sequence[int | str]) -> str:
    return "[" + ", ".join(str(size) for size in sizes) + "]"


def _inside_a_graph() -> bool:
    # Sizes are symbols there, and a comparison would nail them to the example input.
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


ENCODER = ("encoder", "bottleneck_in", "code_norm")
"""Parts of a network that make the code of a frame."""


class FrameCoder(nn.Module):
    """What the three networks share: frames of a window to codes.

    Attributes:
        checkpoint_activations: whether encoder and decoder compute their activations again in the backward pass
            instead of keeping them; the numbers are the same.
        encoder_is_frozen: whether the parts that make the codes stay as they are, see `freeze_encoder`.
    """

    checkpoint_activations = False
    encoder_is_frozen = False

    def __init__(
        self, spatial_size: Sequence[int], hidden_size: int, dropout: float, code_normalisation: bool = False
    ) -> None:
        super().__init__()
        if len(spatial_size) != 3 or any(size != int(size) or size < 1 for size in spatial_size):
            raise ContractError(
                f"spatial_size: {_show(list(spatial_size))} came, expected three sizes of at least 1 voxel, [H, W, D]."
            )
        self.spatial_size = stage_sizes(spatial_size)[0]
        self.hidden_size = hidden_size
        self.encoder = FrameEncoder(dropout, IN_CHANNELS)
        self.bottleneck_in = BottleneckIn(stage_sizes(spatial_size)[-1], hidden_size)
        self.code_norm: nn.Module = nn.LayerNorm(hidden_size) if code_normalisation else nn.Identity()

    def freeze_encoder(self) -> None:
        """Keeps what makes the codes as it is: no gradient, and evaluation mode (no dropout) while the rest trains."""
        self.encoder_is_frozen = True
        for name in ENCODER:
            self.get_submodule(name).requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Sets the mode of all parts but a frozen encoder's, which stay in evaluation mode."""
        super().train(mode)
        if self.encoder_is_frozen:
            for name in ENCODER:
                self.get_submodule(name).eval()
        return self

    def codes_of(self, inputs: torch.Tensor) -> torch.Tensor:
        """The codes `[B, T, hidden]` of windows `[B, 2, H, W, D, T]`, or of windows of codes, which they are."""
        return inputs if inputs.ndim == 3 else self.encode_frames(inputs)

    def encode_frames(self, image: torch.Tensor) -> torch.Tensor:
        """Computes the code of every frame on its own.

        Nothing is copied where the memory is frame by frame already, that is where `image` is a permuted
        `[B, T, 2, H, W, D]`.

        Args:
            image: windows `[B, 2, H, W, D, T]`.

        Returns:
            Codes `[B, T, hidden]`.

        Raises:
            ContractError: for a wrong number of dimensions, channels or voxels.
        """
        self._check_image(image)
        batch_size = image.shape[0]
        frames = image.permute(0, 5, 1, 2, 3, 4).reshape(-1, IN_CHANNELS, *self.spatial_size)
        codes = self.code_norm(self.bottleneck_in(self._in_passes(self.encoder, frames)))
        return codes.reshape(batch_size, -1, self.hidden_size)

    def _in_passes(self, work: Callable[[torch.Tensor], torch.Tensor], frames: torch.Tensor) -> torch.Tensor:
        return in_passes(work, frames, math.prod(self.spatial_size), self.checkpoint_activations and self.training)

    def _check_image(self, image: torch.Tensor) -> None:
        if _inside_a_graph():
            return
        wanted = (IN_CHANNELS, *self.spatial_size)
        if image.ndim != 6 or tuple(image.shape[1:5]) != wanted or image.shape[5] < 1:
            raise ContractError(
                f"network input: a tensor of shape {_show(image.shape)} came, expected "
                f"{_show(['B', *wanted, 'T'])} (batch, channel, H, W, D, frames); "
                "prepare the scan as the input contract of the network says, or give codes of frames "
                f"{_show(['B', 'T', self.hidden_size])}."
            )

    def _check_codes(self, codes: torch.Tensor, max_frames: int | None = None) -> None:
        if _inside_a_graph():
            return
        if codes.ndim != 3 or codes.shape[2] != self.hidden_size:
            raise ContractError(
                f"frame codes: a tensor of shape {_show(codes.shape)} came, expected "
                f"{_show(['B', 'T', self.hidden_size])} (batch, frames, hidden); compute them with encode_frames."
            )
        if max_frames is not None and codes.shape[1] > max_frames:
            raise ContractError(
                f"window: {codes.shape[1]} frames came, expected at most max_frames = {max_frames}; "
                "use a shorter window, or a network with more max_frames."
            )


class FrameDecoding(FrameCoder):
    """A frame coder that also knows the way back, from codes to frames."""

    def __init__(
        self, spatial_size: Sequence[int], hidden_size: int, dropout: float, code_normalisation: bool = False
    ) -> None:
        super().__init__(spatial_size, hidden_size, dropout, code_normalisation)
        code_size = stage_sizes(spatial_size)[-1]
        if math.prod(code_size) == 1:
            raise ContractError(
                f"spatial_size: {_show(self.spatial_size)} leaves one voxel at the bottleneck, whose normalisation "
                "would make every reconstruction the same; expected more than 8 voxels along at least one axis."
            )
        self.bottleneck_out = BottleneckOut(code_size, hidden_size)
        self.decoder = FrameDecoder(spatial_size, dropout)

    def decode_frames(self, tokens: torch.Tensor) -> torch.Tensor:
        """Computes a frame from every token or code.

        Args:
            tokens: `[B, T, hidden]`.

        Returns:
            Frames `[B, 1, H, W, D, T]`, a permuted view of memory that is frame by frame.

        Raises:
            ContractError: for a wrong number of dimensions or a wrong hidden size.
        """
        self._check_codes(tokens)
        batch_size = tokens.shape[0]
        features = self.bottleneck_out(tokens.reshape(-1, self.hidden_size))
        frames = self._in_passes(self.decoder, features)
        return frames.reshape(batch_size, -1, 1, *self.spatial_size).permute(0, 2, 3, 4, 5, 1)

    def reconstruct_codes(self, codes: torch.Tensor) -> torch.Tensor:
        """Reconstructs frames `[B, 1, H, W, D, T]` from their codes `[B, T, hidden]`."""
        return self.decode_frames(codes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Reconstructs the globally normalised channel of every frame.

        Args:
            image: windows `[B, 2, H, W, D, T]`, or the codes of their frames `[B, T, hidden]`.

        Returns:
            Reconstruction `[B, 1, H, W, D, T]`.

        Raises:
            ContractError: for a wrong shape.
        """
        return self.reconstruct_codes(self.codes_of(image))


class Sequencing(FrameCoder):
    """A frame coder with the temporal transformer on top (mixed in beside the decoder or the head)."""

    transformer: TemporalTransformer

    def encode_sequence(self, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Relates the frames of a window to each other.

        Args:
            codes: `[B, T, hidden]`, T at most `max_frames`.

        Returns:
            Tokens of the frames `[B, T, hidden]` and the pooled class token `[B, hidden]`.

        Raises:
            ContractError: for a wrong hidden size or too many frames.
        """
        self._check_codes(codes, self.transformer.max_frames)
        return self.transformer(codes)
