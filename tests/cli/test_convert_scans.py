from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from typer.testing import Result

Command = Callable[..., Result]
SHAPE = (7, 8, 9)
FRAMES = 6


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two whole scans [T, 1, X, Y, Z] under the names of their subjects."""
    folder = tmp_path / "tensors"
    folder.mkdir()
    for number, subject in enumerate(("100206", "100307")):
        values = torch.from_numpy(np.random.default_rng(number).uniform(1, 900, (FRAMES, 1, *SHAPE))).float()
        torch.save(values, folder / f"{subject}.pt")
    return folder


def test_tensors_become_scans(source: Path, command: Command, tmp_path: Path) -> None:
    options = ["--repetition-time", 0.72, "--voxel-size", "2, 2.5, 3", "--axis-codes", "LAS"]
    result = command("convert-scans", source, tmp_path / "scans", *options)
    assert result.exit_code == 0, result.output
    assert "2 scans converted, 0 were there" in result.output
    (path,) = (tmp_path / "scans").rglob("sub-100206*_bold.nii.gz")
    image = nib.load(path)
    assert image.shape == (*SHAPE, FRAMES)
    np.testing.assert_allclose(image.header.get_zooms(), (2, 2.5, 3, 0.72), rtol=1e-6)
    assert nib.aff2axcodes(image.affine) == ("L", "A", "S")
    stored = torch.load(source / "100206.pt", weights_only=True).numpy()[:, 0]
    np.testing.assert_array_equal(np.moveaxis(image.get_fdata(dtype=np.float32), -1, 0), stored)
    again = command("convert-scans", source, tmp_path / "scans", *options)
    assert "0 scans converted, 2 were there" in again.output


def test_a_tensor_that_is_none_is_left_out_and_told(source: Path, command: Command, tmp_path: Path) -> None:
    (source / "100206.pt").write_bytes(b"no tensor")
    result = command("convert-scans", source, tmp_path / "scans", "--repetition-time", 0.72)
    assert result.exit_code == 1
    assert "1 scans converted" in result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("Left out: ")]
    assert "100206.pt" in line


@pytest.mark.parametrize("text", ["2", "2,2", "a,b,c", "2,2,2,2"])
def test_a_voxel_size_that_is_none(source: Path, command: Command, tmp_path: Path, text: str) -> None:
    result = command("convert-scans", source, tmp_path / "out", "--repetition-time", 1, "--voxel-size", text)
    assert result.exit_code == 1
    assert f"--voxel-size: found '{text}', expected three numbers such as 2,2,2" in result.stderr
    assert not (tmp_path / "out").exists()
