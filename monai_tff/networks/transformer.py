"""The temporal transformer: a small BERT over the frame codes of a window, with a class token in front.

Reference: Malkiel, Rosenman, Wolf, Hendler, "Pre-training and Fine-tuning Transformers for fMRI Prediction Tasks",
2021, https://arxiv.org/abs/2112.05761
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from transformers import BertConfig, BertModel

from monai_tff.errors import ContractError

CLASS_TOKEN_INPUT = 0.5
"""The constant that the class token is computed from."""


class TemporalTransformer(nn.Module):
    """BERT over `[class token, frame 1, ..., frame T]`, with learned positions and post-layer normalisation.

    The class token is `LeakyReLU(Linear(0.5 * ones))`. Initialisation: BERT's own (normal with deviation 0.02,
    biases 0), torch's defaults for the class token.

    Args:
        hidden_size: length of a frame code, a multiple of `num_heads`.
        num_layers: transformer layers.
        num_heads: attention heads of a layer.
        feedforward_size: width of a layer's feed-forward part.
        dropout: dropout of hidden states and attention weights.
        max_frames: longest window; the position table has one row more, for the class token.

    Raises:
        ContractError: when `hidden_size` is not a multiple of `num_heads`.
    """

    def __init__(
        self,
        hidden_size: int = 2640,
        *,
        num_layers: int = 2,
        num_heads: int = 16,
        feedforward_size: int = 3072,
        dropout: float = 0.1,
        max_frames: int = 29,
    ) -> None:
        super().__init__()
        if hidden_size % num_heads:
            raise ContractError(
                f"hidden_size: {hidden_size} is not a multiple of num_heads {num_heads}, expected one, "
                f"for example {hidden_size + num_heads - hidden_size % num_heads}; change one of the two."
            )
        self.max_frames = max_frames
        self.class_token = nn.Linear(hidden_size, hidden_size)
        config = BertConfig(
            vocab_size=1,
            hidden_size=hidden_size,
            num_hidden_layers=num_layers,
            num_attention_heads=num_heads,
            intermediate_size=feedforward_size,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            max_position_embeddings=max_frames + 1,
        )
        self.bert = BertModel(config)
        # Frame codes take the place of words: the one-row table stays for the sake of published checkpoints, frozen
        # because a parameter that never gets a gradient stops distributed training.
        self.bert.embeddings.word_embeddings.requires_grad_(False)

    def forward(self, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Relates the frames of a window to each other.

        Args:
            codes: frame codes `[B, T, hidden]`, T at most `max_frames`.

        Returns:
            Tokens of the frames `[B, T, hidden]`, and the pooled class token `[B, hidden]`, in -1..1.
        """
        encoded = self.bert(inputs_embeds=self._with_class_token(codes))
        return encoded.last_hidden_state[:, 1:], encoded.pooler_output

    def attention_maps(self, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """How much each token draws on each other one.

        The fused attention of the training keeps no weights, so they are computed by the plain one, whose outputs are
        the same but for rounding.

        Args:
            codes: frame codes `[B, T, hidden]`, T at most `max_frames`.

        Returns:
            Attention weights `[layers, B, heads, 1 + T, 1 + T]`, which add up to 1 along the last axis, token 0 being
            the class token; and the pooled class token `[B, hidden]` that was computed with them.
        """
        usual = self.bert.config._attn_implementation
        self.bert.set_attn_implementation("eager")
        try:
            encoded = self.bert(inputs_embeds=self._with_class_token(codes), output_attentions=True)
        finally:
            self.bert.set_attn_implementation(usual)
        return torch.stack(encoded.attentions), encoded.pooler_output

    def _with_class_token(self, codes: torch.Tensor) -> torch.Tensor:
        constant = torch.full_like(self.class_token.bias, CLASS_TOKEN_INPUT)
        class_token = functional.leaky_relu(self.class_token(constant), negative_slope=0.01)
        return torch.cat((class_token.expand(codes.shape[0], 1, -1), codes), dim=1)
