from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from monai_tff.bundle import layout
from monai_tff.bundle.export import Details, export_run
from monai_tff.bundle.verification import RULES
from monai_tff.cli.verify import SHOWN

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def exported(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("export")
    return export_run(runs.finetune, out, Details(name="hcp_sex_classification"), say=lambda _: None)


def test_a_sound_bundle(exported: Any, command: Command) -> None:
    result = command("verify", exported.folder)
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [[rule, "ok"] for rule in list(RULES)[1:]]


def test_a_sound_archive(exported: Any, command: Command) -> None:
    result = command("verify", exported.archive, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_findings(exported: Any, command: Command, tmp_path: Path) -> None:
    bundle = shutil.copytree(exported.folder, tmp_path / "bundle")
    config = bundle / layout.INFERENCE
    config.write_text(config.read_text().replace("amp: false", "amp: $__import__('os').abort()"))
    layout.write_manifest(bundle)
    result = command("verify", bundle)
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if not line.startswith(" ")}
    assert result.exit_code == 1
    assert lines["manifest"].startswith("manifest     ok")
    assert lines["configs"].startswith("configs      1 finding")
    assert lines["network"].startswith("network      not checked")
    sentence = (
        "  - configs/inference.yaml: amp is the expression \"$__import__('os').abort()\", which no shipped bundle"
    )
    assert sentence in result.stdout
    assert result.stderr == f"{bundle}: 1 finding(s), 1 of safety: do not use this bundle.\n"
    as_json = command("verify", bundle, "--json")
    assert as_json.exit_code == 1
    (found,) = json.loads(as_json.stdout)
    assert (found["rule"], found["where"]) == ("configs", "configs/inference.yaml")


def test_a_finding_that_is_not_of_safety(exported: Any, command: Command, tmp_path: Path) -> None:
    bundle = shutil.copytree(exported.folder, tmp_path / "bundle")
    card = bundle / layout.MODEL_CARD
    card.write_text(card.read_text().replace("## Limitations", "## Limits"))
    layout.write_manifest(bundle)
    result = command("verify", bundle)
    assert result.exit_code == 1
    assert result.stderr == f"{bundle}: 1 finding(s), none of safety.\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no such file or folder, expected a bundle or its .zip; check the path."), (b"x", "")],
    ids=["nothing", "no archive"],
)
def test_what_is_no_bundle(content: bytes | None, message: str, command: Command, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    if content is not None:
        path.write_bytes(content)
    result = command("verify", path)
    assert result.exit_code == 1
    if content is None:
        assert result.stderr == f"error: {path}: {message}\n"
    else:
        assert result.stdout.splitlines()[0].startswith("archive      1 finding")
        assert result.stdout.count("not checked") == len(RULES) - 1


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "run",
            "is a run folder, expected an exported bundle; export it first (predict and serve check a run folder by "
            "themselves).",
        ),
        ("empty", "has no manifest.json, expected the folder of an exported bundle; check the path."),
        (
            "parent",
            "has no manifest.json, expected the folder of an exported bundle; name one of the bundles in it "
            "(hcp_sex_classification).",
        ),
    ],
)
def test_other_folders(kind: str, message: str, exported: Any, runs: Any, command: Command, tmp_path: Path) -> None:
    folder = {"run": runs.finetune, "empty": tmp_path, "parent": exported.folder.parent}[kind]
    for options in ([], ["--json"]):
        result = command("verify", folder, *options)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"error: {folder}: {message}\n")


def test_an_export_without_its_manifest_has_findings(exported: Any, command: Command, tmp_path: Path) -> None:
    bundle = shutil.copytree(exported.folder, tmp_path / "bundle")
    (bundle / layout.MANIFEST).unlink()
    result = command("verify", bundle)
    assert result.exit_code == 1
    assert "  - manifest.json: there is no such file, expected one" in result.stdout


def test_many_findings_are_shortened(exported: Any, command: Command, tmp_path: Path) -> None:
    bundle = shutil.copytree(exported.folder, tmp_path / "bundle")
    for number in range(SHOWN + 2):
        (bundle / f"note_{number}.txt").touch()
    result = command("verify", bundle)
    assert result.stdout.count("a file that no bundle has") == SHOWN
    assert "  - and 2 more; --json prints all" in result.stdout
    assert len(json.loads(command("verify", bundle, "--json").stdout)) == SHOWN + 2
