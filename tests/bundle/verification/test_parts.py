from __future__ import annotations

from typing import Any

import pytest

from monai_tff.bundle.verification.parts import check_network, network_shapes
from monai_tff.errors import BundleError

NETWORK = {"_target_": "monai_tff.networks.TFFPredictor", "spatial_size": [16, 18, 14], "hidden_size": 32}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dropout", 0),
        ("dropout", 1.0),
        ("paper_head", None),
        ("paper_head", "binary"),
        ("num_layers", 1),
        ("code_normalisation", True),
    ],
)
def test_what_a_network_takes(name: str, value: Any) -> None:
    network = {**NETWORK, name: value}
    check_network(network)
    assert network_shapes(network)["transformer.bert.embeddings.LayerNorm.weight"] == (32,)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spatial_size", [16, 18]),
        ("spatial_size", [16, 18, 14.0]),
        ("spatial_size", "161814"),
        ("hidden_size", 32.0),
        ("hidden_size", True),
        ("hidden_size", 0),
        ("max_frames", 0.5),
        ("num_layers", 101),
        ("dropout", 1.5),
        ("dropout", -0.1),
        ("dropout", True),
        ("transformer_dropout", "0.1"),
        ("code_normalisation", 1),
        ("paper_head", ["binary"]),
    ],
    ids=str,
)
def test_what_no_network_takes(name: str, value: Any) -> None:
    with pytest.raises(BundleError, match=f"network_def#{name} is .*, which no network of ours takes"):
        check_network({**NETWORK, name: value})
