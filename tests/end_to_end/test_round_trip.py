"""A bundle travels: exported here, downloaded, verified and run there, with the same predictions bit for bit.

"There" is a process in an empty folder with a new home; in the tests marked `fresh` also an environment that was made
for it, with the wheel and its dependencies alone.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from torch.testing import assert_close

from monai_tff.bundle.export import Details, write_bundle
from monai_tff.bundle.export.run_source import read_run
from monai_tff.bundle.predictor import Predictor
from monai_tff.networks import TFFPredictor

pytestmark = pytest.mark.end_to_end
ROOT = Path(__file__).parents[2]
KINDS = ("sex", "age", "site", "reconstruction")
CPU = "$torch.device('cpu')"
Outputs = Callable[[Path], Mapping[str, bytes]]


@pytest.fixture
def expected(
    exports: Callable[[str], Any], test_scans: list[Path], command: Callable[..., Any], outputs: Outputs, tmp_path: Path
) -> Callable[[str], Mapping[str, bytes]]:
    """What the run folder predicts here, in the environment that trained it: files by name."""

    def predict(kind: str) -> Mapping[str, bytes]:
        out = tmp_path / "expected"
        done = command("predict", exports(kind).run, *test_scans, "--device", "cpu", "--output-dir", out)
        assert done.exit_code == 0, done.output
        files = outputs(out)
        assert len(files) == (len(test_scans) if kind == "reconstruction" else 3)
        return files

    return predict


@pytest.fixture
def download(web_server: Callable[[Path], Any], stranger: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    """MONAI's download of a bundle's zip file from a web server: download(bundle, python=...) gives the folder."""

    def get(bundle: Any, python: Path | str = sys.executable) -> Path:
        with web_server(bundle.archive.parent) as address:
            place = ["--url", f"{address}/{bundle.archive.name}", "--bundle_dir", tmp_path / "downloaded"]
            names = ["--name", bundle.name, "--version", bundle.version]
            stranger("-m", "monai.bundle", "download", *names, *place, python=python)
        return tmp_path / "downloaded" / bundle.name

    return get


@pytest.fixture
def infer(
    stranger: Callable[..., Any], scans_argument: Callable[..., str], test_scans: list[Path], outputs: Outputs
) -> Callable[..., Mapping[str, bytes]]:
    """MONAI's own command: infer(bundle folder, output folder, python=...) gives the files that it wrote."""

    def run(folder: Path, out: Path, python: Path | str = sys.executable) -> Mapping[str, bytes]:
        files = ["--config_file", folder / "configs" / "inference.yaml", "--dataset_dir", scans_argument(test_scans)]
        values = ["--output_dir", out, "--device", CPU]
        stranger("-m", "monai.bundle", "run", "inferring", *files, *values, python=python)
        return outputs(out)

    return run


