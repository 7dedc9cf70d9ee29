"""Each rule of the model zoo, applied to exported bundles; written from the rules, apart from our own verification.

A rule is a function that takes the folder of a bundle and yields what is wrong. That each of them sees something is
shown by a bundle that breaks it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out

from monai_tff.bundle import verification

SCHEMA = Path(verification.__file__).with_name("meta_schema_20240725.json")
KINDS = ("sex", "age", "site", "reconstruction", "autoencoder")
FILES = (
    *("LICENSE", "configs/metadata.json", "configs/train.yaml", "configs/evaluate.yaml", "configs/inference.yaml"),
    *("configs/logging.conf", "models/model.pt", "docs/README.md", "docs/data_license.txt", "large_files.yml"),
)
METADATA_KEYS = (
    *("schema", "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version", "task"),
    *("description", "authors", "copyright", "network_data_format", "name", "changelog"),
)
TENSOR_KEYS = (
    *("type", "format", "num_channels", "spatial_shape", "dtype", "value_range", "is_patch_data", "channel_def"),
)
SHARED_IDS = ("bundle_root", "device", "dataset_dir", "network_def", "initialize", "run", "finalize")
TRAIN_IDS = tuple(f"train#{name}" for name in ("trainer", "dataset", "dataset#data", "handlers", "inferer"))
VALIDATE_IDS = tuple(f"validate#{name}" for name in ("evaluator", "dataset", "dataset#data", "handlers", "inferer"))
INFERENCE_IDS = ("dataset", "evaluator", "inferer", "preprocessing", "postprocessing")
SECTIONS = (
    *("Model Overview", "Data", "Training configuration", "Input", "Output"),
    *("Performance", "Commands", "Limitations", "References", "License"),
)
MEGABYTE = 2**20
PERSONAL = re.compile(r"(/home/|/Users/|/root/|/work/|/tmp/|[A-Z]:\\)")
Rule = Callable[[Path], Iterator[str]]


def metadata_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))


def texts(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "models")


def required_files(folder: Path) -> Iterator[str]:
    yield from (name for name in FILES if not (folder / name).is_file() or not (folder / name).stat().st_size)


def large_files(folder: Path) -> Iterator[str]:
    entries = yaml.safe_load((folder / "large_files.yml").read_text(encoding="utf-8"))["large_files"]
    for entry in entries:
        if set(entry) != {"path", "url", "hash_val", "hash_type"}:
            yield f"keys {sorted(entry)}"
        elif hashlib.new(entry["hash_type"], (folder / entry["path"]).read_bytes()).hexdigest() != entry["hash_val"]:
            yield f"hash of {entry['path']}"
    listed = {entry.get("path") for entry in entries}
    large = (path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 25 * MEGABYTE)
    yield from (str(path) for path in large if path.relative_to(folder).as_posix() not in listed)


def metadata_keys(folder: Path) -> Iterator[str]:
    content = metadata_of(folder)
    yield from (key for key in METADATA_KEYS if not content.get(key))
    if content["version"] not in content["changelog"]:
        yield "the version is not in the changelog"


def tensors(folder: Path) -> Iterator[str]:
    formats = metadata_of(folder)["network_data_format"]
    if (list(formats["inputs"]), list(formats["outputs"])) != (["image"], ["pred"]):
        yield "names of the input and output"
    for name, tensor in {**formats["inputs"], **formats["outputs"]}.items():
        yield from (f"{name}: {key}" for key in TENSOR_KEYS if key not in tensor)
        if tensor["type"] == "image" and "modality" not in tensor:
            yield f"{name}: modality"
        if sorted(int(key) for key in tensor["channel_def"]) != list(range(tensor["num_channels"])):
            yield f"{name}: channel_def"


def ids(folder: Path) -> Iterator[str]:
    evaluate = (*VALIDATE_IDS, "evaluator")
    wanted = {"train": (*TRAIN_IDS, *VALIDATE_IDS), "evaluate": evaluate, "inference": INFERENCE_IDS}
    for name, expected in wanted.items():
        config = yaml.safe_load((folder / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
        for key in (*SHARED_IDS, *expected):
            place = config
            for part in key.split("#"):
                place = place.get(part) if isinstance(place, dict) else None
            if place is None:
                yield f"{name}.yaml: {key}"


def sections(folder: Path) -> Iterator[str]:
    headings = re.findall(r"^#{1,2} (.*)$", (folder / "docs" / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    missing = [name for name in SECTIONS if name not in headings]
    yield from missing
    if not missing and [heading for heading in headings if heading in SECTIONS] != list(SECTIONS):
        yield "the order of the sections"


def columns(folder: Path) -> Iterator[str]:
    for path in texts(folder):
        if path.suffix in (".yaml", ".yml", ".conf"):  # a sentence of JSON or Markdown is one line
            lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
            yield from (f"{path.name}: {number}" for number, line in lines if len(line) > 120)


def indent(folder: Path) -> Iterator[str]:
    text = (folder / "configs" / "metadata.json").read_text(encoding="utf-8")
    if text.rstrip("\n") != json.dumps(json.loads(text), indent=4):
        yield "metadata.json"


def personal_paths(folder: Path) -> Iterator[str]:
    yield from (path.name for path in texts(folder) if PERSONAL.search(path.read_text(encoding="utf-8")))


RULES: tuple[Rule, ...] = (
    *(required_files, large_files, metadata_keys, tensors, ids, sections, columns, indent, personal_paths),
)


@pytest.fixture
def folder(kind: str, exports: Callable[[str], Any]) -> Path:
    return exports(kind).folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_exports_follow_the_rule(rule: Rule, folder: Path) -> None:
    assert list(rule(folder)) == []


def changed(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")

    return change


def add_a_large_file(folder: Path) -> None:
    with (folder / "models" / "other.pt").open("wb") as file:
        file.truncate(25 * MEGABYTE + 1)


def name_another_hash(folder: Path) -> None:
    entry = {"path": "models/model.pt", "url": "", "hash_val": "0" * 64, "hash_type": "sha256"}
    (folder / "large_files.yml").write_text(yaml.safe_dump({"large_files": [entry]}), encoding="utf-8")


METADATA, INFERENCE, CARD = "configs/metadata.json", "configs/inference.yaml", "docs/README.md"
BROKEN: list[tuple[Rule, Callable[[Path], None], str]] = [
    (required_files, lambda folder: (folder / "LICENSE").unlink(), "LICENSE"),
    (required_files, lambda folder: (folder / "docs" / "data_license.txt").write_text(""), "docs/data_license.txt"),
    (large_files, add_a_large_file, "other.pt"),
    (large_files, name_another_hash, "hash of models/model.pt"),
    (metadata_keys, changed(METADATA, '"authors"', '"writers"'), "authors"),
    (metadata_keys, changed(METADATA, '"version": "1.2.0"', '"version": "1.3.0"'), "not in the changelog"),
    (tensors, changed(METADATA, '"image": {', '"scan": {'), "names of the input and output"),
    (tensors, changed(METADATA, '"value_range"', '"range"'), "image: value_range"),
    (tensors, changed(METADATA, '"num_channels": 2', '"num_channels": 3'), "image: channel_def"),
    (ids, changed(INFERENCE, "\nnetwork_def:", "\nnet_def:"), "inference.yaml: network_def"),
    (ids, changed(INFERENCE, "\npostprocessing:", "\nafterwards:"), "inference.yaml: postprocessing"),
    (ids, changed("configs/train.yaml", "\ninitialize:", "\nbegin:"), "train.yaml: initialize"),
    (sections, changed(CARD, "## Limitations", "## Limits"), "Limitations"),
    (sections, lambda folder: changed(CARD, "## Data\n", "## Input\n\n## Data\n")(folder), "the order"),
    (columns, changed(INFERENCE, "\nrun:", "\n#" + " " * 120 + "\nrun:"), "inference.yaml"),
    (indent, changed(METADATA, "    ", "  "), "metadata.json"),
    (personal_paths, changed(CARD, "# Model Overview", "# Model Overview\n\n/home/someone"), "README.md"),
]


@pytest.mark.parametrize("kind", ["sex"])
@pytest.mark.parametrize(
    ("rule", "change", "found"), BROKEN, ids=[f"{rule.__name__}_{text}" for rule, _, text in BROKEN]
)
def test_the_rule_sees_what_breaks_it(
    rule: Rule, change: Callable[[Path], None], found: str, folder: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "bundle"))
    change(copy)
    assert any(found in complaint for complaint in rule(copy))


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_by_monai(folder: Path, tmp_path: Path) -> None:
    # MONAI may write to the schema's file, and downloads it where it is missing
    schema = shutil.copy(SCHEMA, tmp_path / "schema.json")
    verify_metadata(meta_file=str(folder / METADATA), filepath=str(schema))


@pytest.mark.parametrize("kind", KINDS)
def test_network_by_monai(folder: Path) -> None:
    files = {"meta_file": str(folder / METADATA), "config_file": str(folder / INFERENCE)}
    verify_net_in_out("network_def", **files, device="cpu", p=1, n=1, any=4)


@pytest.fixture
def deterministic_as_before() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.usefixtures("deterministic_as_before")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("file", "workflow_type"), [("train", "train"), ("evaluate", "eval"), ("inference", "infer")])
def test_properties_by_monai(
    file: str, workflow_type: str, kind: str, folder: Path, cohort: Any, tmp_path: Path
) -> None:
    places = {"dataset_dir": str(cohort.folder)}
    if file != "inference":
        places["datalist"] = str(cohort.datalists.get(kind, cohort.datalists["sex"]))
    if file == "train":
        places["run_dir"] = str(tmp_path / "run")
    config = str(folder / "configs" / f"{file}.yaml")
    workflow = ConfigWorkflow(config, workflow_type=workflow_type, logging_file=False, **places)
    workflow.initialize()
    assert workflow.check_properties() == []
