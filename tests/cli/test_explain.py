from __future__ import annotations

import json
import shutil

import typer
from typer.testing import CliRunner

from monai_tff.cli.explain import explain


def call(*arguments):
    app = typer.Typer()
    app.command()(explain)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_failed_check_is_a_warning_and_the_exit_code_0(runs, tmp_path):
    folder = tmp_path / "finetune"
    shutil.copytree(runs.finetune, folder)
    result = call(folder, "--subjects", 1, "--steps", 16, "--without-label-check", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "out" / "explain.json").read_text())
    assert (content["counts"]["subjects"], content["settings"]["steps"]) == (1, 16)
    # a network that has hardly been trained does not find the planted region
    assert "check planted_region: WARNING, failed" in result.output
    assert "check label_randomisation: not made: it was not wanted." in result.output
    assert f"maps, regions and checks: {tmp_path / 'out'}" in result.output
