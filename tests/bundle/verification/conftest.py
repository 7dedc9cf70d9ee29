"""Exports of the three phases and the three kinds of target, made once for all tests of verification."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_tff.bundle.export import Details, export_run

PHASES = ("autoencoder", "transformer", "sex", "age", "site")


@pytest.fixture(scope="session")
def exports(runs: Any, finetuned: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Folder and .zip of an export: exports("sex")."""
    folders = {"autoencoder": runs.autoencoder, "transformer": runs.transformer, **finetuned}
    out = tmp_path_factory.mktemp("exports")
    made: dict[str, Any] = {}

    def exported(name: str) -> Any:
        if name not in made:
            made[name] = export_run(folders[name], out, Details(name=f"tff_{name}"), say=lambda _: None)
        return made[name]

    return exported


@pytest.fixture
def bundle(exports: Callable[[str], Any], tmp_path: Path) -> Path:
    """A copy of an exported bundle, to be changed."""
    return shutil.copytree(exports("sex").folder, tmp_path / "bundle")
