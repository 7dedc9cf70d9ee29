"""Frames that are spilled to a file are those that were added, whatever joined when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from monai_tff.data.frames import StoredFrames
from monai_tff.data.spill import Spill, open_rows
from monai_tff.errors import ScanError

GRID = (4, 5, 3)
SIZE = 60


def frames(dtype: str = "<i2", background: int = 0) -> np.ndarray:
    """[9, 60]: columns 0-19 never have signal, 20-39 from frame 5 on, 40-59 always, but for one element."""
    values = np.random.default_rng(4).integers(1, 900, (9, SIZE)) + background
    values[:, :20] = background
    values[:5, 20:40] = background
    values[7, 45] = background
    return values.astype(dtype)


def spilled(path: Path, values: np.ndarray, columns: np.ndarray | None, background: float | None, run: int) -> Spill:
    spill = Spill(path, values.dtype, SIZE, columns, background)
    for start in range(0, len(values), run):
        spill.add(values[start : start + run])
    return spill


@pytest.mark.parametrize("run", [1, 4, 9])
@pytest.mark.parametrize(("dtype", "background"), [("<i2", 0), (">i2", -7), ("<f4", 0), ("|u1", 0)])
def test_columns_join_when_they_have_signal(tmp_path: Path, run: int, dtype: str, background: int) -> None:
    values = frames(dtype, background)
    with spilled(tmp_path / "spill", values, None, background, run) as spill:
        wanted = np.array([45, 3, 22, 59, 20, 0])
        assert np.array_equal(spill.taker(wanted)(slice(2, 8)), values[2:8][:, wanted])
        assert np.array_equal(spill.taker(None)(slice(0, 9)), values)
        assert spill.taker(wanted)(slice(0, 1)).dtype == np.dtype(dtype).newbyteorder("=")
        assert np.array_equal(spill.nonzero(background), (values != background).any(0))
        # what never has signal takes no space
        assert (tmp_path / "spill").stat().st_size <= 9 * 40 * values.itemsize
    assert list(tmp_path.iterdir()) == []


def test_given_columns_are_kept_in_their_order(tmp_path: Path) -> None:
    values, columns = frames(), np.array([50, 2, 30])
    with spilled(tmp_path / "spill", values, columns, 0, 4) as spill:
        assert np.array_equal(spill.taker(columns)(slice(None)), values[:, columns])
        assert np.array_equal(spill.taker(np.array([30, 50]))(slice(3, 9)), values[3:9][:, [30, 50]])
        assert (tmp_path / "spill").stat().st_size == values[:, columns].nbytes


def test_without_a_background_every_column_is_kept(tmp_path: Path) -> None:
    values = frames()
    with spilled(tmp_path / "spill", values, None, None, 4) as spill:
        assert spill.nonzero(None).all()
        assert np.array_equal(spill.taker(None)(slice(None)), values)


@pytest.mark.parametrize("dtype", [">i2", "<f4"])
def test_an_uncompressed_scan_is_read_where_it_lies(tmp_path: Path, dtype: str) -> None:
    values = frames(dtype)
    (tmp_path / "scan").write_bytes(bytes(13) + values.tobytes())
    with open_rows(tmp_path / "scan", values.dtype, SIZE, 9, 13) as rows:
        rows.note_signal(values, 0)
        stored = StoredFrames.from_rows(rows, (9, *GRID), slope=2.0, intercept=0.0)
        voxels = torch.tensor([59, 0, 31])
        found = stored.reader(voxels)(slice(4, 9))
        assert np.array_equal(found, 2.0 * values.reshape(9, *GRID, order="F").reshape(9, -1)[4:9][:, voxels.numpy()])
        assert torch.equal(stored.nonzero().permute(2, 1, 0).reshape(-1), torch.from_numpy((values != 0).any(0)))
    assert (tmp_path / "scan").exists()


def test_a_file_that_shrank_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scan").write_bytes(frames().tobytes()[:-1])
    with (
        open_rows(tmp_path / "scan", np.dtype("<i2"), SIZE, 9, 0) as rows,
        pytest.raises(ScanError, match=r"scan: ends too early, expected 9 frames"),
    ):
        rows.taker(None)(slice(0, 9))


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), spilled(tmp_path / "spill", frames(), None, 0, 4):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
