from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monai_tff.bundle import folder_lock
from monai_tff.bundle.folder_lock import LOCK, hold_folder
from monai_tff.errors import ConfigError

# the module alone: its package takes seconds to import
HOLD = f"import pathlib, runpy, sys; runpy.run_path({folder_lock.__file__!r})['hold_folder'](pathlib.Path(sys.argv[1]))"
WAIT = "; print('held', flush=True); sys.stdin.read()"
FORK = "; import os; print(os.fork() or 'child', flush=True); sys.stdin.read()"


@pytest.fixture
def other(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder `run`, and its first line."""
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-c", HOLD + request.param, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
        process.kill()


@pytest.mark.parametrize("other", [WAIT], indirect=True)
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_folder_is_held_until_its_process_ends(end, other, tmp_path):
    sentence = f"{tmp_path / 'run'}: another process is training in this run folder, expected one at a time; wait"
    with pytest.raises(ConfigError, match="^" + re.escape(sentence)):
        hold_folder(tmp_path / "run")
    other.send_signal(end)
    other.wait()
    hold_folder(tmp_path / "run")


@pytest.mark.parametrize("other", [FORK], indirect=True)
def test_a_worker_that_outlives_its_parent_holds_nothing(other, tmp_path):
    other.kill()
    other.wait()
    hold_folder(tmp_path / "run")
    # the fork ends with its input
    assert other.stdin is not None
    other.stdin.close()


def test_a_process_may_hold_a_folder_again(tmp_path):
    hold_folder(tmp_path)
    hold_folder(tmp_path)
    refused = subprocess.run([sys.executable, "-c", HOLD, str(tmp_path)], capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "another process is training in this run folder" in refused.stderr
    assert (tmp_path / LOCK).read_bytes() == b""


def test_the_next_folder_sets_the_one_before_free(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        hold_folder(tmp_path / name)
    done = subprocess.run([sys.executable, "-c", HOLD, str(tmp_path / "first")], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_folder_that_cannot_be_written_to(tmp_path):
    with pytest.raises(OSError, match=LOCK):
        hold_folder(tmp_path / "missing")
