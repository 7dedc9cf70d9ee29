"""What MONAI reads of a TorchScript archive beside the network."""

from __future__ import annotations

from pathlib import Path

from monai.data import load_net_with_metadata

from monai_tff.bundle import layout
from monai_tff.bundle.verification import verify_bundle
from monai_tff.bundle.verification.torchscript import check_torchscript, metadata_inside


def test_the_metadata_inside_is_that_of_the_bundle(bundle: Path) -> None:
    check_torchscript(bundle / layout.TORCHSCRIPT)
    _, metadata, _ = load_net_with_metadata(str(bundle / layout.TORCHSCRIPT))
    assert metadata["name"] == "tff_sex"
    text = (bundle / layout.METADATA).read_bytes()
    assert metadata_inside(bundle / layout.TORCHSCRIPT) == text
    (bundle / layout.METADATA).write_bytes(text.replace(b'"description": "', b'"description": "Not ', 1))
    layout.write_manifest(bundle)
    found = [finding for finding in verify_bundle(bundle) if finding.where == layout.TORCHSCRIPT]
    assert [finding.sentence for finding in found] == [
        "models/model.ts: keeps other metadata than configs/metadata.json, expected the same"
    ]
