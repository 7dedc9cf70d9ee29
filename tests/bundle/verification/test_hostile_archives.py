"""Hostile .zip files of a bundle: nothing of one is unpacked, nothing outside is written, and the commands say why."""

from __future__ import annotations

import importlib.util
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from monai_tff.bundle.verification import opened_bundle, refuse_unsafe
from monai_tff.errors import BundleError

Command = Callable[..., Result]

spec = importlib.util.spec_from_file_location("hostile_cases", Path(__file__).with_name("hostile_cases.py"))
assert spec is not None
assert spec.loader is not None
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)
canary, good, make = cases.canary, cases.good, cases.make
CASES = cases.CASES
ARCHIVES, BYTES = cases.load("hostile_archives").ARCHIVES, cases.load("hostile_archives").BYTES


@pytest.fixture
def archive(exports: Callable[[str], Any], tmp_path: Path) -> Path:
    return Path(shutil.copy(exports("sex").archive, tmp_path / "good.zip"))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files: `../canary` of it is the canary."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def assert_refused(archive: Path, temporary: Path, canary: Any, command: Command, scans: Path) -> None:
    """Nothing is opened, nothing is left behind, and the commands say so in one line."""
    with pytest.raises(BundleError) as refused, opened_bundle(archive):
        pass
    assert str(refused.value).isprintable()
    assert list(temporary.iterdir()) == []
    result = command("predict", archive, scans, "--output-dir", temporary.parent / "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {archive}: ")
    assert len(result.stderr.splitlines()) == 1
    result = command("verify", archive)
    assert result.exit_code == 1
    assert f"{'archive':12} 1 finding(s)" in result.stdout
    assert not canary.touched
    assert list(temporary.iterdir()) == []


def test_the_good_archive_is_good(archive: Path, temporary: Path) -> None:
    assert len(ARCHIVES) + len(BYTES) >= 40
    with opened_bundle(archive) as folder:
        refuse_unsafe(folder)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_hostile_archive_is_refused(
    name: str, archive: Path, temporary: Path, canary: Any, command: Command, cohort: Any
) -> None:
    write, bites = ARCHIVES[name]
    with zipfile.ZipFile(archive, "a") as content:
        write(content, canary)
    assert_refused(archive, temporary, canary, command, cohort.folder)
    if bites:
        cases.uses.unzip(archive, temporary)
        assert canary.touched


@pytest.mark.parametrize("name", BYTES)
def test_a_damaged_archive_is_refused(
    name: str, archive: Path, temporary: Path, canary: Any, command: Command, cohort: Any
) -> None:
    archive.write_bytes(BYTES[name](archive.read_bytes()))
    assert_refused(archive, temporary, canary, command, cohort.folder)


@pytest.mark.parametrize("name", ["expression_in_initialize", "file_torch.py", "hash_of_another_config"])
def test_a_hostile_bundle_in_a_good_archive_is_refused(
    name: str, make: Callable[[str], Path], canary: Any, command: Command, cohort: Any, tmp_path: Path
) -> None:
    bundle = make(name)
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", bundle.parent, bundle.name))
    result = command("predict", packed, cohort.folder, "--output-dir", tmp_path / "out")
    assert result.exit_code == 1
    assert any(f"rule '{rule}'" in result.stderr for rule in CASES[name].rules)
    assert command("verify", packed).exit_code == 1
    assert not canary.touched
