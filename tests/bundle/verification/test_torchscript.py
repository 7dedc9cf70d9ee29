"""What MONAI reads of a TorchScript archive beside the network."""

from __future__ import annotations

from pathlib import Path

import pytest
from monai.data import load_net_with_metadata

from monai_tff.bundle import layout
from monai_tff.bundle.verification.torchscript import check_torchscript
from monai_tff.errors import BundleError


def test_the_metadata_inside_is_that_of_the_bundle(bundle: Path) -> None:
    check_torchscript(bundle / layout.TORCHSCRIPT)
    _, metadata, _ = load_net_with_metadata(str(bundle / layout.TORCHSCRIPT))
    assert metadata["name"] == "tff_sex"
    (bundle / layout.METADATA).write_text('{"name": "another"}', encoding="utf-8")
    with pytest.raises(BundleError, match=r"is not configs/metadata\.json"):
        check_torchscript(bundle / layout.TORCHSCRIPT)
