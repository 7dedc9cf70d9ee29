"""Several processes: what is refused, who speaks, and what is said of a lost process. Real ones: tests/end_to_end."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from monai_tff.bundle import close_process_group, open_process_group
from monai_tff.bundle import lost_process as lost_process_module
from monai_tff.bundle.lost_process import lost_process, lost_process_as_user_error
from monai_tff.bundle.processes import by_first_process, check_processes, silence_others
from monai_tff.bundle.workflow import Workflow
from monai_tff.errors import ConfigError

PREDICTION = Path(__file__).parents[2] / "bundles" / "tff_fmri_prediction" / "configs"


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that torchrun gives the second of two processes."""
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"process_group": None}, r"process_group: is null, but torchrun started 2 .* multi_gpu_train\.yaml to"),
        ({"process_group": None, "section": "test"}, r"add the bundle's multi_gpu_evaluate\.yaml to"),
        ({"dataset_dir": "."}, "torchrun: started 2 processes, expected one, .* start it without torchrun"),
    ],
)
@pytest.mark.usefixtures("two")
def test_processes_that_the_configuration_does_not_know(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_processes(config)
    check_processes({**config, "process_group": "$monai_tff.bundle.open_process_group()"})


@pytest.mark.parametrize("config", [{"process_group": None}, {}])
def test_one_process_needs_no_group(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    check_processes(config)
    open_process_group()
    assert not dist.is_initialized()
    close_process_group()
    assert by_first_process(lambda: 3) == 3


def test_a_run_without_the_layer_is_refused_before_it_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    workflow = Workflow(str(PREDICTION / "train.yaml"), workflow_type="train", run_dir=str(tmp_path / "run"))
    with pytest.raises(RuntimeError) as caught:
        workflow.initialize()
    assert "add the bundle's multi_gpu_train.yaml" in str(caught.value.__cause__)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("two")
def test_the_second_process_says_nothing_but_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # put back at the end, with the two others
    monkeypatch.setattr(logging.root.manager, "disable", 0)
    with warnings.catch_warnings(record=True) as caught:
        silence_others()
        print("a word")
        logging.getLogger("monai_tff").warning("a warning")
        logging.getLogger("monai_tff").error("an error")
        warnings.warn("a warning", stacklevel=1)
    sys.stdout.close()
    assert capsys.readouterr().out == ""
    assert [record.getMessage() for record in caplog.records] == ["an error"]
    assert caught == []


@pytest.mark.usefixtures("two")
def test_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(
        ConfigError, match=r"process 2 of this machine finds 1 GPU, .* --nproc_per_node=1, or with CUDA_"
    ):
        open_process_group()


def gloo_error() -> RuntimeError:
    return RuntimeError("[/src/third_party/gloo/gloo/transport/tcp/pair.cc:5] Connection closed by peer [::1]:5")


@pytest.mark.parametrize("error", [gloo_error(), dist.DistBackendError("NCCL"), dist.DistNetworkError("refused")])
@pytest.mark.usefixtures("two")
def test_a_lost_process_is_a_sentence(error: Exception) -> None:
    outer = RuntimeError("Failed to evaluate")
    outer.__cause__ = error
    sentence = lost_process(outer)
    assert sentence is not None
    assert sentence.startswith("process 1 (of 0 to 1) waited for another one, which has ended or does not answer;")
    assert sentence.endswith("then start all of them again, a training with --resume true.")
    with pytest.raises(ConfigError, match="waited for another one"), lost_process_as_user_error():
        raise outer


def test_other_errors_are_no_lost_process() -> None:
    assert lost_process(RuntimeError("shapes do not fit")) is None
    with pytest.raises(RuntimeError, match="shapes do not fit"), lost_process_as_user_error():
        raise RuntimeError("shapes do not fit")


def test_a_process_that_is_told_to_end_says_why() -> None:
    # the module alone: its package takes seconds to import
    module = str(Path(lost_process_module.__file__))
    program = f"import runpy, time; runpy.run_path({module!r})['say_why_it_ends'](); print(); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-uc", program], stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert errors.startswith("error: process 0 (of 0 to 0) was ended, as all are when one has ended; look above")
