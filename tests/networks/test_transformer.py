from __future__ import annotations

import pytest
import torch

from monai_tff.errors import ContractError
from monai_tff.networks.transformer import TemporalTransformer


def make(**options):
    return TemporalTransformer(12, **{"num_heads": 3, "feedforward_size": 20, "max_frames": 6, **options}).eval()


def test_shapes_and_the_range_of_the_pooled_token():
    tokens, pooled = make()(torch.randn(2, 5, 12))
    assert tokens.shape == (2, 5, 12)
    assert pooled.shape == (2, 12)
    assert pooled.abs().max() < 1


def test_published_sizes_are_the_defaults():
    transformer = TemporalTransformer(32)
    config = transformer.bert.config
    assert (config.num_hidden_layers, config.num_attention_heads, config.intermediate_size) == (2, 16, 3072)
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.1, 0.1)
    assert (config.layer_norm_eps, config.hidden_act) == (1e-12, "gelu")
    assert transformer.bert.embeddings.position_embeddings.weight.shape == (30, 32)
    assert config._attn_implementation == "sdpa"


def test_initialisation_is_bert_s_inside_bert_and_torch_s_for_the_class_token():
    transformer = TemporalTransformer(64, num_heads=4)
    for name, parameter in transformer.bert.named_parameters():
        if "LayerNorm.weight" in name:
            assert (parameter == 1).all(), name
        elif name.endswith("bias"):
            assert (parameter == 0).all(), name
        elif "word_embeddings" not in name:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.25), name
    assert transformer.class_token.weight.abs().max() <= 64**-0.5
    assert transformer.class_token.weight.std().item() == pytest.approx((64 * 3) ** -0.5, rel=0.1)


def test_order_of_frames_matters_and_windows_do_not_see_each_other():
    transformer = make()
    codes = torch.randn(2, 5, 12)
    tokens, pooled = transformer(codes)
    assert not torch.allclose(transformer(codes.flip(1))[0].flip(1), tokens, atol=1e-3)
    alone = transformer(codes[1:])
    torch.testing.assert_close(alone[0], tokens[1:])
    torch.testing.assert_close(alone[1], pooled[1:])


def test_only_the_unused_word_table_is_frozen():
    frozen = [name for name, parameter in make().named_parameters() if not parameter.requires_grad]
    assert frozen == ["bert.embeddings.word_embeddings.weight"]


def test_attention_maps_come_from_the_network_that_predicts():
    transformer = make()
    codes = torch.randn(2, 5, 12)
    tokens, pooled = transformer(codes)
    maps, pooled_with_maps = transformer.attention_maps(codes)
    assert maps.shape == (2, 2, 3, 6, 6)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(2, 2, 3, 6))
    torch.testing.assert_close(pooled_with_maps, pooled)
    assert transformer.bert.config._attn_implementation == "sdpa"
    torch.testing.assert_close(transformer(codes)[0], tokens, rtol=0, atol=0)


def test_hidden_size_that_the_heads_do_not_divide():
    with pytest.raises(ContractError, match=r"hidden_size: 14 is not a multiple of num_heads 4.*for example 16"):
        TemporalTransformer(14, num_heads=4)
