"""`monai_tff run --folds`: every member is what a single run gives, and nothing is done twice."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import yaml
from typer.testing import Result

from monai_tff.bundle.study_folder import read_members
from monai_tff.data import SplitPlan, read_bids, write_datalist
from monai_tff.data.building import build_datalists
from monai_tff.data.split_plan import split_suffixes

pytestmark = pytest.mark.end_to_end

BUNDLES = "monai_tff:bundles/tff_fmri_"
PHASES = {
    "autoencoder": [f"{BUNDLES}reconstruction/configs/{name}.yaml" for name in ("train", "train_autoencoder")],
    "finetune": [f"{BUNDLES}prediction/configs/train.yaml"],
}
STEPS = ("control", "baselines", "explain", "report")
ALONE = [part for step in STEPS for part in ("--without", step)]
Command = Callable[..., Result]


@pytest.fixture(scope="module")
def study(cohort: SimpleNamespace, small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with datalists of two folds, study_fold-1.json and -2, and an experiment of two short phases."""
    folder = tmp_path_factory.mktemp("study")
    plan = SplitPlan(folds=2, seed=1)
    contents = build_datalists(read_bids(cohort.folder, "sex"), "sex", dataset_dir=cohort.folder, plan=plan)
    for suffix, content in zip(split_suffixes([content["split"] for content in contents]), contents, strict=True):
        write_datalist(content, folder / f"study{suffix}.json")
    overrides = {**small, "max_epochs": 1, "seed": 7, "cache_rate": 0.0}
    phases: dict[str, Any] = {name: {"config_file": files} for name, files in PHASES.items()}
    phases["autoencoder"]["overrides"] = {"window_length": 1, "use_perceptual": False}
    experiment = {"name": "two", "overrides": overrides, "phases": phases}
    (folder / "two.yaml").write_text(yaml.safe_dump(experiment))
    return folder


@pytest.fixture(scope="module")
def arguments(cohort: SimpleNamespace, study: Path) -> Callable[..., list[str]]:
    """Of a small run, of folds as the user says: arguments(folder, more, ...)."""

    def given(folder: Path, *more: object) -> list[str]:
        places = ["--run-dir", folder, "--dataset-dir", cohort.folder, "--datalist", study / "study.json"]
        return ["run", *map(str, (study / "two.yaml", *places)), *ALONE, *map(str, more)]

    return given


