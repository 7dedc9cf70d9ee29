"""The workflow that is running is found from inside its expressions."""

from __future__ import annotations

from pathlib import Path

import pytest
from monai.bundle import ConfigWorkflow
from monai.bundle.scripts import create_workflow

from monai_tff.bundle import Workflow
from monai_tff.bundle.caller import bundle_root, calling_parser, config_files
from monai_tff.errors import ConfigError

CONFIG = """
imports:
- $import monai_tff.bundle.caller as caller
bundle_root: $caller.bundle_root()
answers: {parser: $caller.calling_parser(), files: $caller.config_files()}
initialize: $@answers
run: []
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "bundle" / "configs").mkdir(parents=True)
    (tmp_path / "bundle" / "configs" / "train.yaml").write_text(CONFIG)
    (tmp_path / "layer.yaml").write_text("run: [$1]")
    return tmp_path / "bundle"


def test_the_root_of_a_bundle(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bundle.parent)
    workflow = ConfigWorkflow("bundle/configs/train.yaml", logging_file=False)
    (answers,) = workflow.initialize()
    assert answers["parser"] is workflow.parser
    assert workflow.bundle_root == str(bundle)


def test_the_files_that_were_merged(bundle: Path) -> None:
    files = [str(bundle / "configs" / "train.yaml"), str(bundle.parent / "layer.yaml")]
    (answers,) = Workflow(files, logging_file=False).initialize()
    assert answers["files"] == files


def test_the_files_of_the_stock_command(bundle: Path) -> None:
    files = [str(bundle / "configs" / "train.yaml"), str(bundle.parent / "layer.yaml")]
    workflow = create_workflow(config_file=files, logging_file=False)
    (answers,) = workflow.initialize()
    assert answers["files"] == []  # no longer in the command, and a plain ConfigWorkflow forgets them


def test_outside_a_configuration() -> None:
    assert bundle_root() == str(Path.cwd())
    assert config_files() == []
    with pytest.raises(ConfigError, match="called outside a configuration"):
        calling_parser()
