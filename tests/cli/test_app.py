from __future__ import annotations

import resource
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from monai_tff import __version__
from monai_tff.cli.app import COMMANDS, build_app, main
from monai_tff.errors import ScanError

SENTENCE = "scan.nii.gz: found 3 dimensions, expected 4; use a 4D scan."


def command_line(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "monai_tff", *arguments], capture_output=True, text=True, cwd=folder, check=False
    )


def wrapped_scan_error() -> None:
    try:
        raise ScanError("scan.nii.gz: found 3 dimensions,\n  expected 4; use a 4D scan.")
    except ScanError as error:
        raise RuntimeError("applying transform <object>") from error


def bug() -> None:
    raise KeyError("a bug")


def interrupt() -> None:
    raise KeyboardInterrupt


def leave() -> None:
    try:
        raise ScanError("was dealt with")
    except ScanError:
        raise typer.Exit(7) from None


def invoke(*arguments: str) -> Result:
    """Runs the real application with four commands more, which fail each in its own way."""
    app = build_app()
    for command in (wrapped_scan_error, bug, interrupt, leave):
        app.command(command.__name__)(command)
    return CliRunner().invoke(app, list(arguments))


def test_help_names_every_command_and_answers_at_once(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = command_line("--help", folder=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run.returncode == 0, run.stderr
    assert [name for name in COMMANDS if name not in run.stdout] == []
    # Processor time, because other processes may share the cores; importing torch and monai alone takes more.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3.0


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert f"{command} [OPTIONS]" in result.stdout


def test_without_a_command_the_help_is_shown() -> None:
    assert "Usage" in invoke().output


def test_version(tmp_path: Path) -> None:
    run = command_line("--version", folder=tmp_path)
    assert (run.returncode, run.stdout) == (0, f"monai_tff {__version__}\n")


def test_the_console_script_is_the_same_command_line() -> None:
    (script,) = entry_points(group="console_scripts", name="monai_tff")
    assert script.load() is main


@pytest.mark.parametrize(("arguments", "named"), [(["predct"], "predct"), (["--no-such-option"], "--no-such-option")])
def test_what_is_misspelt_is_named(arguments: list[str], named: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert named in result.stderr


def test_a_user_error_is_one_sentence_and_exit_code_1() -> None:
    result = invoke("wrapped_scan_error")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"error: {SENTENCE}\n")


def test_a_user_error_of_a_real_command_shows_no_traceback(tmp_path: Path) -> None:
    run = command_line("datalist", "no_such_cohort", "--target", "sex", folder=tmp_path)
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("error: ")
    assert "no_such_cohort" in line
    assert list(tmp_path.iterdir()) == []


def test_debug_keeps_the_traceback() -> None:
    result = invoke("--debug", "wrapped_scan_error")
    assert result.exit_code == 1
    assert isinstance(result.exception, RuntimeError)
    assert "error: " not in result.stderr


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    assert isinstance(invoke("bug").exception, KeyError)


def test_ctrl_c_exits_as_shells_expect() -> None:
    result = invoke("interrupt")
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_a_command_chooses_its_own_exit_code() -> None:
    assert invoke("leave").exit_code == 7
