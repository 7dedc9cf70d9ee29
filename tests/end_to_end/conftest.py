"""What is needed to use an exported bundle as a stranger does: processes of their own, a clean environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

HERE = Path(__file__).parent
KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "OMP_NUM_THREADS", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_CONFIG")
"""Variables of the environment that a stranger's process keeps; PYTHONPATH and the user's settings are none of them."""


@pytest.fixture(scope="session")
def test_scans(cohort: SimpleNamespace) -> list[Path]:
    """The test subjects' scans of the shared cohort."""
    content = json.loads(cohort.datalists["sex"].read_text(encoding="utf-8"))
    return [cohort.folder / record["image"] for record in content["test"]]


@pytest.fixture
def stranger(tmp_path: Path, warm_python_of: Callable[..., Any]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a Python in an empty folder with a new home: stranger(*arguments, python=..., folder=..., NAME=value).

    It is warm, with a clean environment, but what it imports was imported before; `cold=True` and options of the
    interpreter start one for the call.
    """

    def run(
        *arguments: object,
        python: Path | str = sys.executable,
        folder: Path | None = None,
        cold: bool = False,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        home, work = tmp_path / "home", folder or tmp_path / "work"
        home.mkdir(exist_ok=True)
        work.mkdir(exist_ok=True)
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        environment |= {"HOME": str(home), "PYTHONNOUSERSITE": "1", **variables}
        command = [str(python), *(str(argument) for argument in arguments)]
        if cold or (command[1].startswith("-") and command[1] not in ("-m", "-c")):
            done = subprocess.run(
                command, cwd=work, env=environment, capture_output=True, text=True, timeout=300, check=False
            )
        else:
            done = warm_python_of(python)(*arguments, folder=work, environment=environment)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def torch_alone(stranger: Callable[..., Any], tmp_path: Path) -> Callable[..., SimpleNamespace]:
    """Runs a bundle's programs on windows of a scan where only torch is: torch_alone(bundle, scan, python=...).

    It gives `predicted`, what a prediction of the scan says of each window (None for a reconstruction), `network`, the
    network's outputs on the same windows, `programs`, theirs by extension, and the packages `hidden` and `loaded`.
    """
    import torch

    from monai_tff.bundle.predictor import Predictor
    from monai_tff.data import load_scan

    def run(bundle: Any, scan: Path, python: Path | str = sys.executable) -> SimpleNamespace:
        predictor = Predictor(bundle.folder, device="cpu")
        compact, length = load_scan(scan, predictor.contract)[0], predictor.contract.window_length
        predicted = None if predictor.target is None else predictor.predict(scan).windows
        starts = (0, 5, 7) if predicted is None else [window["start"] for window in predicted]
        windows = torch.stack([compact.window(start, length).unpack() for start in starts])
        torch.save(windows, tmp_path / "windows.pt")
        programs = [bundle.folder / "models" / name for name in ("model.ts", "model.pt2")]
        places = (tmp_path / "windows.pt", tmp_path / "outputs.pt", *programs)
        report = json.loads(stranger("-I", HERE / "torch_alone.py", *places, python=python).stdout)
        with torch.no_grad():
            outputs = predictor.network(windows)
        found = torch.load(tmp_path / "outputs.pt")
        return SimpleNamespace(predicted=predicted, network=outputs, programs=found, **report)

    return run


@contextmanager
def started(*arguments: object) -> Iterator[str]:
    """Runs a server in a process of its own and yields its address, which is the first line that it prints."""
    command = [sys.executable, "-u", *(str(argument) for argument in arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@pytest.fixture
def web_server() -> Callable[[Path], Any]:
    """Serves the files of a folder: `with web_server(folder) as address`."""
    return lambda folder: started(HERE / "web_server.py", folder)


@pytest.fixture
def hub() -> Callable[[Path, str], Any]:
    """A stand-in of the Hugging Face hub that keeps its files in a folder: `with hub(folder, token) as address`."""
    return lambda folder, token: started(HERE / "hub_stand_in.py", folder, token)


@pytest.fixture(scope="session")
def outputs() -> Callable[[Path], Mapping[str, bytes]]:
    """The bytes of every file below a folder, by their path in it."""
    return lambda folder: {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }


@pytest.fixture(scope="session")
def scans_argument() -> Callable[[Sequence[Path]], str]:
    """Scans as `monai.bundle run` takes them for `--dataset_dir`."""
    return lambda scans: json.dumps([str(scan) for scan in scans])
