"""Files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_tff.handlers.files import replaced_file


def test_takes_the_place_of_the_old_file_and_makes_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    for text in (b"first", b"second"):
        with replaced_file(path) as file:
            file.write(text)
    assert path.read_bytes() == b"second"
    assert [found.name for found in path.parent.iterdir()] == ["table.csv"]


def test_keeps_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b"old")

    def write() -> None:
        with replaced_file(path) as file:
            file.write(b"ne")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write()
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["table.csv"]
