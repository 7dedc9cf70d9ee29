from __future__ import annotations

import pytest

from monai_tff.networks.original import MODULE_NAMES, from_original, is_original, original_name, our_name

TRANSLATIONS = [
    ("encoder.down_block1.conv0.weight", "encoder.stem.weight"),
    ("encoder.down_block1.green0.block.conv2.bias", "encoder.stages.0.blocks.0.conv2.bias"),
    ("encoder.down_block2.green11.block.group_norm1.weight", "encoder.stages.1.blocks.1.norm2.weight"),
    ("encoder.down_block3.downsize_2.weight", "encoder.stages.2.down.weight"),
    ("encoder.final_block.green33.block.conv0.weight", "encoder.stages.3.blocks.3.conv1.weight"),
    ("into_bert.into_bert.weight", "bottleneck_in.linear.weight"),
    ("from_bert.out_of_bert.bias", "bottleneck_out.linear.bias"),
    ("decoder.decode_block.upgreen2.green.block.group_norm0.bias", "decoder.stages.2.block.norm1.bias"),
    ("decoder.decode_block.output_block.weight", "decoder.output.weight"),
    ("transformer.cls_embedding.0.weight", "transformer.class_token.weight"),
    ("transformer.bert.pooler.dense.weight", "transformer.bert.pooler.dense.weight"),
    ("regression_head.0.weight", "head.weight"),
    ("something.else.weight", "something.else.weight"),
]


@pytest.mark.parametrize(("original", "ours"), TRANSLATIONS)
def test_names_both_ways(original, ours):
    assert our_name(original) == ours
    assert original_name(ours) == original


def test_no_two_modules_share_a_name():
    assert len(set(MODULE_NAMES.values())) == len(MODULE_NAMES)


def test_position_ids_are_dropped():
    state = {"transformer.bert.embeddings.position_ids": 1, "regression_head.0.bias": 2}
    assert from_original(state) == {"head.bias": 2}


def test_recognises_the_published_names(network):
    names = [original_name(name) for name in network.state_dict()]
    assert is_original(names)
    assert not is_original(network.state_dict())
    assert list(from_original(dict.fromkeys(names))) == list(network.state_dict())
