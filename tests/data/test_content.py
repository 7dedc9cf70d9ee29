"""The same voxels have the same content hash, whatever file they are in; other voxels have another."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_tff.data.content import VoxelHash, content_hash, content_hashes
from monai_tff.data.header import read_header
from monai_tff.data.stream import stored_runs
from monai_tff.errors import ScanError

VOXELS = np.random.default_rng(3).integers(-500, 3000, (7, 8, 9, 5)).astype("<i2")


def write(path: Path, voxels: np.ndarray = VOXELS, slope: float | None = None, kind: Any = nib.Nifti1Image) -> Path:
    header = kind.header_class(endianness=">" if voxels.dtype.str.startswith(">") else "<")
    image = kind(voxels, np.diag([3.0, 3.0, 4.0, 1.0]), header, dtype=voxels.dtype)
    image.header.set_slope_inter(slope, None if slope is None else 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.to_filename(path)
    return path


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_the_hash_of_the_voxel_bytes_in_file_order(tmp_path: Path) -> None:
    expected = hashlib.sha256(VOXELS.tobytes(order="F")).hexdigest()
    assert content_hash(write(tmp_path / "a_bold.nii.gz")) == expected
    assert content_hash(write(tmp_path / "b_bold.nii")) == expected
    scaled = write(tmp_path / "c_bold.nii.gz", slope=0.5)
    assert not np.array_equal(nib.load(scaled).get_fdata(), VOXELS)
    assert content_hash(scaled, read_header(scaled)) == expected
    assert content_hash(write(tmp_path / "d_bold.nii.gz", kind=nib.Nifti2Image)) == expected


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4", "u1"])
def test_runs_of_any_length_add_up(tmp_path: Path, dtype: str) -> None:
    path = write(tmp_path / "a_bold.nii.gz", VOXELS.astype(dtype))
    header = read_header(path)
    found = set()
    for run_bytes in (1, 3 * 7 * 8 * 9 * header.dtype.itemsize, 2**20):
        voxels = VoxelHash()
        for run in stored_runs(path, header, run_bytes):
            voxels.update(run)
        found.add(voxels.hexdigest())
    assert found == {hashlib.sha256(VOXELS.astype(dtype).tobytes(order="F")).hexdigest()}


def test_one_voxel_makes_another_hash(tmp_path: Path) -> None:
    edited = VOXELS.copy()
    edited[6, 7, 8, 4] += 1
    assert content_hash(write(tmp_path / "a.nii.gz")) != content_hash(write(tmp_path / "b.nii.gz", edited))


@pytest.mark.parametrize("workers", [None, 1, 3])
def test_many_scans_keep_their_order_and_errors_their_place(tmp_path: Path, workers: int | None) -> None:
    paths = [write(tmp_path / f"{i}" / "bold.nii.gz", VOXELS + np.int16(i)) for i in range(5)]
    truncated = tmp_path / "truncated.nii.gz"
    truncated.write_bytes(paths[0].read_bytes()[:-200])
    asked = [paths[3], truncated, *paths, tmp_path / "absent.nii.gz", paths[3]]
    found = content_hashes(asked, workers=workers, cache=None)
    expected = [content_hash(path) for path in paths]
    assert [found[0], *found[2:7], found[8]] == [expected[3], *expected, expected[3]]
    assert isinstance(found[1], ScanError)
    assert isinstance(found[7], ScanError)
    assert str(found[1]).startswith(f"{truncated}: the voxels cannot be read")
    assert str(found[7]).startswith(f"{tmp_path}/absent.nii.gz: there is no such file")


def test_an_error_names_the_path_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (error,) = content_hashes(["absent.nii.gz"])
    assert str(error).startswith("absent.nii.gz: there is no such file")


def test_progress_is_shown_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.nii.gz")
    content_hashes([path], cache=None)
    assert capsys.readouterr() == ("", "")
    content_hashes([path, tmp_path / "absent.nii"], cache=None, progress=True)
    assert capsys.readouterr().out == ""


def spoil(path: Path) -> None:
    """Voxels that are not those that were hashed, in a file that looks the same from outside as far as can be set."""
    facts = path.stat()
    with open(path, "r+b") as file:
        file.seek(400)
        file.write(b"\xff\xff\xff\xff")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_a_scan_that_did_not_change_is_not_read_again(
    tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write(tmp_path / f"{i}.nii", VOXELS + np.int16(i)) for i in range(3)]
    first = content_hashes(paths)
    assert (cache_home / "monai_tff" / "content.sqlite3").is_file()
    os.symlink(paths[0], tmp_path / "link.nii")
    with monkeypatch.context() as patched:
        patched.setattr("monai_tff.data.content.stored_runs", None)
        assert content_hashes([*paths, tmp_path / "link.nii"]) == [*first, first[0]]
    spoil(paths[1])
    again = content_hashes(paths)
    assert again == [first[0], content_hash(paths[1]), first[2]]
    assert again[1] != first[1]


def test_errors_are_not_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nii.gz")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert isinstance(content_hashes([path])[0], ScanError)
    path.write_bytes(whole)
    assert content_hashes([path]) == [content_hash(path)]


def test_a_file_written_to_while_it_is_hashed_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.nii")

    def written_meanwhile(path: str, header: Any) -> Any:
        yield from stored_runs(path, header)
        with open(path, "ab") as file:
            file.write(b"more")

    with monkeypatch.context() as patched:
        patched.setattr("monai_tff.data.content.stored_runs", written_meanwhile)
        content_hashes([path])
    write(path, VOXELS + np.int16(1))
    assert content_hashes([path]) == [content_hash(path)]


@pytest.mark.parametrize("obstacle", ["a file in place of the folder", "no database", "a database of something else"])
def test_a_cache_that_cannot_be_used_is_no_error(
    obstacle: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "folder" / "content.sqlite3"
    if obstacle == "a file in place of the folder":
        cache.parent.write_text("")
    else:
        cache.parent.mkdir()
        cache.write_text("no database" * 100)
    if obstacle == "a database of something else":
        cache.unlink()
        with sqlite3.connect(cache) as connection:
            connection.execute("CREATE TABLE content (other TEXT)")
    path = write(tmp_path / "a.nii.gz")
    assert content_hashes([path, path], cache=cache) == [content_hash(path)] * 2
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"{cache}: the cache of content hashes cannot be used (")


def test_several_processes_share_a_cache(tmp_path: Path, cache_home: Path) -> None:
    paths = [str(write(tmp_path / f"{i}.nii", VOXELS + np.int16(i))) for i in range(40)]
    code = (
        "import sys; from monai_tff.data.content import content_hashes; "
        "print(*content_hashes(sys.argv[1:], workers=2), sep='\\n')"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, *order], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for order in (paths, paths[::-1])
    ]
    outputs = [run.communicate(timeout=60) for run in runs]
    expected = [content_hash(path) for path in paths]
    assert outputs[0] == ("\n".join(expected) + "\n", "")
    assert outputs[1] == ("\n".join(expected[::-1]) + "\n", "")
    with sqlite3.connect(cache_home / "monai_tff" / "content.sqlite3") as cache:
        assert {row[0] for row in cache.execute("SELECT hash FROM content")} == set(expected)
