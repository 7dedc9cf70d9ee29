"""Checkpoint files on disks that are full, and files that are no checkpoints."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monai_tff.errors import ConfigError, WeightsError
from monai_tff.handlers.checkpoint_files import (
    LAST_KEYS,
    not_finite,
    plain_state,
    read_checkpoint,
    restore,
    write_checkpoint,
)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow beyond 50 kB, which the system reports as it reports a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _whole() -> dict[str, Any]:
    return {key: 0 for key in LAST_KEYS}


def test_full_disk_keeps_the_old_file(tmp_path: Path, small_disk: None) -> None:
    path = tmp_path / "last.pt"
    write_checkpoint(path, {"epoch": 1})
    with pytest.raises(
        ConfigError, match=r"last\.pt: could not be written \(File too large\), expected room.* is kept"
    ):
        write_checkpoint(path, {"epoch": 2, "model": torch.zeros(100_000)})
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert [found.name for found in tmp_path.iterdir()] == ["last.pt"]


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(ConfigError, match=r"models/last\.pt: could not be written \("):
        write_checkpoint(tmp_path / "models" / "last.pt", {"epoch": 1})


def _spoilt() -> list[Any]:
    generator = np.random.default_rng(0)
    texts = [b"", b"not a checkpoint", b"PK\x03\x04 torn", b"\x80\x02}q\x00."]
    return [*texts, *(generator.bytes(200) for _ in range(8))]


@pytest.mark.parametrize("content", _spoilt())
def test_files_that_are_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"last\.pt: (cannot be read|lacks model).*expected the checkpoint of a run"):
        read_checkpoint(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_checkpoint(tmp_path: Path, share: float) -> None:
    path = tmp_path / "last.pt"
    write_checkpoint(path, {**_whole(), "model": {"weight": torch.randn(500)}})
    assert read_checkpoint(path)["epoch"] == 0
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(WeightsError, match=r"last\.pt: cannot be read \(.+\), expected.*move it away"):
        read_checkpoint(path)


def test_missing_parts_are_named(tmp_path: Path) -> None:
    torch.save({"model": {}, "epoch": 3}, tmp_path / "last.pt")
    with pytest.raises(WeightsError, match="lacks optimizer, learning_rate, iteration, contract"):
        read_checkpoint(tmp_path / "last.pt")


def test_plain_state_is_read_without_pickle(tmp_path: Path) -> None:
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=9)
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = {"a": optimizer.state_dict(), "b": schedule.state_dict(), "c": np.float64(2.5), "d": (1, [None, "x"])}
    write_checkpoint(tmp_path / "x.pt", plain_state(state))
    found = torch.load(tmp_path / "x.pt", weights_only=True)
    assert found["c"] == 2.5
    assert found["d"] == (1, [None, "x"])
    optimizer.load_state_dict(found["a"])
    schedule.load_state_dict(found["b"])


def test_what_cannot_be_read_back_is_not_written() -> None:
    with pytest.raises(TypeError, match="cannot hold a function"):
        plain_state({"lr_scheduler": {"lambdas": [_whole]}})


def test_first_place_that_is_not_finite() -> None:
    fine = {"epoch": 1, "model": {"weight": torch.ones(2), "count": torch.ones(1, dtype=torch.long)}}
    assert not_finite(fine) is None
    assert not_finite({**fine, "optimizer": {"state": [torch.tensor([1.0, -torch.inf])]}}) == "optimizer.state.0"


def test_part_without_a_state(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds no state for 'scaler'"):
        restore(tmp_path / "last.pt", {"model": {}}, {"scaler": torch.nn.Linear(1, 1)})
