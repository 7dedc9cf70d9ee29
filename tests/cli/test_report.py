from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result


@pytest.fixture
def folder(runs: Any, tmp_path: Path) -> Path:
    left_out = shutil.ignore_patterns("explain", "report.html")  # drawing brains takes seconds
    return Path(shutil.copytree(runs.finetune, tmp_path / "finetune", ignore=left_out))


def test_the_command_writes_the_file_and_says_where(command: Callable[..., Result], folder: Path) -> None:
    assert not (folder / "report.html").exists()
    result = command("report", folder, "--against", folder)
    assert result.exit_code == 0, result.output
    *_, headline, warnings, place = result.output.strip().splitlines()
    assert "sex" in headline
    assert warnings.startswith("warnings: ")
    assert int(warnings.split(";")[0].removeprefix("warnings: ")) > 0  # six test subjects are few
    assert place == f"report: {folder / 'report.html'}"
    assert "(difference 0.00" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_folder_that_holds_no_run_is_one_sentence(command: Callable[..., Result], tmp_path: Path) -> None:
    result = command("report", tmp_path)
    assert result.exit_code == 1
    assert result.output.startswith("error: ")
    assert len(result.output.strip().splitlines()) == 1
