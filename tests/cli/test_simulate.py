"""`monai_tff simulate`: options reach the cohort, help, wrong options."""

from __future__ import annotations

import dataclasses
import inspect
import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from monai_tff.cli.simulate import simulate
from monai_tff.data.simulation.options import SimulationOptions
from monai_tff.errors import ConfigError, DatalistError

TINY = ["--subjects", "4", "--voxel-size", "20", "--frames", "6"]


def invoke(*arguments):
    app = typer.Typer()
    app.command()(simulate)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_options_reach_the_cohort(tmp_path):
    folder = tmp_path / "cohort"
    options = ["--sessions", 2, "--sites", 2, "--family-size", 2, "--seed", 7, "--site-gain", 1, "--site-gain", 2]
    effects = ["--effect", "sex:regional_mean:30%", "--effect", "diagnosis:network_coupling:1.0"]
    result = invoke(folder, *TINY, *options, *effects, "--effect", "sex:network_amplitude:1", "--no-masks")
    assert result.exit_code == 0, result.output
    assert "8 simulated scans of 4 subjects" in result.stdout
    assert "8 x 10 x 9 voxels" in result.stdout
    simulation = json.loads((folder / "simulation.json").read_text())
    planted = {(one["target"], one["kind"]): one["cohens_d"] for one in simulation["planted"]}
    assert planted[("sex", "regional_mean")] == pytest.approx(3.0, abs=0.01)
    assert planted[("diagnosis", "network_coupling")] == 1.0
    assert planted[("sex", "network_amplitude")] == 1.0
    found = simulation["options"]
    assert (found["num_sessions"], found["num_sites"], found["family_size"], found["seed"]) == (2, 2, 2, 7)
    assert found["site_gains"] == [1.0, 2.0]
    assert not list(folder.rglob("*_mask.nii.gz"))


def test_a_null_cohort_is_called_that(tmp_path):
    assert "planted: nothing (a null cohort)" in invoke(tmp_path / "cohort", *TINY).stdout


def test_defaults_are_those_of_the_options():
    renamed = {name.removeprefix("num_"): name for name in ("num_subjects", "num_frames", "num_sessions", "num_sites")}
    renamed |= {
        "site_gain": "site_gains",
        "site_repetition_time": "site_repetition_times",
        "effect": "effects",
        "confound": "confounds",
    }
    parameters = {
        renamed.get(name, name): parameter.default for name, parameter in inspect.signature(simulate).parameters.items()
    }
    assert set(parameters) - {"folder", "overwrite"} == {field.name for field in dataclasses.fields(SimulationOptions)}
    for field in dataclasses.fields(SimulationOptions):
        if field.name not in ("effects", "confounds"):
            assert parameters[field.name] == field.default


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--subjects", "1"], ConfigError, "num_subjects is 1"),
        (["--voxel-size", "-12"], ConfigError, "voxel_size is -12"),
        (["--effect", "sex:smile:1"], ConfigError, "effect kind is 'smile'"),
        (["--storage", "int8"], ConfigError, "storage is 'int8'"),
    ],
)
def test_wrong_options_reach_the_user_as_one_sentence(tmp_path, arguments, error, message):
    result = invoke(tmp_path / "cohort", *arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_overwrite(tmp_path):
    assert invoke(tmp_path / "cohort", *TINY).exit_code == 0
    assert isinstance(invoke(tmp_path / "cohort", *TINY).exception, DatalistError)
    assert invoke(tmp_path / "cohort", *TINY, "--overwrite").exit_code == 0


def test_the_command_loads_nothing_heavy():
    code = "import sys, monai_tff.cli.simulate; print([m for m in ('torch', 'monai', 'nilearn') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_what_spoils_a_cohort_is_said(tmp_path):
    options = ["--confound", "diagnosis:motion:3", "--confound", "diagnosis:site:2", "--sites", 2, "--leak", "sex"]
    result = invoke(tmp_path / "cohort", *TINY, *options)
    assert result.exit_code == 0, result.output
    assert "planted: diagnosis:motion:3, diagnosis:site:2, LABEL LEAK of sex" in " ".join(result.stdout.split())
    found = json.loads((tmp_path / "cohort" / "simulation.json").read_text())["options"]
    assert found["confounds"] == {"diagnosis": [{"kind": "motion", "size": 3.0}, {"kind": "site", "size": 2.0}]}
