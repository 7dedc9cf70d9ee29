"""What follows the test numbers: which steps are made, what is said when one fails, and what the last lines are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import pytest
import torch.distributed as dist
from typer.testing import Result

from monai_tff.cli import evidence_steps
from monai_tff.cli.evidence_steps import closing_lines_of, has_numbers, run_steps
from monai_tff.cli.run_progress import MembersProgress
from monai_tff.errors import ScanError

DEMO = "monai_tff:configs/experiments/demo.yaml"
STEPS = ("control", "baselines", "explain", "report")


@pytest.fixture
def finetune(runs: Any, tmp_path: Path) -> Path:
    """A copy of a finished run that may be written into."""
    return Path(shutil.copytree(runs.finetune, tmp_path / "finetune"))


def test_the_control_is_made_once(finetune: Path) -> None:
    said: list[str] = []
    done = run_steps(finetune, ("baselines", "explain", "report"), said.append)
    assert (done.failures, done.report) == ([], None)
    assert said == [f"control of {finetune}"]
    path = finetune / "controls" / "shuffled_frames" / "predictions.csv"
    before = path.stat().st_mtime_ns
    assert run_steps(finetune, ("baselines", "explain", "report"), said.append).failures == []
    assert path.stat().st_mtime_ns == before


def test_all_may_be_left_out(finetune: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finetune.rglob("*")}
    done = run_steps(finetune, STEPS, pytest.fail)
    assert (done.failures, done.report) == ([], None)
    assert {path: path.stat().st_mtime_ns for path in finetune.rglob("*")} == before


def test_a_step_that_fails_does_not_stop_the_others(
    finetune: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user's fault is one sentence, another one shows where it comes from; torchrun's variables come back."""
    made: list[str] = []

    def control(folder: Path, say: Callable[[str], None]) -> None:
        made.append("control")
        try:
            raise ScanError("a.nii: is torn, expected a whole file; copy it again.")
        except ScanError as error:
            raise RuntimeError("of MONAI") from error

    def baselines(folder: Path, say: Callable[[str], None]) -> None:
        made.append(f"baselines {os.environ.get('WORLD_SIZE')}")
        raise KeyError("x")

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(evidence_steps, "_control", control)
    monkeypatch.setattr(evidence_steps, "_baselines", baselines)
    monkeypatch.setattr(evidence_steps, "_explain", lambda folder, say: made.append("explain"))
    monkeypatch.setattr(evidence_steps, "_report", lambda folder: folder / "report.html")
    done = run_steps(finetune, (), lambda line: None)
    assert made == ["control", "baselines None", "explain"]
    assert done.report == finetune / "report.html"
    assert done.failures == [
        "control: a.nii: is torn, expected a whole file; copy it again.",
        "baselines: KeyError: 'x' (the traceback is above)",
    ]
    assert os.environ["WORLD_SIZE"] == "2"
    assert "KeyError: 'x'" in capsys.readouterr().err


def test_the_first_of_several_processes_goes_on_alone(finetune: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a run under torchrun, whose group is closed: ignite has seen it, and the variables are still there."""
    for name, value in {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    store = dist.HashStore()
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    idist.sync()
    assert idist.backend() == "gloo"
    dist.destroy_process_group()
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = run_steps(finetune, ("baselines", "explain", "report"), lambda line: None)
    assert done.failures == []
    assert (finetune / "controls" / "shuffled_frames" / "metrics.json").is_file()
    assert (os.environ["WORLD_SIZE"], idist.backend()) == ("2", None)


def test_the_numbers_are_said_again(runs: Any) -> None:
    """The same lines that the evaluation ended with, but for how often the test set was used by then."""
    lines = [line for line in runs.result.stdout.splitlines() if line]
    found = closing_lines_of(runs.finetune)
    last = lines[-len(found) :]
    assert [line for line in found if not line.startswith("test set")] == [
        line for line in last if not line.startswith("test set")
    ]
    assert found[-1].startswith("test AUROC ")
    assert found[0] == f"predictions of 6 scoring units: {runs.finetune / 'evaluation' / 'predictions.csv'}"


def test_a_run_ends_with_its_numbers_and_its_report(
    runs: Any, cohort: Any, small: dict[str, Any], command: Callable[..., Result], tmp_path: Path
) -> None:
    """All steps but the maps, after a run that is finished already."""
    folder = Path(shutil.copytree(runs.folder, tmp_path / "sex"))
    settings = [part for key, value in small.items() for part in ("--set", f"{key}={value}")]
    places = ["--run-dir", folder, "--dataset-dir", cohort.folder, "--datalist", cohort.datalists["sex"]]
    options = [*places, *settings, "--set", "autoencoder:window_length=1", "--resume", "--without", "explain"]
    result = command("run", DEMO, *options)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if line]
    report = folder / "finetune" / "report.html"
    assert lines[-1] == f"report: {report}"
    assert lines[-2].startswith("test AUROC ")
    assert report.is_file()
    made = {path.parent.name for path in (folder / "finetune").rglob("metrics.json")}
    assert {"evaluation", "shuffled_frames", "mean_image", "connectivity"} <= made


def test_only_a_prediction_has_numbers(runs: Any, tmp_path: Path) -> None:
    assert has_numbers(runs.finetune)
    assert not has_numbers(runs.transformer)
    assert not has_numbers(tmp_path)


def test_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    said: list[str] = []
    progress = MembersProgress(5, 1, said.append)
    progress.start("fold-2, seed 7", "started, log x")
    now[0] += 600
    progress.end("fold-2, seed 7")
    now[0] += 1200
    progress.end("fold-3, seed 7", "failed")
    assert said == [
        "fold-2, seed 7: started, log x",
        "fold-2, seed 7: done, 2 of 5 members ended, 6 per hour, 30:00 left",
        "fold-3, seed 7: failed, 3 of 5 members ended, 4 per hour, 30:00 left",
    ]
