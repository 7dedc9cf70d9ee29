"""The published preprocessing, number by number, from a NIfTI file through a packed file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_tff.contract import InputContract
from monai_tff.data.loading import load_scan
from monai_tff.data.prepare_scan import prepare_scan

SHAPE = (25, 27, 18, 22)
GLOBAL_TOLERANCE, VOXEL_TOLERANCE = 5e-7, 6e-6
CODES_TOLERANCE = 1e-3


@pytest.mark.parametrize("name", ["run.nii", "run.nii.gz"])
@pytest.mark.parametrize(("kind", "encoding"), [
    ("int16", "int16"), ("int16", "float32"), ("float32", "float32"), ("float32", "int16"),
])  # fmt: skip
def test_a_packed_scan_has_the_published_channels(
    recipe: Any, reference: Any, tmp_path: Path, kind: str, encoding: str, name: str
) -> None:
    values = {"int16": recipe.scan_int16, "float32": recipe.scan_float32}[kind](SHAPE)
    nib.save(nib.Nifti1Image(values, np.eye(4), dtype=values.dtype), tmp_path / name)
    contract = InputContract(
        spatial_size=(9, 11, 8),
        window_length=12,
        crop=((8, -8), (8, -8), (0, -10)),
        trim=10,
        mask="nonzero",
        axis_codes=None,
    )
    result = prepare_scan({"image": str(tmp_path / name), "scan": name}, tmp_path / "packed", contract, encoding)
    assert result.status == "packed", result.sentence
    scan, _ = load_scan(tmp_path / name, contract, packed_dir=tmp_path / "packed", encoding=encoding)
    found = scan.unpack()
    published = [
        torch.from_numpy(np.nan_to_num(reference[f"prep/{kind}/{channel}"], nan=0.0))
        for channel in ("global", "per_voxel")
    ]
    spread = float(scan.voxel_std.max()) / scan.global_std
    is_coded = (kind, encoding) == ("float32", "int16")
    assert scan.encoding == ("codes" if is_coded else "integers" if encoding == "int16" else "float32")
    tolerances = (CODES_TOLERANCE * spread, CODES_TOLERANCE) if is_coded else (GLOBAL_TOLERANCE, VOXEL_TOLERANCE)
    for channel, wanted, tolerance in zip(found, published, tolerances, strict=True):
        assert channel.shape == wanted.shape
        assert float((channel - wanted).abs().max()) <= tolerance
