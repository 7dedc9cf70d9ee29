"""Hostile run folders: without a manifest, what a prediction reads of one is held to the same rules."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest

from monai_tff.bundle.verification import refuse_unsafe
from monai_tff.errors import BundleError

spec = importlib.util.spec_from_file_location("hostile_cases", Path(__file__).with_name("hostile_cases.py"))
assert spec is not None
assert spec.loader is not None
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)
canary = cases.canary
CASES, assert_named = cases.CASES, cases.assert_named

IN_A_RUN = (
    *(
        "target_os_remove",
        "target_in_a_list",
        "expression_as_the_weights",
        "expression_in_run",
        "import_in_the_metadata",
    ),
    *("key_that_sets_a_target", "macro_of_another_file", "reader_that_is_a_module", "logging_class_that_is_code"),
    *("yaml_tag_that_calls", "yaml_list_in_itself", "pickle_that_calls", "pickle_of_names_from_its_memory"),
    *("pickle_before_a_zip", "pickle_of_the_old_format", "weights_not_loaded", "scans_without_a_contract"),
    *("link_to_a_config_outside", "file_torch.py", "file_torch/__init__.py", "network_of_layers_without_end"),
)
CODE_IN_A_RUN = (
    "nrrd.py",
    "nrrd.PY",
    "nrrd.so",
    "nrrd.pyc",
    "nrrd/__init__.py",
    "pydicom/uid.py",
    "cupyx/scipy/ndimage.py",
)


@pytest.fixture
def run(runs: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(runs.finetune, tmp_path / "around" / "finetune"))


def test_a_run_of_ones_own_is_good(run: Path) -> None:
    refuse_unsafe(run)


@pytest.mark.parametrize("name", IN_A_RUN)
def test_a_hostile_run_is_refused(name: str, run: Path, canary: Any) -> None:
    CASES[name].make(run, canary)
    with pytest.raises(BundleError) as refused:
        refuse_unsafe(run)
    assert_named(refused)
    assert not canary.touched


@pytest.mark.parametrize("name", CODE_IN_A_RUN)
def test_a_run_with_code_is_refused(name: str, run: Path, canary: Any) -> None:
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    (run / name).write_text(canary.module)
    with pytest.raises(BundleError, match="rule 'tree'"):
        refuse_unsafe(run)


def test_weights_outside_of_a_run_are_refused(run: Path) -> None:
    (run / "models" / "model.pt").rename(run.parent / "model.pt")
    (run / "models" / "model.pt").symlink_to(run.parent / "model.pt")
    with pytest.raises(BundleError, match="rule 'tree'"):
        refuse_unsafe(run)
