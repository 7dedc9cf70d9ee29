"""A Python that has imported MONAI, and forks a process for each call: the seconds of its imports are spent once.

What is called runs as in a Python of its own (module or script, arguments, folder, output, exit code), except that the
imports were made before. Tests of what happens at the start of a process start one.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

PRELOADED = ("monai.bundle", "monai_tff.bundle", "monai_tff.inferers", "tensorboard.summary.writer.event_file_writer")


class WarmPython:
    """The client: one server process, made at the first call, in the environment of that call.

    Args:
        python: the interpreter, this one by default.
    """

    def __init__(self, python: Path | str = sys.executable) -> None:
        self._python = str(python)
        self._server: subprocess.Popen[str] | None = None

    def __call__(
        self,
        *arguments: object,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Runs `-m MODULE ...`, `-c CODE ...` or `SCRIPT ...`; nothing is raised for a non-zero exit code."""
        variables = dict(os.environ if environment is None else environment)
        if self._server is None:
            command = [self._python, __file__]
            self._server = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables
            )
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        words = [str(argument) for argument in arguments]
        with tempfile.TemporaryDirectory() as outputs:
            files = [str(Path(outputs) / name) for name in ("stdout", "stderr")]
            call = {"arguments": words, "folder": str(folder or Path.cwd()), "files": files, "variables": variables}
            self._server.stdin.write(json.dumps(call) + "\n")
            self._server.stdin.flush()
            clock = threading.Timer(timeout, os.kill, (int(self._server.stdout.readline()), 9))
            clock.start()
            code = int(self._server.stdout.readline())
            clock.cancel()
            stdout, stderr = (Path(file).read_text(encoding="utf-8") for file in files)
        return subprocess.CompletedProcess(words, code, stdout, stderr)

    def close(self) -> None:
        """Ends the server."""
        if self._server is not None:
            self._server.communicate()


def serve() -> None:
    """Reads calls from stdin, a line of JSON each; answers with the process and, when it has ended, its exit code."""
    for name in PRELOADED:
        __import__(name)
    for line in sys.stdin:
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            _become(json.loads(line))
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


def _become(call: dict[str, Any]) -> NoReturn:
    """Is the process of a call, to its end."""
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["variables"])
    for number, file in zip((0, 1, 2), (os.devnull, *call["files"]), strict=True):
        os.dup2(os.open(file, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT, 0o600), number)
    code = 0
    try:
        _run(call["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run(arguments: list[str]) -> None:
    if arguments[0] == "-m":
        sys.argv, sys.path[0] = arguments[1:], os.getcwd()
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments[0] == "-c":
        sys.argv, sys.path[0] = ["-c", *arguments[2:]], os.getcwd()
        exec(arguments[1], {"__name__": "__main__"})
    else:
        sys.argv, sys.path[0] = arguments, str(Path(arguments[0]).parent)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    serve()
