"""The three TFF networks: autoencoder of frames, reconstructor of windows, predictor of a subject's target.

All take one tensor `[B, 2, H, W, D, T]` (channel 0 global, 1 voxel normalisation), or the codes of its frames
`[B, T, hidden]`, and give one tensor. Their stages are methods, so that codes of frames can be computed once and shared
by overlapping windows.

Reference: Malkiel, Rosenman, Wolf, Hendler, "Pre-training and Fine-tuning Transformers for fMRI Prediction Tasks",
2021, https://arxiv.org/abs/2112.05761
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from monai_tff.errors import ContractError
from monai_tff.networks.base import FrameDecoding, Sequencing
from monai_tff.networks.transformer import TemporalTransformer

PAPER_HEADS = (None, "binary", "regression")


class TFFAutoEncoder(FrameDecoding):
    """Phase 1: encoder and decoder, which reconstruct single frames.

    Args:
        spatial_size: H, W, D of the input in voxels.
        hidden_size: length of a frame code.
        dropout: dropout of the residual blocks.
        code_normalisation: layer normalisation of the frame codes; the published network has none.

    Raises:
        ContractError: for sizes that no network can be built for.

    Example:
        >>> network = TFFAutoEncoder((16, 18, 14), hidden_size=160)
        >>> network(torch.zeros(1, 2, 16, 18, 14, 3)).shape
        torch.Size([1, 1, 16, 18, 14, 3])
    """

    def __init__(
        self,
        spatial_size: Sequence[int],
        *,
        hidden_size: int = 2640,
        dropout: float = 0.2,
        code_normalisation: bool = False,
    ) -> None:
        super().__init__(spatial_size, hidden_size, dropout, code_normalisation)


class TFFReconstructor(FrameDecoding, Sequencing):
    """Phase 2: encoder, temporal transformer and decoder, which reconstruct windows.

    Args:
        spatial_size: H, W, D of the input in voxels.
        hidden_size: length of a frame code, a multiple of `num_heads`.
        dropout: dropout of the residual blocks.
        num_layers: transformer layers.
        num_heads: attention heads of a layer.
        feedforward_size: width of a layer's feed-forward part.
        transformer_dropout: dropout of the transformer's hidden states and attention weights.
        max_frames: longest window.
        code_normalisation: layer normalisation of the frame codes; the published network has none.

    Raises:
        ContractError: for sizes that no network can be built for.
    """

    def __init__(
        self,
        spatial_size: Sequence[int],
        *,
        hidden_size: int = 2640,
        dropout: float = 0.2,
        num_layers: int = 2,
        num_heads: int = 16,
        feedforward_size: int = 3072,
        transformer_dropout: float = 0.1,
        max_frames: int = 29,
        code_normalisation: bool = False,
    ) -> None:
        super().__init__(spatial_size, hidden_size, dropout, code_normalisation)
        self.transformer = TemporalTransformer(
            hidden_size,
            num_layers=num_layers,
            num_heads=num_heads,
            feedforward_size=feedforward_size,
            dropout=transformer_dropout,
            max_frames=max_frames,
        )
        # Reconstruction never uses the pooled token; without a gradient the pooler would stop distributed training.
        self.transformer.bert.get_submodule("pooler").requires_grad_(False)

    def reconstruct_codes(self, codes: torch.Tensor) -> torch.Tensor:
        """Reconstructs frames `[B, 1, H, W, D, T]` from the codes `[B, T, hidden]` of one window."""
        tokens, _ = self.encode_sequence(codes)
        return self.decode_frames(tokens)


class TFFPredictor(Sequencing):
    """Phase 3: encoder, temporal transformer and a linear head on the pooled class token.

    Args:
        spatial_size: H, W, D of the input in voxels.
        num_outputs: 1 for two classes (a logit) or a number, C for C classes (logits).
        hidden_size: length of a frame code, a multiple of `num_heads`.
        dropout: dropout of the residual blocks.
        num_layers: transformer layers.
        num_heads: attention heads of a layer.
        feedforward_size: width of a layer's feed-forward part.
        transformer_dropout: dropout of the transformer's hidden states and attention weights.
        max_frames: longest window.
        code_normalisation: layer normalisation of the frame codes; the published network has none.
        paper_head: the published output on top of the head: `binary` (a sigmoid: the output is a probability),
            `regression` (a LeakyReLU, for targets that are never negative), or None (logits, a plain value).

    Raises:
        ContractError: for sizes that no network can be built for, or an unknown `paper_head`.

    Example:
        >>> network = TFFPredictor((16, 18, 14), num_outputs=3, hidden_size=160)
        >>> network(torch.zeros(2, 2, 16, 18, 14, 5)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        spatial_size: Sequence[int],
        *,
        num_outputs: int = 1,
        hidden_size: int = 2640,
        dropout: float = 0.35,
        num_layers: int = 2,
        num_heads: int = 16,
        feedforward_size: int = 3072,
        transformer_dropout: float = 0.1,
        max_frames: int = 29,
        code_normalisation: bool = False,
        paper_head: str | None = None,
    ) -> None:
        super().__init__(spatial_size, hidden_size, dropout, code_normalisation)
        if paper_head not in PAPER_HEADS or (paper_head is not None and num_outputs != 1):
            raise ContractError(
                f"paper_head: '{paper_head}' with {num_outputs} outputs came, expected binary or regression with 1 "
                "output, or None; the published heads know two classes or one number."
            )
        self.paper_head = paper_head
        self.transformer = TemporalTransformer(
            hidden_size,
            num_layers=num_layers,
            num_heads=num_heads,
            feedforward_size=feedforward_size,
            dropout=transformer_dropout,
            max_frames=max_frames,
        )
        self.head = nn.Linear(hidden_size, num_outputs)

    def predict_codes(self, codes: torch.Tensor) -> torch.Tensor:
        """Predicts `[B, num_outputs]` from the codes `[B, T, hidden]` of one window."""
        _, pooled = self.encode_sequence(codes)
        output = self.head(pooled)
        if self.paper_head == "binary":
            return torch.sigmoid(output)
        if self.paper_head == "regression":
            return functional.leaky_relu(output, negative_slope=0.01)
        return output

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Predicts the target of each window.

        Args:
            image: windows `[B, 2, H, W, D, T]`, or the codes of their frames `[B, T, hidden]`.

        Returns:
            `[B, num_outputs]`: logits, values, or what `paper_head` makes of them.

        Raises:
            ContractError: for a wrong shape or too many frames.
        """
        return self.predict_codes(self.codes_of(image))
