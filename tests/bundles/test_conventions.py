"""What a shareable bundle must look like, whatever its content."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUNDLES = sorted(path.name for path in (ROOT / "bundles").iterdir() if path.is_dir())
CONFIGS = sorted(
    file.relative_to(ROOT)
    for folder in ("bundles", "configs")
    for file in (ROOT / folder).rglob("*")
    if file.suffix in (".yaml", ".json", ".conf") and "models" not in file.parts
)
REQUIRED = ("train.yaml", "evaluate.yaml", "inference.yaml", "metadata.json", "logging.conf")


def each_bundle() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("bundle", BUNDLES)


def metadata(bundle: str) -> dict:
    return json.loads((ROOT / "bundles" / bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))


def test_there_are_two_bundles() -> None:
    assert BUNDLES == ["tff_fmri_prediction", "tff_fmri_reconstruction"]


@each_bundle()
def test_required_files(bundle: str) -> None:
    configs = ROOT / "bundles" / bundle / "configs"
    assert [name for name in REQUIRED if not (configs / name).is_file()] == []


@pytest.mark.parametrize("file", CONFIGS, ids=str)
def test_format(file: Path) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    is_data = file.suffix == ".json"  # a sentence of the metadata cannot be wrapped
    too_long = [n for n, line in enumerate(text.splitlines(), start=1) if len(line) > 120 and not is_data]
    assert too_long == []
    assert text.endswith("\n")
    assert not re.search(r"[ \t]+$", text, re.MULTILINE)
    assert not re.search(r"(/home|/Users|/root|/work|/tmp|[A-Z]:\\)", text), "a personal path"
    if is_data:
        assert text == json.dumps(json.loads(text), indent=4) + "\n"


@each_bundle()
def test_metadata_names_the_version_and_what_it_was_tested_with(bundle: str) -> None:
    content = metadata(bundle)
    assert content["name"] == bundle
    assert content["version"] in content["changelog"]
    assert set(content["network_data_format"]["inputs"]) == {"image"}
    assert set(content["network_data_format"]["outputs"]) == {"pred"}
    assert "diagnosis" in content["intended_use"]
    named = {**content["required_packages_version"], "monai": content["monai_version"]}
    named |= {"torch": content["pytorch_version"], "numpy": content["numpy_version"]}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.lower().split("==") for line in lines if "==" in line)
    assert named.pop("monai_tff") == version("monai_tff")
    assert {name: tested[name] for name in named} == named


@each_bundle()
def test_logging_shows_the_run_on_the_standard_output(bundle: str) -> None:
    text = (ROOT / "bundles" / bundle / "configs" / "logging.conf").read_text(encoding="utf-8")
    assert "args=(sys.stdout,)" in text


@each_bundle()
def test_inference_stands_alone(bundle: str) -> None:
    """MONAI Label reads it beside metadata.json, without the rest of the bundle."""
    text = (ROOT / "bundles" / bundle / "configs" / "inference.yaml").read_text(encoding="utf-8")
    assert "_meta_" not in text
    assert [line for line in text.splitlines() if re.search(r"%\S+\.(yaml|json)", line)] == []