def assert_loads(bundle: Any, folder: Path, stranger: Callable[..., Any], python: Path | str = sys.executable) -> None:
    """`monai.bundle.load` gives the network of the run, from the state dict and as TorchScript."""
    saved = folder.with_name("loaded.pt")
    stranger(Path(__file__).with_name("load_with_monai.py"), folder, saved, python=python)
    network = Predictor(bundle.run, device="cpu").network
    window = torch.rand(1, 2, 8, 10, 9, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = network(window)
    found = torch.load(saved)
    assert torch.equal(found["state_dict"], wanted)
    assert_close(found["torchscript"], wanted, rtol=1e-5, atol=1e-5)


def assert_monai_verifies(folder: Path, stranger: Callable[..., Any], python: Path) -> None:
    """MONAI's own two commands; the schema is the one that the wheel brings, so that nothing is downloaded."""
    metadata = ["--meta_file", folder / "configs" / "metadata.json"]
    code = (
        "from pathlib import Path; from monai_tff.bundle import verification; print(Path(verification.__file__).parent)"
    )
    (shipped,) = Path(stranger("-c", code, python=python).stdout.strip()).glob("meta_schema_*.json")
    schema = shutil.copy(shipped, folder.parent)  # MONAI may write to it
    stranger("-m", "monai.bundle", "verify_metadata", *metadata, "--filepath", schema, python=python)
    network = ["--net_id", "network_def", "--config_file", folder / "configs" / "inference.yaml", "--any", 4]
    stranger("-m", "monai.bundle", "verify_net_in_out", *metadata, *network, "--device", "cpu", python=python)


def test_downloaded_and_run_in_an_empty_folder(
    exports: Callable[[str], Any],
    expected: Callable[[str], Mapping[str, bytes]],
    download: Callable[..., Path],
    infer: Callable[..., Mapping[str, bytes]],
    stranger: Callable[..., Any],
    outputs: Outputs,
    tmp_path: Path,
) -> None:
    bundle = exports("sex")
    folder = download(bundle)
    assert outputs(folder) == outputs(bundle.folder)
    assert_loads(bundle, folder, stranger)
    assert infer(folder, tmp_path / "inferred") == expected("sex")
    # nothing was written into the bundle
    assert outputs(folder) == outputs(bundle.folder)


@pytest.mark.parametrize("kind", KINDS)
def test_predicted_from_the_zip_file(
    kind: str,
    exports: Callable[[str], Any],
    test_scans: list[Path],
    expected: Callable[[str], Mapping[str, bytes]],
    command: Callable[..., Any],
    outputs: Outputs,
    tmp_path: Path,
) -> None:
    archive = exports(kind).archive
    done = command("predict", archive, *test_scans, "--device", "cpu", "--output-dir", tmp_path / "predicted")
    assert done.exit_code == 0, done.output
    assert outputs(tmp_path / "predicted") == expected(kind)


@pytest.fixture(scope="module")
def torch_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A new environment with torch alone, as the Makefile begins one: `python`, and `pip(*arguments)`."""
    folder = tmp_path_factory.mktemp("environment")
    python = folder / "venv" / "bin" / "python"
    # pip keeps its settings, by which it finds the packages; nothing else of this process reaches the environment
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV"))}

    def call(*arguments: object) -> None:
        command = [str(argument) for argument in arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"

    def pip(*arguments: object) -> None:
        call(python, "-m", "pip", "install", "--quiet", *arguments, "-c", ROOT / "constraints.txt")

    versions = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    call(sys.executable, "-m", "venv", folder / "venv")
    pip(next(line for line in versions if line.startswith("torch==")))
    yield SimpleNamespace(python=python, folder=folder / "venv", pip=pip, call=call)
    shutil.rmtree(folder)  # it is several GB


@pytest.fixture(scope="module")
def fresh(torch_only: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The same environment with the wheel of this checkout and its dependencies."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("monai_tff", "bundles", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "models"))
    for file in ROOT.iterdir():
        if file.is_file() and not file.name.startswith("."):
            shutil.copy(file, source)
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir")
    torch_only.call(sys.executable, "-m", "pip", "wheel", *options, target, source)
    (wheel,) = target.glob("*.whl")
    torch_only.pip(wheel)
    return torch_only


@pytest.mark.fresh
@pytest.mark.parametrize("kind", ["sex", "reconstruction"])
def test_programs_where_only_torch_is_installed(
    kind: str,
    exports: Callable[[str], Any],
    test_scans: list[Path],
    torch_only: SimpleNamespace,
    torch_alone: Callable[..., Any],
) -> None:
    result = torch_alone(exports(kind), test_scans[0], python=torch_only.python)
    # nothing but pip had to be hidden: this comes before the rest is installed
    assert set(result.hidden) <= {"pip", "setuptools", "pkg_resources", "_distutils_hack"}
    assert set(result.programs) == {"ts", "pt2"}
    for outputs in result.programs.values():
        assert_close(outputs, result.network, rtol=1e-5, atol=1e-5)


@pytest.mark.fresh
def test_the_new_environment_runs_the_wheel(fresh: SimpleNamespace, stranger: Callable[..., Any]) -> None:
    code = "import monai_tff, sys; print(monai_tff.__file__, *sys.path, sep='\\n')"
    file, *paths = stranger("-c", code, python=fresh.python, cold=True).stdout.splitlines()
    assert Path(file).parent.parent.name == "site-packages"
    assert Path(file).is_relative_to(fresh.folder)
    assert [path for path in paths if Path(path).is_relative_to(ROOT)] == []


@pytest.mark.fresh
@pytest.mark.parametrize("kind", ["sex", "age", "reconstruction"])
def test_round_trip_in_a_new_environment(
    kind: str,
    exports: Callable[[str], Any],
    fresh: SimpleNamespace,
    test_scans: list[Path],
    expected: Callable[[str], Mapping[str, bytes]],
    download: Callable[..., Path],
    infer: Callable[..., Mapping[str, bytes]],
    stranger: Callable[..., Any],
    outputs: Outputs,
    tmp_path: Path,
) -> None:
    bundle, python = exports(kind), fresh.python
    folder = download(bundle, python=python)
    assert outputs(folder) == outputs(bundle.folder)
    wanted = expected(kind)
    assert infer(folder, tmp_path / "inferred", python=python) == wanted
    options = ["--device", "cpu", "--output-dir", tmp_path / "predicted"]
    predict = ("-m", "monai_tff", "predict", bundle.archive, *test_scans, *options)
    stranger(*predict, python=python, cold=kind == "sex")
    assert outputs(tmp_path / "predicted") == wanted
    assert outputs(folder) == outputs(bundle.folder)


@pytest.mark.fresh
def test_unpacked_by_hand_and_checked_in_a_new_environment(
    exports: Callable[[str], Any],
    fresh: SimpleNamespace,
    stranger: Callable[..., Any],
    outputs: Outputs,
    tmp_path: Path,
) -> None:
    bundle, python = exports("sex"), fresh.python
    stranger("-m", "zipfile", "-e", bundle.archive, tmp_path / "by_hand", python=python)
    folder = tmp_path / "by_hand" / bundle.name
    assert outputs(folder) == outputs(bundle.folder)
    for place in (folder, bundle.archive):
        stranger("-m", "monai_tff", "verify", place, python=python)
    assert_monai_verifies(folder, stranger, python)
    assert_loads(bundle, folder, stranger, python=python)
    assert outputs(folder) == outputs(bundle.folder)


@pytest.fixture
def large_bundle(exports: Callable[[str], Any], tmp_path: Path) -> Path:
    """An export whose weights are too large for the repository of a bundle: random ones of a wide network."""
    source = read_run(exports("sex").run, inference_only=True)
    network = {**source.network, "hidden_size": 512}
    state = TFFPredictor(**{key: value for key, value in network.items() if key != "_target_"}).state_dict()
    wide = dataclasses.replace(source, network=network, state=state)
    details = Details(name="large", url="https://weights.example.org/large/")
    return write_bundle(wide, tmp_path / "large", details, say=lambda _: None).folder


@pytest.mark.fresh
def test_large_files_come_from_where_the_bundle_says(
    large_bundle: Path,
    fresh: SimpleNamespace,
    web_server: Callable[[Path], Any],
    stranger: Callable[..., Any],
    outputs: Outputs,
) -> None:
    whole = outputs(large_bundle)
    weights = sorted(name for name in whole if name.startswith("models/"))
    listing = large_bundle / "large_files.yml"
    entries = yaml.safe_load(listing.read_text(encoding="utf-8"))["large_files"]
    assert [entry["path"] for entry in entries] == weights
    assert entries[0]["url"] == "https://weights.example.org/large/model.pt"
    shutil.move(large_bundle / "models", large_bundle.parent / "served")
    with web_server(large_bundle.parent / "served") as address:
        # the test's server in the place of the one that is named
        listing.write_bytes(whole["large_files.yml"].replace(b"https://weights.example.org/large", address.encode()))
        stranger("-m", "monai.bundle", "download_large_files", "--bundle_path", large_bundle, python=fresh.python)
    listing.write_bytes(whole["large_files.yml"])
    assert outputs(large_bundle) == whole
    stranger("-m", "monai_tff", "verify", large_bundle, python=fresh.python)
