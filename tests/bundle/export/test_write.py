"""Run folders of every kind become bundles, whole or not at all."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from monai_tff.bundle import layout
from monai_tff.bundle.export import Details, Exported, export_run

KINDS = ("sex", "age", "site", "transformer", "autoencoder")


@pytest.fixture(scope="module")
def exports(runs: Any, finetuned: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """An export of every kind of run, by target or phase."""
    folders = {**finetuned, "transformer": runs.transformer, "autoencoder": runs.autoencoder}
    out = tmp_path_factory.mktemp("exports")
    return {kind: export_run(folders[kind], out, Details(f"small_{kind}"), say=lambda line: None) for kind in KINDS}


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_holds_every_file_and_its_hash(kind: str, exports: dict[str, Exported]) -> None:
    folder = exports[kind].folder
    assert files_of(folder) == {*layout.REQUIRED, *layout.OPTIONAL}
    hashes = layout.read_manifest(folder)
    assert set(hashes) == files_of(folder) - {layout.MANIFEST}
    assert [name for name, value in hashes.items() if layout.sha256_of(folder / name) != value] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_archive_holds_the_folder(kind: str, exports: dict[str, Exported]) -> None:
    folder, archive = exports[kind].folder, exports[kind].archive
    assert archive.name == f"small_{kind}_v0.1.0.zip"
    with zipfile.ZipFile(archive) as packed:
        assert packed.testzip() is None
        assert set(packed.namelist()) == {f"{folder.name}/{name}" for name in files_of(folder)}
        assert packed.read(f"{folder.name}/{layout.MANIFEST}") == (folder / layout.MANIFEST).read_bytes()
