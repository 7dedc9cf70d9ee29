"""Commands in processes of their own that are forked from this one: without the seconds that its imports took."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from monai_tff.cli.app import main


def _become(arguments: list[str], stdout: Path, stderr: Path) -> None:
    """Is `python -m monai_tff ...`, in a process group of its own as a shell makes one."""
    os.setsid()
    for number, file in ((1, stdout), (2, stderr)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    # what pytest has to do with logs, and the server of worker processes of the tests, are not this command's
    logging.root.handlers.clear()
    forkserver._forkserver.__init__()  # type: ignore[attr-defined,misc]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["monai_tff", *arguments]
    main()


@pytest.fixture
def forked(tmp_path: Path) -> Callable[..., BaseProcess]:
    """Starts a command: forked("prepare", ...) leads a process group and writes `stdout` and `stderr` in tmp_path."""
    # what commands import at their first use, imported before the fork
    import monai_tff.data.prepare
    import monai_tff.data.quality  # noqa: F401

    # one for the tests and what they fork, so that the children of a command are its workers alone
    resource_tracker.ensure_running()

    def start(*arguments: object) -> BaseProcess:
        words = [str(argument) for argument in arguments]
        files = tmp_path / "stdout", tmp_path / "stderr"
        for file in files:
            file.touch()
        process = multiprocessing.get_context("fork").Process(target=_become, args=(words, *files))
        process.start()
        return process

    return start
