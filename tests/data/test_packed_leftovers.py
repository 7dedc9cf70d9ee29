from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

from monai_tff.data.packed_leftovers import OLD_SECONDS, partial_path, remove_leftovers


def leave_one(target: str, names: multiprocessing.Queue) -> None:
    path = partial_path(Path(target))
    path.touch()
    names.put(path.name)


def test_names_are_hidden_and_never_the_same(tmp_path: Path) -> None:
    names = {partial_path(tmp_path / ("x" * 240 + ".safetensors")).name for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith(".x") and name.endswith(".partial") and len(name) <= 255 for name in names)


def test_what_a_dead_process_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    names = context.Queue()
    (tmp_path / "sub").mkdir()
    process = context.Process(target=leave_one, args=(str(tmp_path / "sub" / "scan"), names))
    process.start()
    dead = tmp_path / "sub" / names.get(timeout=30)
    process.join()
    own = partial_path(tmp_path / "scan")
    other = tmp_path / ".mine.partial"
    for path in (own, other):
        path.touch()
    assert dead.exists()
    assert remove_leftovers(tmp_path) == 1
    assert not dead.exists()
    assert own.exists()
    assert other.exists()


def test_what_another_machine_left_goes_after_a_day(tmp_path: Path) -> None:
    far = tmp_path / f".scan.00000000-{os.getpid()}-0123abcd.partial"
    far.touch()
    written = far.stat().st_mtime
    assert remove_leftovers(tmp_path, now=written + OLD_SECONDS - 1) == 0
    assert remove_leftovers(tmp_path, now=written + OLD_SECONDS + 1) == 1
    assert remove_leftovers(tmp_path / "not there") == 0
