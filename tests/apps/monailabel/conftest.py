"""A real server in a process of its own, a folder of scans, and files beside it that nobody may reach."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import requests

START_SECONDS = 90
CANARY = b"canary-7f3a: outside of the studies"


class Server:
    """A process that listens, what it printed, and a way to ask it."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
        self.log = folder / "output.txt"
        own = {name: value for name, value in os.environ.items() if name != "MONAI_TFF_TOKEN"}
        own |= {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "TMPDIR": str(folder / "tmp"), **(environment or {})}
        (folder / "tmp").mkdir(exist_ok=True)
        self.temporary = folder / "tmp"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=own, stdout=log, stderr=subprocess.STDOUT)
        self.url = ""

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def wait_for(self, pattern: str) -> str:
        """The first group of a pattern, as soon as the output has it."""
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            found = re.search(pattern, self.output())
            if found:
                return found[1]
            time.sleep(0.05)
        raise AssertionError(self.output())

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def ask(self, method: str, path: str, **arguments: Any) -> requests.Response:
        return requests.request(method, self.url + path, timeout=60, allow_redirects=False, **arguments)

    def infer(self, model: str, image: str, **arguments: Any) -> requests.Response:
        return self.ask("POST", f"/infer/{model}", params={"image": image}, **arguments)


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts `python -m monai_tff serve` with arguments, at a free port: start(bundle, "--studies", folder)."""
    servers = []

    def call(*arguments: object, environment: dict[str, str] | None = None) -> Server:
        folder = tmp_path_factory.mktemp("server")
        words = [sys.executable, "-m", "monai_tff", "serve", *map(str, arguments), "--port", "0"]
        servers.append(Server(words, folder, environment))
        servers[-1].url = servers[-1].wait_for(r"listening at (http://\S+)")
        return servers[-1]

    yield call
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="session")
def bundles(finetuned: dict[str, Path], runs: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles of the three kinds of target and of a reconstruction, by name."""
    folder = tmp_path_factory.mktemp("bundles")
    found = {**finetuned, "reconstruction": runs.transformer}
    return {name: Path(shutil.copytree(path, folder / name)) for name, path in found.items()}


def make_studies(cohort: Any, folder: Path) -> Path:
    """A small BIDS tree: four scans, two that do not fit, and links; and canaries beside it."""
    outside, studies = folder / "outside", folder / "outside" / "studies"
    studies.mkdir(parents=True)
    for subject in sorted(cohort.folder.glob("sub-*"))[:4]:
        shutil.copytree(subject, studies / subject.name)
    (scan,) = (studies / "sub-0001" / "func").glob("*_bold.nii.gz")
    image = nib.load(scan)
    values = np.asanyarray(image.dataobj)
    bad = studies / "sub-9001" / "func" / "sub-9001_task-rest_bold.nii.gz"
    bad.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(values[:-1], image.affine), bad)
    broken = studies / "sub-9002" / "func" / "sub-9002_task-rest_bold.nii.gz"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(scan.read_bytes()[:2000])
    (outside / "canary.json").write_bytes(CANARY)
    (outside / "canary_bold.nii.gz").write_bytes(scan.read_bytes())
    (studies / "sub-9003_bold.nii.gz").symlink_to(outside / "canary_bold.nii.gz")
    (studies / "sub-9004_bold.nii.gz").symlink_to(scan)
    return studies


@pytest.fixture(scope="session")
def studies(cohort: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_studies(cohort, tmp_path_factory.mktemp("studies"))


@pytest.fixture(scope="session")
def server(start: Callable[..., Server], bundles: dict[str, Path], studies: Path) -> Server:
    """A server of all bundles for the callers of this machine, which takes one megabyte."""
    return start(*bundles.values(), "--studies", studies, "--max-upload-mb", 1)


@pytest.fixture(scope="session")
def images(server: Server) -> list[str]:
    """The scans that every model takes."""
    return [name for name in server.ask("GET", "/datastore").json()["images"] if "sub-000" in name]


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file below a folder, with its time, size and bytes; links are not followed."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.lstat().st_size, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
