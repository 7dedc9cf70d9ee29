"""Exports by the tools and rules of MONAI and its model zoo, apart from our own verification."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out

from monai_tff.bundle import verification

PHASES = ("autoencoder", "transformer", "sex", "age", "site")
SCHEMA = Path(verification.__file__).with_name("meta_schema_20240725.json")
REQUIRED_KEYS = (
    *("schema", "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version"),
    *("task", "description", "authors", "copyright", "network_data_format", "name", "changelog", "intended_use"),
)
TENSOR_KEYS = (
    "type",
    "format",
    "num_channels",
    "spatial_shape",
    "dtype",
    "value_range",
    "is_patch_data",
    "channel_def",
)
SECTIONS = (
    *("Model Overview", "Data", "Training configuration", "Input", "Output"),
    *("Performance", "Commands", "Limitations", "References", "License"),
)


@pytest.fixture(params=PHASES)
def folder(request: pytest.FixtureRequest, exports: Callable[[str], Any]) -> Path:
    return exports(request.param).folder


def metadata(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "configs/metadata.json").read_text())


def test_the_metadata_by_monai(folder: Path, tmp_path: Path) -> None:
    # MONAI may write to the schema's file, and downloads it where it is missing
    schema = shutil.copy(SCHEMA, tmp_path / "schema.json")
    verify_metadata(meta_file=str(folder / "configs/metadata.json"), filepath=str(schema))


def test_the_network_by_monai(folder: Path) -> None:
    files = {"meta_file": folder / "configs/metadata.json", "config_file": folder / "configs/inference.yaml"}
    verify_net_in_out("network_def", **{key: str(path) for key, path in files.items()}, device="cpu", any=4)


def test_the_properties_by_monai(folder: Path, cohort: Any) -> None:
    workflow = ConfigWorkflow(
        str(folder / "configs/inference.yaml"),
        workflow_type="infer",
        logging_file=False,
        dataset_dir=str(cohort.folder),
    )
    workflow.initialize()
    assert workflow.check_properties() == []


def test_the_rules_of_the_zoo(folder: Path) -> None:
    for name in ("LICENSE", "configs/logging.conf", "docs/README.md", "docs/data_license.txt", "large_files.yml"):
        assert (folder / name).stat().st_size > 0, name
    assert {"train.yaml", "evaluate.yaml", "inference.yaml"} <= {path.name for path in (folder / "configs").iterdir()}
    content = metadata(folder)
    assert [key for key in REQUIRED_KEYS if not content.get(key)] == []
    assert content["version"] in content["changelog"]
    assert content["name"] == folder.name
    formats = content["network_data_format"]
    assert (list(formats["inputs"]), list(formats["outputs"])) == (["image"], ["pred"])
    for tensor in (formats["inputs"]["image"], formats["outputs"]["pred"]):
        assert [key for key in TENSOR_KEYS if key not in tensor] == []
        assert all(key.isdecimal() for key in tensor["channel_def"])
    text = (folder / "docs/README.md").read_text()
    assert re.findall(r"^##? (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)[-10:] == list(SECTIONS)
    listed = {entry["path"] for entry in yaml.safe_load((folder / "large_files.yml").read_text())["large_files"]}
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.relative_to(folder).as_posix() for path in files if path.stat().st_size > 25 * 1024**2} == listed


def test_the_form_of_the_texts(folder: Path) -> None:
    text = (folder / "configs/metadata.json").read_text()
    assert text == json.dumps(json.loads(text), indent=4) + "\n"
    for path in (folder / "configs").glob("*.yaml"):
        assert [line for line in path.read_text().splitlines() if len(line) > 120] == []
