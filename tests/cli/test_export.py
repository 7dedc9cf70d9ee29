"""The command `export`: options, what it prints, and one sentence for what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from monai_tff.bundle import layout


def test_export(runs: Any, command: Callable[..., Any], tmp_path: Path) -> None:
    licence = tmp_path / "terms.txt"
    licence.write_text("Ask the penguins.\n", encoding="utf-8")
    out = tmp_path / "out"
    said = ["--version", "1.2.0", "--changelog", "Better.", "--authors", "Ada", "--copyright", "Copyright (c) Ada"]
    said += ["--description", "Frames.", "--cohort-name", "Penguins", "--data-license", licence, "--inference-only"]
    result = command("export", runs.autoencoder, "--name", "small", "--out", out, *said)
    assert result.exit_code == 0, result.output
    folder = out / "small"
    assert f"Next: python -m monai_tff verify {folder}" in result.output
    assert f"MB  {out / 'small_v1.2.0.zip'}" in result.output
    assert all(str(folder / name) in result.output for name in layout.REQUIRED)
    metadata = json.loads((folder / layout.METADATA).read_text(encoding="utf-8"))
    assert (metadata["version"], metadata["changelog"]) == ("1.2.0", {"1.2.0": "Better."})
    assert (metadata["authors"], metadata["description"]) == ("Ada", "Frames.")
    assert metadata["data_source"] == "Penguins"
    assert (folder / layout.DATA_LICENSE).read_text(encoding="utf-8") == "Ask the penguins.\n"


def test_one_sentence_for_what_goes_wrong(runs: Any, command: Callable[..., Any], tmp_path: Path) -> None:
    result = command("export", runs.folder, "--name", "small", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {runs.folder}: holds the phases autoencoder, transformer, finetune")
    assert result.stderr.count("\n") == 1
    missing = tmp_path / "terms.txt"
    options = ["--name", "small", "--out", tmp_path / "out", "--data-license", missing]
    assert f"--data-license {missing}: cannot be read" in command("export", runs.finetune, *options).stderr
    assert not (tmp_path / "out").exists()
