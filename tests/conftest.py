"""What tests of bundles and commands share: a small simulated cohort, tiny runs on it, and ways to start one."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

# A shell that starts the tests in the background lets them ignore Ctrl-C, and so the commands that they interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Set before torch is imported: the tests' networks are too small to gain from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
DEMO = "monai_tff:configs/experiments/demo.yaml"
SPATIAL_SIZE = [8, 10, 9]
SMALL = {
    "spatial_size": SPATIAL_SIZE,
    "hidden_size": 32,
    "window_length": 5,
    "use_tensorboard": False,
    "max_epochs": 2,
    "batch_size": 4,
    "windows_per_scan": 1,
}


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps the tests out of the user's cache of content hashes and ledger of test sets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """24 simulated subjects at 20 mm with 12 frames, and datalists for three kinds of target."""
    from monai_tff.data import SplitPlan, build_datalist, read_bids, simulate_cohort, write_datalist
    from monai_tff.data.simulate import PlantedEffect

    folder = tmp_path_factory.mktemp("cohort") / "simulated"
    effects = {"sex": [PlantedEffect("regional_mean", size=3.0)], "age": [PlantedEffect("regional_mean", size=3.0)]}
    simulate_cohort(folder, num_subjects=24, voxel_size=20.0, num_frames=12, seed=3, num_sites=3, effects=effects)
    datalists, plan = {}, SplitPlan(ratios=(0.5, 0.25, 0.25))
    for target in ("sex", "age", "site"):
        content = build_datalist(read_bids(folder, target), target, dataset_dir=folder, plan=plan)
        datalists[target] = folder / f"datalist_{target}.json"
        write_datalist(content, datalists[target])
    return SimpleNamespace(folder=folder, datalists=datalists)


def run_python(*arguments: str, folder: Path | None = None, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Runs this Python with arguments in a folder; nothing is raised for a non-zero exit code."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture(scope="session")
def warm_python_of() -> Iterator[Callable[..., Callable[..., subprocess.CompletedProcess[str]]]]:
    """As `run_python`, but without the seconds of the imports, for an interpreter: see `warm_python.py`."""
    spec = importlib.util.spec_from_file_location("warm_python", Path(__file__).with_name("warm_python.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    started: dict[str, Any] = {}

    def of(python: Path | str = sys.executable) -> Callable[..., subprocess.CompletedProcess[str]]:
        return started.setdefault(str(python), module.WarmPython(python))

    yield of
    for python in started.values():
        python.close()


@pytest.fixture(scope="session")
def warm_python(warm_python_of: Callable[..., Any]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The same for this interpreter."""
    return warm_python_of()


@pytest.fixture(scope="session")
def stock_arguments() -> Callable[..., list[str]]:
    """Arguments of Python for `monai.bundle run`: stock_arguments(id, [config files], {key: value, ...})."""

    def arguments(run_id: str, config_files: Any, overrides: dict[str, Any]) -> list[str]:
        files = json.dumps([str(file) for file in config_files])
        options = [part for key, value in overrides.items() for part in (f"--{key}", str(value))]
        return ["-m", "monai.bundle", "run", run_id, "--config_file", files, *options]

    return arguments


@pytest.fixture
def stock(
    tmp_path: Path, stock_arguments: Callable[..., list[str]], warm_python: Callable[..., Any]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Calls `python -m monai.bundle run ID` in an empty folder: stock(id, [config files], key=value, ...)."""

    def call(run_id: str, config_files: Any, **overrides: object) -> subprocess.CompletedProcess[str]:
        return warm_python(*stock_arguments(run_id, config_files, overrides), folder=tmp_path)

    return call


@pytest.fixture(scope="session")
def command() -> Callable[..., Result]:
    """Calls a command of `python -m monai_tff` in this process: command("predict", ...)."""
    from monai_tff.cli.app import build_app

    return lambda *arguments: CliRunner().invoke(build_app(), [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def small() -> dict[str, Any]:
    """Overrides that make any phase a matter of a second on the shared cohort."""
    return dict(SMALL)


@pytest.fixture(scope="session")
def phases() -> dict[str, Any]:
    """The three phases of the demo: config files and overrides."""
    from monai_tff.bundle.experiment import read_experiment

    return {phase.name: phase for phase in read_experiment(DEMO).phases}


@pytest.fixture(scope="session")
def runs(cohort: SimpleNamespace, command: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The three phases and the evaluation, as `monai_tff run` makes them: run folders by phase, and the result."""
    folder = tmp_path_factory.mktemp("runs") / "sex"
    settings = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    paths = ["--run-dir", folder, "--dataset-dir", cohort.folder, "--datalist", cohort.datalists["sex"]]
    skipped = [part for step in ("control", "baselines", "explain", "report") for part in ("--without", step)]
    result = command("run", DEMO, *paths, *settings, *skipped, "--set", "autoencoder:window_length=1")
    assert result.exit_code == 0, result.output
    names = ("autoencoder", "transformer", "finetune")
    return SimpleNamespace(folder=folder, result=result, **{name: folder / name for name in names})


@pytest.fixture(scope="session")
def finetuned(
    cohort: SimpleNamespace, phases: dict[str, Any], runs: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Run folders of the third phase for the three kinds of target, by target; those of age and site start anew."""
    from monai_tff.bundle.experiment import run_workflow

    folders = {"sex": runs.finetune}
    for target in ("age", "site"):
        folders[target] = tmp_path_factory.mktemp("runs") / target
        places = {"dataset_dir": str(cohort.folder), "datalist": str(cohort.datalists[target])}
        values = {**phases["finetune"].overrides, **SMALL, **places, "run_dir": str(folders[target])}
        run_workflow(list(phases["finetune"].config_files), "train", values)
    return folders


@pytest.fixture(scope="session")
def exports(runs: Any, finetuned: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """A bundle by its target or phase: exports("sex") has `run` (a folder), `name`, `version`, `folder`, `archive`."""
    from monai_tff.bundle.export import Details, export_run

    folders = {**finetuned, "reconstruction": runs.transformer, "autoencoder": runs.autoencoder}

    @cache
    def exported(kind: str) -> SimpleNamespace:
        details = Details(name=f"tff_{kind}", version="1.2.0")
        made = export_run(folders[kind], tmp_path_factory.mktemp(f"export_{kind}"), details, say=lambda _: None)
        return SimpleNamespace(run=folders[kind], name=details.name, version=details.version, **vars(made))

    return exported