@pytest.fixture(scope="module")
def folds(
    arguments: Callable[..., list[str]], command: Command, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """Two folds, run in this process: `folder` and `result`."""
    folder = tmp_path_factory.mktemp("folds") / "run"
    result = command(*arguments(folder, "--folds", "all"))
    assert result.exit_code == 0, result.output
    return SimpleNamespace(folder=folder, result=result)


def predictions(folder: Path) -> dict[str, bytes]:
    found = sorted(folder.rglob("evaluation/predictions.csv"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def metrics_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "evaluation" / "metrics.json").read_text())


def test_the_folder_of_folds(folds: SimpleNamespace, study: Path) -> None:
    members = read_members(folds.folder)
    assert [(member.split, member.seed) for member in members] == [("fold-1", 7), ("fold-2", 7)]
    assert [member.folder for member in members] == [folds.folder / f"fold-{n}" / "seed-7" / "finetune" for n in (1, 2)]
    assert [member.datalist for member in members] == [study / f"study_fold-{n}.json" for n in (1, 2)]
    table = pd.read_csv(folds.folder / "folds.csv")
    for member in members:
        assert {path.name for path in member.place.iterdir()} == set(PHASES)
        assert f"datalist: {member.datalist}" in (member.folder / "configs" / "train.yaml").read_text()
        values = {name: math.nan if v is None else v for name, v in metrics_of(member.folder)["values"].items()}
        own = table[table["split"] == member.split].set_index("name")["value"]
        assert own.to_dict() == pytest.approx(values, abs=0, rel=0, nan_ok=True)
    pooled = pd.read_csv(folds.folder / "evaluation" / "predictions.csv", dtype={"subject": str})
    tested = [record["subject"] for m in members for record in json.loads(m.datalist.read_text())["test"]]
    assert sorted(pooled["subject"]) == sorted(tested)
    assert len(set(tested)) == 24


def test_what_the_user_sees(folds: SimpleNamespace) -> None:
    lines = [line for line in folds.result.stdout.splitlines() if line]
    checks = [number for number, line in enumerate(lines) if line.startswith("checking")]
    assert [lines[number] for number in checks] == [
        f"checking {phase} of fold-{n}: settings and headers of all scans" for n in (1, 2) for phase in PHASES
    ]
    (first,) = [number for number, line in enumerate(lines) if line.startswith("fold-1, seed 7: started in ")]
    assert first > max(checks)
    (done,) = [line for line in lines if line.startswith("fold-1, seed 7: done")]
    assert "1 of 2 members ended, " in done
    assert " per hour, " in done
    assert done.endswith(" left")
    metrics = metrics_of(folds.folder)
    (over,) = [line for line in lines if line.startswith("over 2 folds: ")]
    mean, spread = metrics["mean_over_folds"]["auroc"], metrics["std_over_folds"]["auroc"]
    assert over.startswith(f"over 2 folds: AUROC {mean:.3g} ± {spread:.2g}, balanced accuracy ")
    auroc, (low, high) = metrics["values"]["auroc"], metrics["intervals"]["auroc"]
    assert f"test AUROC {auroc:.2f} [{low:.2f}, {high:.2f}] (24 subjects)" in lines[lines.index(over) :]


def test_what_is_refused_changes_nothing(
    folds: SimpleNamespace, arguments: Callable[..., list[str]], command: Command, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in folds.folder.rglob("*")}
    (tmp_path / "autoencoder").mkdir()
    again = ("--folds", "all", "--resume")
    for folder, more, message in (
        (
            folds.folder,
            ("--folds", "all"),
            f"error: {folds.folder}: holds folds that were run, expected a new or empty folder; go on with them with "
            "--resume, or choose another --run-dir.",
        ),
        (folds.folder, ("--resume",), "holds folds or seeds, expected a folder for a single run"),
        (tmp_path, again, f"error: {tmp_path}: holds autoencoder and no folds.json, expected a new or empty folder"),
        (folds.folder, (*again, "--set", "finetune:max_epochs=5"), "max_epochs was 1 when the run began, but is 5"),
        (
            folds.folder,
            (*again, "--set", "finetune:seed=3"),
            "--set finetune:seed: each fold and seed has its own seed",
        ),
        (folds.folder, (*again, "--set", "datalist=x"), "--set datalist: each fold and seed has its own datalist"),
        (tmp_path / "new", ("--jobs", "2"), "--jobs 2: there is one run, expected several; add --folds all"),
        (tmp_path / "new", ("--folds", "all", "--scheduler", "cloud"), "scheduler is 'cloud', expected local, slurm"),
        (tmp_path / "new", ("--folds", "all", "--phase", "finetune"), "there are no weights for phase 'finetune'"),
        (
            tmp_path / "new",
            ("--folds", "3"),
            "--folds 3: there is no split '3', expected all, or some of fold-1, fold-2",
        ),
    ):
        result = command(*arguments(folder, *more))
        assert result.exit_code == 1, more
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "new").exists()
    assert {path: path.stat().st_mtime_ns for path in folds.folder.rglob("*")} == before


def test_weights_that_may_have_seen_test_subjects_of_a_fold(
    folds: SimpleNamespace, arguments: Callable[..., list[str]], command: Command, tmp_path: Path
) -> None:
    """Those of a fold have seen the other's test subjects; of a copy without lineage nobody knows."""
    weights = folds.folder / "fold-1" / "seed-7" / "autoencoder" / "models" / "model.pt"
    copy = tmp_path / "weights.pt"
    shutil.copyfile(weights, copy)
    for file, message in (
        (weights, "of the test set was seen in the phase 'autoencoder' of these weights, expected no overlap"),
        (copy, f"{copy}: whether these weights have seen test subjects of fold-1 is unknown, expected weights that"),
    ):
        options = ("--folds", "all", "--phase", "finetune", "--set", f"finetune:initial_weights={file}")
        result = command(*arguments(tmp_path / "run", *options))
        assert result.exit_code == 1
        assert message in result.stderr
    assert not (tmp_path / "run").exists()


def test_weights_that_are_known_to_have_seen_none(
    folds: SimpleNamespace, arguments: Callable[..., list[str]], command: Command, study: Path, tmp_path: Path
) -> None:
    """The weights of a fold were trained without its own test subjects, which one fold alone asks for."""
    weights = folds.folder / "fold-1" / "seed-7" / "autoencoder" / "models" / "model.pt"
    options = ("--folds", "1", "--phase", "finetune", "--set", f"finetune:initial_weights={weights}")
    result = command(*arguments(tmp_path / "run", *options))
    assert result.exit_code == 0, result.output
    expected = predictions(folds.folder)["fold-1/seed-7/finetune/evaluation/predictions.csv"]
    assert predictions(tmp_path / "run")["fold-1/seed-7/finetune/evaluation/predictions.csv"] == expected
    assert "1 of 2 folds were run: the other subjects are not tested here." in metrics_of(tmp_path / "run")["warnings"]


