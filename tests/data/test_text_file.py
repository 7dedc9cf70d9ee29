from __future__ import annotations

import os
from pathlib import Path

import pytest

from monai_tff.data.text_file import write_text
from monai_tff.errors import DatalistError


def test_a_file_is_written_whole_with_its_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.csv"
    write_text(path, "first\n")
    write_text(path, "a\r\nü\n")
    assert path.read_bytes() == "a\r\nü\n".encode()
    assert os.listdir(path.parent) == ["file.csv"]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.csv"
    write_text(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DatalistError, match=r"file\.csv: cannot be written \(No space left on device\)"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.csv"]
