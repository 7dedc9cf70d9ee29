"""What a built wheel holds, and that the requirements and the tested versions agree."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from monai_tff import __version__, resources
from monai_tff.errors import ConfigError

ROOT = Path(__file__).parents[1]
DATA_FOLDERS = ("bundles", "configs")
TRAIN_CONFIG = Path("tff_fmri_prediction", "configs", "train.yaml")


def set_up() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(section: str, key: str) -> list[str]:
    return set_up().get(section, key).split("\n")[1:]


def shipped_files() -> set[str]:
    """Files of bundles/ and configs/, without the weights and caches of runs that started there."""
    files = {file.relative_to(ROOT) for name in DATA_FOLDERS for file in (ROOT / name).rglob("*") if file.is_file()}
    return {file.as_posix() for file in files if not {"models", "__pycache__"} & set(file.parts)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy, so that no old build folder of the checkout gets into it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("monai_tff", *DATA_FOLDERS):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.iterdir():
        if file.is_file() and not file.name.startswith("."):
            shutil.copy(file, source)
    weights = source / "bundles" / "tff_fmri_prediction" / "models" / "model.pt"
    weights.parent.mkdir(exist_ok=True)
    weights.write_bytes(b"weights of a run")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", target, source]
    run = subprocess.run(build, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    (file,) = target.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_ships_the_bundles_and_configs(unpacked: Path) -> None:
    found = {
        file.relative_to(unpacked / "monai_tff").as_posix().removeprefix("_")
        for name in DATA_FOLDERS
        for file in (unpacked / "monai_tff" / f"_{name}").rglob("*")
        if file.is_file()
    }
    assert found == shipped_files()
    assert f"bundles/{TRAIN_CONFIG.as_posix()}" in found


def test_the_wheel_ships_the_code_and_the_license(wheel: Path, unpacked: Path) -> None:
    code = {file.relative_to(ROOT).as_posix() for file in (ROOT / "monai_tff").rglob("*.py")}
    assert {file.relative_to(unpacked).as_posix() for file in unpacked.rglob("*.py")} == code
    assert (unpacked / "monai_tff" / "py.typed").exists()
    (license_file,) = unpacked.glob("*.dist-info/licenses/LICENSE")
    assert "Apache License" in license_file.read_text(encoding="utf-8")
    assert wheel.name == f"monai_tff-{__version__}-py3-none-any.whl"


def test_the_wheel_puts_nothing_beside_the_package(unpacked: Path) -> None:
    assert {path.name for path in unpacked.iterdir()} == {"monai_tff", f"monai_tff-{__version__}.dist-info"}


def test_an_installed_wheel_finds_its_own_bundles_and_configs(unpacked: Path, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r}); from monai_tff import resources; "
        "print(resources.bundles_folder(), resources.configs_folder(), sep='\\n')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert run.stdout.split() == [str(unpacked / "monai_tff" / f"_{name}") for name in DATA_FOLDERS]


def test_a_checkout_finds_the_folders_of_its_root() -> None:
    assert (resources.bundles_folder(), resources.configs_folder()) == (ROOT / "bundles", ROOT / "configs")
    assert (resources.bundles_folder() / TRAIN_CONFIG).exists()


def test_an_installation_without_bundles_says_so(unpacked: Path, tmp_path: Path) -> None:
    shutil.copytree(unpacked / "monai_tff", tmp_path / "monai_tff", ignore=shutil.ignore_patterns("_bundles"))
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from monai_tff import resources; "
        "resources.bundles_folder()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    last = run.stderr.splitlines()[-1]
    assert last.startswith(f"monai_tff.errors.{ConfigError.__name__}: bundles: found neither ")
    assert last.endswith("install monai_tff again.")


def test_every_folder_with_code_is_in_the_list_of_packages() -> None:
    folders = {file.parent.relative_to(ROOT) for file in (ROOT / "monai_tff").rglob("*.py")}
    data = {f"monai_tff._{name}" for name in DATA_FOLDERS}
    assert set(lines("options", "packages")) == {".".join(folder.parts) for folder in folders} | data


def requirements() -> list[Requirement]:
    extras = set_up()["options.extras_require"]
    texts = lines("options", "install_requires") + [line for name in extras for line in extras[name].split("\n")[1:]]
    return [Requirement(text) for text in texts]


def constrained_versions() -> dict[str, str]:
    content = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.lower().replace("_", "-").split("==") for line in content if not line.startswith("#"))


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_the_tested_version_meets_the_requirement(requirement: Requirement) -> None:
    assert constrained_versions()[requirement.name.lower()] in requirement.specifier


def test_constraints_are_plain_versions_of_any_machine() -> None:
    content = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in content if not re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []


def test_torchvision_is_never_required() -> None:
    assert "torchvision" not in constrained_versions()
    assert "torchvision" not in {requirement.name for requirement in requirements()}