def test_seeds_are_added_later(
    folds: SimpleNamespace, arguments: Callable[..., list[str]], command: Command, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folds.folder, tmp_path / "run"))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")}
    result = command(*arguments(folder, "--folds", "1", "--seeds", "2", "--resume"))
    assert result.exit_code == 0, result.output
    assert "fold-1, seed 7: is finished already" in result.output
    assert [(member.split, member.seed) for member in read_members(folder)] == [
        ("fold-1", 7),
        ("fold-1", 8),
        ("fold-2", 7),
    ]
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")}
    assert {path: after[path] for path in before} == before
    scores = [
        pd.read_csv(folder / "fold-1" / f"seed-{seed}" / "finetune/evaluation/predictions.csv") for seed in (7, 8)
    ]
    assert not scores[0]["score"].equals(scores[1]["score"])
    pooled = pd.read_csv(folder / "evaluation" / "predictions.csv").set_index("subject")
    both = pd.concat(scores).groupby("subject")["score"]
    assert pooled.loc[both.mean().index, "score"].tolist() == pytest.approx(both.mean().tolist())
    assert pooled.loc[both.mean().index, "seed_spread"].tolist() == pytest.approx(both.std(ddof=1).tolist())
    assert pooled.loc[pooled["fold"] == "fold-2", "seed_spread"].isna().all()
    assert len(metrics_of(folder)["folds"][0]["seeds"]) == 2


def test_killed_in_the_second_member_and_resumed(
    folds: SimpleNamespace, arguments: Callable[..., list[str]], command: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    torn = folder / "fold-2" / "seed-7" / "autoencoder"
    shutil.copytree(folds.folder / "fold-1", folder / "fold-1")
    shutil.copyfile(folds.folder / "folds.json", folder / "folds.json")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "monai_tff", *arguments(folder, "--folds", "all", "--resume")],
            stdout=log,
            stderr=log,
        )
    end = time.monotonic() + 240
    while not (torn / "models" / "last.pt").exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert not (folder / "fold-2" / "seed-7" / "finetune" / "finished").exists()
    assert not (folder / "evaluation").exists()
    before = {path: path.stat().st_mtime_ns for path in (folder / "fold-1").rglob("*") if path.is_file()}

    result = command(*arguments(folder, "--folds", "all", "--resume"))
    assert result.exit_code == 0, result.output
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "fold-1, seed 7: is finished already" in result.output
    assert predictions(folder) == predictions(folds.folder)


def test_jobs_give_what_one_process_gives(
    folds: SimpleNamespace, arguments: Callable[..., list[str]], command: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    result = command(*arguments(folder, "--folds", "all", "--jobs", "2"))
    assert result.exit_code == 0, result.output
    assert predictions(folder) == predictions(folds.folder)
    for number in (1, 2):
        log = folder / f"fold-{number}" / "seed-7" / "log.txt"
        assert f"fold-{number}, seed 7: started, log {log}" in result.output
        assert "phase 2 of 2: finetune" in log.read_text()
    assert "phase 2 of 2" not in result.output


def test_a_member_that_fails_does_not_stop_the_others(
    folds: SimpleNamespace, arguments: Callable[..., list[str]], command: Command, tmp_path: Path
) -> None:
    """A file stands where the folder of the weights has to be; put right, the rest is done."""
    folder = Path(shutil.copytree(folds.folder, tmp_path / "run"))
    for part in ("evaluation", "folds.csv", "fold-2/seed-7/finetune/evaluation"):
        path = folder / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(folder / "fold-1" / "seed-7" / "finetune")
    (folder / "fold-1" / "seed-7" / "finetune").mkdir()
    (folder / "fold-1" / "seed-7" / "finetune" / "models").write_text("in the way")
    result = command(*arguments(folder, "--folds", "all", "--resume"))
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[-2].startswith(f"error: fold-1, seed 7: {folder / 'fold-1' / 'seed-7' / 'finetune'}: cannot be made")
    assert lines[-1].startswith("error: 1 members failed, expected none; put right what is said above, then start")
    assert "fold-1, seed 7: failed, 1 of 2 members ended" in result.output
    assert (folder / "fold-2" / "seed-7" / "finetune" / "evaluation" / "metrics.json").is_file()
    assert not (folder / "evaluation").exists()

    (folder / "fold-1" / "seed-7" / "finetune" / "models").unlink()
    again = command(*arguments(folder, "--folds", "all", "--resume"))
    assert again.exit_code == 0, again.output
    assert predictions(folder) == predictions(folds.folder)
