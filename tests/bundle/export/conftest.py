"""Exports of every kind of run, made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monai_tff.bundle.export import Details, Exported, export_run


@pytest.fixture(scope="session")
def exports(runs: Any, finetuned: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """An export of every kind of run, by target or phase."""
    folders = {**finetuned, "transformer": runs.transformer, "autoencoder": runs.autoencoder}
    out = tmp_path_factory.mktemp("exports")
    return {
        kind: export_run(run, out, Details(f"small_{kind}"), say=lambda line: None) for kind, run in folders.items()
    }
