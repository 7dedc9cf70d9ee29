"""Experiments: read, checked, and run phase by phase."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from monai_tff import resources
from monai_tff.bundle.experiment import read_experiment, run_experiment, run_workflow
from monai_tff.errors import ConfigError, UserError, WeightsError, user_error_in
from monai_tff.resources import shipped_path

TRAIN = "monai_tff:bundles/tff_fmri_prediction/configs/train.yaml"
PHASES = ("autoencoder", "transformer", "finetune")


def test_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "layer.yaml").write_text("seed: 4")
    (tmp_path / "mine.yaml").write_text(
        f"overrides: {{seed: 1, dropout: 0.5}}\nphases:\n  only: {{config_file: ['{TRAIN}', layer.yaml], "
        "overrides: {seed: 2}}\n"
    )
    experiment = read_experiment(tmp_path / "mine.yaml")
    (phase,) = experiment.phases
    assert (experiment.name, experiment.cohort, phase.name) == ("mine", {}, "only")
    shipped = resources.bundles_folder() / "tff_fmri_prediction" / "configs" / "train.yaml"
    assert phase.config_files == (str(shipped), str(tmp_path / "layer.yaml"))
    assert phase.overrides == {"seed": 2, "dropout": 0.5}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: x\n", r"mine.yaml: there are no phases"),
        ("phases: {}\n", r"mine.yaml: there are no phases"),
        ("phase: {}\n", r"mine.yaml: experiment has the unknown key 'phase', expected one of .*'phases'"),
        ("phases: {one: {}}\n", r"phase 'one' has no config_file"),
        ("phases: {one: null}\n", r"phase 'one' is no set of `key: value` pairs"),
        ("phases: {one: {config_files: []}}\n", r"phase 'one' has the unknown key 'config_files'"),
        ("phases: {one: {config_file: [missing.yaml]}}\n", r"missing.yaml: there is no such config file"),
        ("phases: {one: {config_file: ['monai_tff:tests/x.yaml']}}\n", r"the package ships bundles/ and configs/"),
        ("phases: {one: {}, one: {}}\n", r"key 'one' stands on line 1 and again on line 1"),
    ],
)
def test_what_is_wrong_is_named(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_experiment(tmp_path / "mine.yaml")


def test_paths_are_relative_to_the_experiment(tmp_path: Path) -> None:
    assert shipped_path("../a.yaml", tmp_path / "b") == tmp_path / "a.yaml"


def test_unknown_phases_are_refused(tmp_path: Path) -> None:
    experiment = read_experiment("monai_tff:configs/experiments/demo.yaml")
    message = "phase 'finetun': the experiment has no such phase, expected one of autoencoder, transformer, finetune"
    with pytest.raises(ConfigError, match=message):
        run_experiment(experiment, tmp_path, {}, phases=["finetun"])
    with pytest.raises(ConfigError, match=message):
        run_experiment(experiment, tmp_path, {"finetun": {}})
    assert list(tmp_path.iterdir()) == []


def test_a_phase_needs_the_one_before(cohort: Any, small: dict[str, Any], tmp_path: Path) -> None:
    places = {"dataset_dir": str(cohort.folder), "datalist": str(cohort.datalists["sex"])}
    experiment = read_experiment("monai_tff:configs/experiments/demo.yaml")
    message = (
        r"autoencoder/models/model.pt: there are no weights for phase 'transformer'.*run phase 'autoencoder' first"
    )
    with pytest.raises(WeightsError, match=message):
        run_experiment(experiment, tmp_path, {"": {**small, **places}}, phases=["transformer"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"max_epochz": 1}, "config key 'max_epochz'"),
        ({"trim": 8}, "4 frames are left after dropping 8, expected at least 5"),
    ],
)
def test_a_fault_of_the_last_phase_is_found_before_the_first_trains(
    overrides: dict[str, Any], message: str, cohort: Any, small: dict[str, Any], tmp_path: Path
) -> None:
    places = {"dataset_dir": str(cohort.folder), "datalist": str(cohort.datalists["sex"])}
    experiment = read_experiment("monai_tff:configs/experiments/demo.yaml")
    values = {"": {**small, **places}, "autoencoder": {"window_length": 1}, "finetune": overrides}
    with pytest.raises((UserError, RuntimeError)) as caught:
        run_experiment(experiment, tmp_path, values)
    assert message in str(user_error_in(caught.value))
    assert list(tmp_path.iterdir()) == []


def test_a_finished_experiment_is_not_trained_again(
    runs: Any, cohort: Any, small: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: (runs.folder / name / "models" / "last.pt").stat().st_mtime_ns for name in PHASES}
    places = {"dataset_dir": str(cohort.folder), "datalist": str(cohort.datalists["sex"])}
    experiment = read_experiment("monai_tff:configs/experiments/demo.yaml")
    overrides = {"": {**small, **places}, "autoencoder": {"window_length": 1}}
    assert run_experiment(experiment, runs.folder, overrides, resume=True) == runs.finetune
    assert before == {name: (runs.folder / name / "models" / "last.pt").stat().st_mtime_ns for name in PHASES}
    assert f"{runs.finetune / 'evaluation'} is finished already" in capsys.readouterr().out


def test_what_the_user_sees(runs: Any) -> None:
    lines = [line for line in runs.result.output.splitlines() if line and not line.startswith("Loading dataset")]
    starts = [line.split(" ")[0] for line in lines]
    assert [line.partition(" -> ")[0] for line in lines if line.startswith("phase")] == [
        f"phase {number} of 3: {name}" for number, name in enumerate(PHASES, start=1)
    ]
    assert starts.count("initial") == 3
    assert starts.count("loaded:") == 2
    assert {"autoencoder:", "transformer:", "finetune:"} <= set(starts)  # progress
    assert lines[-2].startswith("test balanced accuracy ")
    assert lines[-1].startswith("test AUROC ")


def test_what_monai_remarks_of_layers_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    phase = read_experiment("monai_tff:configs/experiments/demo.yaml").phases[0]
    with pytest.raises(ConfigError, match="max_epochz"):
        run_workflow(list(phase.config_files), "train", {"max_epochz": 1})
    logger = logging.getLogger("monai.bundle.workflows")
    assert [record for record in caplog.records if record.name == logger.name] == []
    logger.warning("Not all config files are in x")
    assert len(caplog.records) == 1  # only hidden while a workflow is made
