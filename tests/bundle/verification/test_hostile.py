"""Hostile bundles: each is refused by a named rule, and the canary that its code would touch is as it was."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from monai_tff.bundle import layout
from monai_tff.bundle.verification import SAFETY_RULES, refuse_unsafe, verify_bundle
from monai_tff.bundle.verification.documents import large_files_findings
from monai_tff.bundle.verification.findings import refused
from monai_tff.errors import BundleError

Command = Callable[..., Result]


spec = importlib.util.spec_from_file_location("hostile_cases", Path(__file__).with_name("hostile_cases.py"))
assert spec is not None
assert spec.loader is not None
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)
canary, good, make = cases.canary, cases.good, cases.make
hostile, CASES, assert_named = cases.hostile, cases.CASES, cases.assert_named
FETCHED = cases.load("hostile_files").FETCHED
BITING = [name for name, case in CASES.items() if case.bites]
COMMANDS = (
    *("target_os_remove", "expression_as_a_path", "import_in_the_metadata", "reader_that_is_a_module"),
    *("logging_arguments_that_are_code", "yaml_tag_that_calls", "pickle_that_calls", "torchscript_that_saves"),
    *("program_with_code_as_a_size", "file_torch.py", "link_to_weights_outside", "hash_of_another_config"),
    *("contract_of_another_threshold", "weights_not_loaded", "network_of_a_size_that_no_machine_has"),
)
"""One of each kind, for the commands."""


@pytest.mark.parametrize("trains", [True, False], ids=["with_training", "inference_only"])
def test_the_good_bundle_is_good(trains: bool, exports: Callable[[str], Any], tmp_path: Path) -> None:
    bundle = cases.copied(exports("sex").folder, tmp_path, trains)
    assert verify_bundle(bundle) == []
    refuse_unsafe(bundle)


def test_there_are_many_and_none_twice() -> None:
    assert len(CASES) == len(hostile.CASES) >= 250
    assert len(BITING) >= 80


@pytest.mark.parametrize("name", BITING)
def test_without_verification_it_bites(name: str, make: Callable[[str], Path], canary: Any) -> None:
    CASES[name].bites(make(name))
    assert canary.touched


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_bundle_is_refused(name: str, make: Callable[[str], Path], canary: Any) -> None:
    bundle, case = make(name), CASES[name]
    found = verify_bundle(bundle)
    assert not canary.touched
    assert {finding.rule for finding in found} & set(case.rules), found
    assert [finding for finding in found if not finding.sentence.isprintable() or len(finding.sentence) > 600] == []
    if case.unsafe:
        with pytest.raises(BundleError) as raised:
            refuse_unsafe(bundle)
        assert_named(raised)
        assert not canary.touched


@pytest.mark.parametrize("name", COMMANDS)
def test_the_commands_refuse_it(
    name: str, make: Callable[[str], Path], canary: Any, command: Command, cohort: Any, tmp_path: Path
) -> None:
    bundle = make(name)
    result = command("verify", bundle)
    assert result.exit_code == 1
    assert any(f"{rule:12} " in line and "finding(s)" in line for rule in CASES[name].rules for line in [result.stdout])
    result = command("predict", bundle, cohort.folder, "--output-dir", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {bundle}: ")
    assert any(f"rule '{rule}'" in line for rule in SAFETY_RULES)
    assert not canary.touched
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["around", "canary"]


def test_a_process_of_its_own_refuses_it(make: Callable[[str], Path], canary: Any, cohort: Any, tmp_path: Path) -> None:
    bundle = make("expression_in_initialize")
    options = [str(bundle), str(cohort.folder), "--output-dir", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "monai_tff", "predict", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {bundle}: ")
    assert not canary.touched


def test_trusted_it_runs(
    make: Callable[[str], Path], canary: Any, command: Command, cohort: Any, tmp_path: Path
) -> None:
    """What the refusal is for: the same bundle with --trust does harm."""
    bundle = make("expression_in_initialize")
    with suppress(Exception):
        command("predict", bundle, cohort.folder, "--output-dir", tmp_path / "out", "--trust")
    assert canary.touched


@pytest.mark.parametrize("name", FETCHED)
def test_a_hostile_list_of_downloads_is_refused(name: str, exports: Callable[[str], Any], tmp_path: Path) -> None:
    bundle = cases.copied(exports("sex").folder, tmp_path)
    (bundle / layout.LARGE_FILES).write_text(FETCHED[name])
    assert refused("large_files", layout.LARGE_FILES, large_files_findings, bundle)


def test_what_does_no_harm_is_not_refused(exports: Callable[[str], Any], tmp_path: Path) -> None:
    """A script in a text that nobody runs, what the hub adds, and settings that are the user's."""
    bundle = cases.copied(exports("sex").folder, tmp_path)
    hostile.append(bundle / layout.MODEL_CARD, "\n<script>alert(1)</script>\n")
    with hostile.config(bundle) as content:
        content |= {"stride": 2, "reader": "ITKReader", "amp": True}
    layout.write_manifest(bundle)
    (bundle / "README.md").write_text("---\nlicense: other\n---\n")
    (bundle / ".gitattributes").write_text("*.pt filter=lfs\n")
    (bundle / ".cache" / "huggingface" / "download").mkdir(parents=True)
    (bundle / ".cache" / "huggingface" / "download" / "LICENSE.metadata").write_text("0\n")
    refuse_unsafe(bundle)
    assert verify_bundle(bundle) == []
