"""Reconstructed scans as NIfTI, and the losses of an evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine

from monai_tff.data import CompactScan
from monai_tff.handlers.reconstruction import LossWriter, ReconstructionWriter, reconstruction_name

AFFINE = np.array([[2.0, 0, 0.3, -9], [0, 2.5, 0, 4], [-0.3, 0, 3.0, 7], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("scan", "expected"),
    [
        ("sub-01_task-rest_bold.nii.gz", "sub-01_task-rest_desc-reconstruction_bold.nii.gz"),
        ("a/sub-01_desc-preproc_bold.nii", "a/sub-01_desc-reconstruction_bold.nii.gz"),
        ("rest.nii.gz", "rest_desc-reconstruction.nii.gz"),
        ("sub-01_task-rest.nii.gz", "sub-01_task-rest_desc-reconstruction.nii.gz"),
        ("REST1_LR.nii.gz", "REST1_desc-reconstruction_LR.nii.gz"),
    ],
)
def test_names(scan: str, expected: str) -> None:
    assert reconstruction_name(scan) == expected


def compact_scan(repetition_time: float | None) -> CompactScan:
    generator = torch.Generator().manual_seed(1)
    mask = torch.rand(4, 5, 3, generator=generator) > 0.4
    frames = torch.randint(100, 900, (6, 4, 5, 3), generator=generator, dtype=torch.int16)
    affine = torch.as_tensor(AFFINE)
    return CompactScan.from_frames(frames, mask, affine=affine, repetition_time=repetition_time, source="scan")


def run(writer: Any, batches: list[dict[str, Any]], volumes: torch.Tensor) -> None:
    engine = Engine(lambda engine, batch: {"pred": volumes})
    writer.attach(engine)
    engine.run(batches)


@pytest.mark.parametrize("repetition_time", [0.72, None])
def test_a_scan_in_its_own_units(repetition_time: float | None, tmp_path: Path, capsys: Any) -> None:
    scan = compact_scan(repetition_time)
    volumes = torch.randn(1, 1, 4, 5, 3, 6, generator=torch.Generator().manual_seed(2))
    batch = {"image": [scan], "scan": ["sub-01/sub-01_bold.nii.gz"]}
    run(ReconstructionWriter(tmp_path), [batch], volumes)
    image = nib.load(tmp_path / "sub-01" / "sub-01_desc-reconstruction_bold.nii.gz")
    assert image.shape == (4, 5, 3, 6)
    assert image.get_data_dtype() == np.float32
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-6)
    assert image.header.get_zooms()[3] == pytest.approx(repetition_time or 0.0)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    mask = scan.mask.numpy()
    expected = np.where(mask[..., None], volumes[0, 0].numpy() * float(scan.global_std) + float(scan.global_mean), 0)
    np.testing.assert_allclose(image.get_fdata(), expected, rtol=1e-6)
    assert capsys.readouterr().out == f"reconstructions of 1 scans: {tmp_path}\n"


def test_the_global_normalisation_is_undone(tmp_path: Path) -> None:
    """Channel 0 of the input, written as if it were the reconstruction, is the scan itself."""
    scan = compact_scan(2.0)
    run(ReconstructionWriter(tmp_path), [{"image": [scan], "scan": ["a.nii"]}], scan.unpack()[None, :1])
    written = nib.load(tmp_path / "a_desc-reconstruction.nii.gz").get_fdata()
    np.testing.assert_allclose(written[scan.mask.numpy()], scan.values.T.numpy(), rtol=1e-5)


def test_the_same_scan_gives_the_same_bytes(tmp_path: Path) -> None:
    volumes = torch.ones(1, 1, 4, 5, 3, 6)
    for name in ("one", "two"):
        run(ReconstructionWriter(tmp_path / name), [{"image": [compact_scan(2.0)], "scan": ["a.nii"]}], volumes)
    files = [(tmp_path / name / "a_desc-reconstruction.nii.gz").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


@pytest.mark.parametrize(("overlap", "said"), [("unknown", "pretraining overlap: unknown\n"), (None, "")])
def test_losses(overlap: str | None, said: str, tmp_path: Path, capsys: Any) -> None:
    engine = Engine(lambda engine, batch: None)
    LossWriter(tmp_path, split="test", pretraining_overlap=overlap).attach(engine)
    engine.state.metrics = {"total": 1.25, "intensity": 1, "table": "no number"}
    engine.run([0])
    report = json.loads((tmp_path / "metrics.json").read_text())
    assert report == {"split": "test", "pretraining_overlap": overlap, "values": {"total": 1.25, "intensity": 1.0}}
    assert capsys.readouterr().out == said + "test total 1.2500, intensity 1.0000\n"
