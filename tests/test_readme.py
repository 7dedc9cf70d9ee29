"""The documents say what is so: their commands parse, their files exist, their snippets load."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from monai.bundle import ConfigParser
from typer.main import get_command

from monai_tff.bundle.experiment import read_experiment
from monai_tff.cli.app import build_app
from monai_tff.resources import SHIPPED, shipped_path

ROOT = Path(__file__).parents[1]


def command_lines_module() -> Any:
    """What finds the command lines of the documents, also for tests/documents, which run them."""
    spec = importlib.util.spec_from_file_location("command_lines", ROOT / "tests" / "documents" / "command_lines.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("command_lines", module)  # dataclasses look up the module of their annotations
    spec.loader.exec_module(module)
    return module


lines = command_lines_module()
BUNDLES, FROM_ROOT, README, snippets = lines.BUNDLES, lines.FROM_ROOT, lines.README, lines.snippets
SECTIONS = ["Model Overview", "Data", "Training configuration", "Input", "Output", "Performance", "Commands"]
SECTIONS += ["Limitations", "References", "License"]

RUN_IDS = {"training": "train", "evaluating": "evaluate", "inferring": "inference"}
"""Ids that a user runs, and the config file whose keys the overrides are of."""


def commands(beginning: str) -> list[Any]:
    """Parameters (document, words after the beginning) of each command line in the documents."""
    return [pytest.param(document, words, id=name) for document, words, name in lines.commands(beginning)]


def bundle_of(document: Path, config_files: list[str]) -> Path:
    """The bundle that a command line of a document runs."""
    if document not in FROM_ROOT:
        return document.parents[1]
    named = [bundle for bundle in BUNDLES if bundle.name in config_files[0]]
    return named[0] if named else ROOT / "bundles" / "tff_fmri_prediction"


def config_path(document: Path, name: str) -> Path | None:
    """Where a config file of a command line lies; None for the layer that the reader writes."""
    if name in ("my_study.yaml", "my_dataset.yaml"):
        return None
    if name.startswith(("runs/", "shared/")):  # a run folder and an export get their configs from the bundle
        return bundle_of(document, [name]) / "configs" / Path(name).name
    return (ROOT if document in FROM_ROOT else document.parents[1]) / name


@pytest.mark.parametrize(("document", "words"), commands("python -m monai_tff"))
def test_command_of_monai_tff_parses(document: Path, words: list[str]):
    if words == ["--help"]:
        return
    group = get_command(build_app())
    command = group.commands[words[0]]  # type: ignore[attr-defined]
    if "--help" not in words:
        command.make_context(words[0], words[1:])
    for word in words:
        if word.startswith(SHIPPED):
            assert shipped_path(word, ROOT).is_file()


@pytest.mark.parametrize(("document", "words"), commands("python -m monai.bundle run"))
def test_command_of_the_stock_runner_names_files_and_keys_that_exist(document: Path, words: list[str]):
    run_id, options = words[0], dict(zip(words[1::2], words[2::2], strict=True))
    assert all(option.startswith("--") for option in options)
    given = options.pop("--config_file")
    names = yaml.safe_load(given) if given.startswith("[") else [given]
    paths = [path for name in names if (path := config_path(document, name)) is not None]
    assert [path for path in paths if not path.is_file()] == []
    bundle = bundle_of(document, names)
    base = bundle / "configs" / ("inference.yaml" if run_id == "inferring" else "train.yaml")
    known = ConfigParser.load_config_files([base, *paths])
    assert [option for option in options if option.removeprefix("--") not in known] == []
    assert run_id in ConfigParser.load_config_file(bundle / "configs" / f"{RUN_IDS[run_id]}.yaml")


def test_the_documents_hold_commands():
    assert len(commands("python -m monai_tff")) >= 6
    assert len(commands("python -m monai.bundle run")) >= 12


def test_make_targets_of_the_readme_exist():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"^make ([\w-]+)$", "\n".join(snippets(README, "bash")), re.MULTILINE)
    named += re.findall(r"`make ([\w-]+)`", README.read_text(encoding="utf-8"))
    assert {"demo", "test"} <= set(named) <= set(targets)


def test_python_of_the_readme_runs():
    (snippet,) = snippets(README, "python")
    names: dict[str, Any] = {}
    exec(compile(snippet, str(README), "exec"), names)
    assert names["logits"].shape == (2, 1)
    assert names["codes"].shape == (2, 20, 160)


def test_the_recommended_experiment_takes_the_layer_of_the_readme():
    experiment = read_experiment("monai_tff:configs/experiments/recommended.yaml")
    assert [phase.name for phase in experiment.phases] == ["autoencoder", "transformer", "finetune"]
    (snippet,) = snippets(README, "yaml")
    layer = yaml.safe_load(snippet)
    for phase in experiment.phases:
        assert set(layer) <= set(ConfigParser.load_config_file(phase.config_files[0]))


@pytest.mark.parametrize(
    "document", [*lines.DOCUMENTS, ROOT / "CHANGELOG.md"], ids=lambda path: str(path.relative_to(ROOT))
)
def test_links_and_named_files_exist(document: Path):
    text = document.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    assert [link for link in links if not (document.parent / link).exists()] == []
    here = ROOT / "configs" / "experiments" if document == README else ROOT / "configs"
    experiments = re.findall(r"`(paper_\w+\.yaml|demo\.yaml)`", text)
    assert [name for name in experiments if not any(here.rglob(name))] == []


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_bundle_has_the_documents_of_the_model_zoo(bundle: Path):
    text = (bundle / "docs" / "README.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    assert headings == SECTIONS
    assert "ships without weights" in text
    assert (bundle / "docs" / "data_license.txt").read_text(encoding="utf-8").startswith("This bundle holds no data")
    assert (bundle / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def layer_keys() -> dict[str, set[str]]:
    """Keys by kind of layer, from the table in configs/README.md."""
    rows = re.findall(
        r"^\| ([\w ]+) \| .*? \| (`.*`) \|$", (ROOT / "configs" / "README.md").read_text("utf-8"), re.MULTILINE
    )
    return {kind: set(re.findall(r"`([\w#]+)`", keys)) for kind, keys in rows}


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("phase", "bundles/*/configs/train_*.yaml"),
        ("dataset", "configs/datasets/*.yaml"),
        ("hardware", "configs/hardware/*.yaml"),
        ("several processes", "bundles/*/configs/multi_gpu_*.yaml"),
        ("evaluate", "bundles/*/configs/evaluate.yaml"),
    ],
)
def test_layers_set_the_keys_of_their_kind(kind: str, files: str):
    keys = layer_keys()[kind]
    paths = sorted(ROOT.glob(files))
    assert paths
    for path in paths:
        found = {"#".join(key.split("#")[:2]) for key in yaml.safe_load(path.read_text(encoding="utf-8"))}
        assert found - keys == set(), path


def test_kinds_of_layers_share_no_key():
    kinds = layer_keys()
    for kind, keys in kinds.items():
        for other in kinds.keys() - {kind}:
            assert keys & kinds[other] == set()
