"""All hostile bundles by name, and the fixtures that the tests of them share."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from monai_tff.bundle import layout
from monai_tff.bundle.verification import SAFETY_RULES
from monai_tff.errors import BundleError

PARTS = ("expressions", "texts", "files", "weights", "torchscript", "programs", "contracts", "archives")


def load(name: str) -> Any:
    """A module beside this one, for the others to import by its name."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


hostile, uses = load("hostile"), load("hostile_uses")
for part in PARTS:
    load(f"hostile_{part}")
CASES = {case.name: case for case in hostile.CASES}


@pytest.fixture
def canary(tmp_path: Path) -> Any:
    return hostile.Canary(tmp_path / "canary")


@pytest.fixture(scope="module")
def good(exports: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Path]:
    """A good bundle, with the configs of training and evaluation or without, that no test may change."""
    return cache(lambda trains: copied(exports("sex").folder, tmp_path_factory.mktemp("good"), trains))


@pytest.fixture
def make(good: Callable[[bool], Path], tmp_path: Path, canary: Any) -> Callable[[str], Path]:
    """Makes the hostile bundle of a name."""

    def made(name: str) -> Path:
        case = CASES[name]
        folder = good(case.trains)
        bundle = Path(shutil.copytree(folder, tmp_path / "around" / folder.name))
        case.make(bundle, canary)
        if case.hashes:
            layout.write_manifest(bundle)
        assert not canary.touched
        return bundle

    return made


def copied(folder: Path, tmp_path: Path, trains: bool = False) -> Path:
    """A copy of a good bundle; without the configs of training and evaluation it is checked in half the time."""
    left_out = () if trains else ("train.yaml", "evaluate.yaml")
    place = tmp_path / "around" / folder.name
    bundle = Path(shutil.copytree(folder, place, ignore=shutil.ignore_patterns(*left_out)))
    layout.write_manifest(bundle)
    return bundle


def assert_named(raised: pytest.ExceptionInfo[BundleError]) -> None:
    """The sentence names the rule, and is one line that a terminal shows as it is."""
    sentence = str(raised.value)
    assert any(f"rule '{rule}'" in sentence for rule in SAFETY_RULES), sentence
    assert sentence.isprintable()
