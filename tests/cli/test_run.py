"""`monai_tff run`: its options; what it trains is tested with the run folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from monai_tff.cli.run_options import parse_overrides
from monai_tff.errors import ConfigError

DEMO = "monai_tff:configs/experiments/demo.yaml"
ALONE = [part for step in ("control", "baselines", "explain", "report") for part in ("--without", step)]
"""Nothing but phases and evaluation; what follows has tests of its own."""

Command = Callable[..., Result]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], {}),
        (["seed=3", "finetune:seed=4"], {"": {"seed": 3}, "finetune": {"seed": 4}}),
        (["learning_rate=1e-4"], {"": {"learning_rate": 1e-4}}),
        (["spatial_size=[8, 9, 10]", "crop=null"], {"": {"spatial_size": [8, 9, 10], "crop": None}}),
        (["amp=true", "tr_policy=allow"], {"": {"amp": True, "tr_policy": "allow"}}),
        (["device=$torch.device('cpu')"], {"": {"device": "$torch.device('cpu')"}}),
        (["optimizer#lr=1", "a="], {"": {"optimizer#lr": 1, "a": None}}),
        (["name=a=b"], {"": {"name": "a=b"}}),
    ],
)
def test_overrides(texts: list[str], expected: dict[str, Any]) -> None:
    assert parse_overrides(texts) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed", r"--set seed: expected \[PHASE:\]KEY=VALUE"),
        ("finetune:=3", r"--set finetune:=3: expected \[PHASE:\]KEY=VALUE"),
        ("seed=[1", r"--set seed=\[1: the value cannot be read"),
    ],
)
def test_overrides_that_are_wrong(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_overrides([text])


def test_one_phase_with_another_seed(
    runs: Any, cohort: Any, small: dict[str, Any], command: Command, tmp_path: Path
) -> None:
    """A phase alone, from weights that the user names; the evaluation of the last phase follows."""
    settings = [part for key, value in small.items() for part in ("--set", f"{key}={value}")]
    weights = runs.transformer / "models" / "model.pt"
    result = command(
        *("run", DEMO, "--phase", "finetune", "--run-dir", tmp_path, "--dataset-dir", cohort.folder),
        *("--datalist", cohort.datalists["sex"], *settings, "--set", f"finetune:initial_weights={weights}", *ALONE),
    )
    assert result.exit_code == 0, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["finetune"]
    assert (tmp_path / "finetune" / "evaluation" / "metrics.json").is_file()
    assert "phase 3 of 3: finetune" in result.output
    assert "phase 1" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such.yaml"], "no_such.yaml: there is no such config file"),
        ([DEMO, "--phase", "finetun"], "phase 'finetun': the experiment has no such phase"),
        ([DEMO, "--set", "finetun:seed=1"], "phase 'finetun': the experiment has no such phase"),
        ([DEMO, "--set", "seed"], "--set seed: expected [PHASE:]KEY=VALUE"),
        ([DEMO, "--set", "max_epochz=3"], "config key 'max_epochz': nothing in the configuration uses it"),
        (
            [DEMO, "--phase", "finetune", "--set", "spatial_size=[8, 10, 9]", "--set", "window_length=5"],
            "transformer/models/model.pt: there are no weights for phase 'finetune'",
        ),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str], message: str, cohort: Any, command: Command, tmp_path: Path
) -> None:
    places = ["--run-dir", tmp_path / "run", "--dataset-dir", cohort.folder, "--datalist", cohort.datalists["sex"]]
    result = command("run", *arguments, *places, *ALONE)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "run").exists()


def test_an_experiment_that_was_interrupted_is_continued(
    runs: Any, cohort: Any, small: dict[str, Any], command: Command, tmp_path: Path
) -> None:
    """Killed after the training of the last phase, and moved: nothing is trained again, the evaluation is made."""
    folder = Path(shutil.copytree(runs.folder, tmp_path / "moved"))
    (folder / "finetune" / "finished").unlink()
    shutil.rmtree(folder / "finetune" / "evaluation")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")}
    settings = [part for key, value in small.items() for part in ("--set", f"{key}={value}")]
    places = ["--run-dir", folder, "--dataset-dir", cohort.folder, "--datalist", cohort.datalists["sex"]]
    result = command("run", DEMO, *places, *settings, "--set", "autoencoder:window_length=1", "--resume", *ALONE)
    assert result.exit_code == 0, result.output
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")} == before
    files = [run / "finetune" / "evaluation" / "metrics.json" for run in (folder, runs.folder)]
    again, first = (json.loads(file.read_text()) for file in files)
    assert again.pop("ledger")["evaluations"] > first.pop("ledger")["evaluations"]
    assert again == first


def test_a_finished_phase_is_not_continued_with_other_settings(
    runs: Any, cohort: Any, small: dict[str, Any], command: Command
) -> None:
    settings = [part for key, value in small.items() for part in ("--set", f"{key}={value}")]
    places = ["--run-dir", runs.folder, "--dataset-dir", cohort.folder, "--datalist", cohort.datalists["sex"]]
    options = [*places, *settings, "--set", "autoencoder:window_length=1", "--set", "finetune:max_epochs=7", "--resume"]
    result = command("run", DEMO, *options, *ALONE)
    assert result.exit_code == 1
    assert "max_epochs was 2 when the run began, but is 7 now" in result.stderr
    assert f"{runs.folder / 'transformer'} is finished already" in result.output


def test_a_finished_run_is_not_overwritten(runs: Any, cohort: Any, small: dict[str, Any], command: Command) -> None:
    settings = [part for key, value in small.items() for part in ("--set", f"{key}={value}")]
    places = ["--run-dir", runs.folder, "--dataset-dir", cohort.folder, "--datalist", cohort.datalists["sex"]]
    result = command("run", DEMO, *places, *settings, "--set", "autoencoder:window_length=1", *ALONE)
    assert result.exit_code == 1
    assert "autoencoder: the run folder is not empty" in result.stderr
    assert "monai_tff run: --resume" in result.stderr


def test_a_folder_that_cannot_be_made(cohort: Any, small: dict[str, Any], command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = [part for key, value in small.items() for part in ("--set", f"{key}={value}")]
    places = [
        "--dataset-dir",
        cohort.folder,
        "--datalist",
        cohort.datalists["sex"],
        "--run-dir",
        tmp_path / "file" / "x",
    ]
    result = command("run", DEMO, *places, *settings, "--set", "autoencoder:window_length=1", *ALONE)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(
        f"error: {tmp_path / 'file' / 'x' / 'autoencoder'}: cannot be made ("
    )
