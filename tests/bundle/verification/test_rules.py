from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_tff.bundle import layout
from monai_tff.bundle.verification import (
    RULES,
    SAFETY_RULES,
    checked_rules,
    opened_bundle,
    refuse_unsafe,
    verify_bundle,
)
from monai_tff.bundle.verification.rules import EXPORTED, NEEDS
from monai_tff.errors import BundleError

PHASES = ("autoencoder", "transformer", "sex", "age", "site")
Change = Callable[[Path], None]


@pytest.mark.parametrize("name", ["autoencoder", "reconstruction", "sex", "age", "site"])
def test_an_export_breaks_no_rule(name: str, exports: Callable[[str], Any]) -> None:
    assert verify_bundle(exports(name).folder) == []


def test_an_archive_breaks_no_rule(exports: Callable[[str], Any]) -> None:
    results = list(checked_rules(exports("sex").archive))
    assert [rule for rule, _ in results] == list(RULES)
    assert [findings for _, findings in results] == [[]] * len(RULES)


@pytest.mark.parametrize("name", PHASES)
def test_a_run_folder_is_safe(name: str, runs: Any, finetuned: dict[str, Path]) -> None:
    refuse_unsafe({"autoencoder": runs.autoencoder, "transformer": runs.transformer, **finetuned}[name])


def test_a_run_of_a_version_without_a_step_that_does_nothing(finetuned: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(finetuned["sex"], tmp_path / "run")
    edit(layout.INFERENCE, "finalize: []\n", "")(folder)
    refuse_unsafe(folder)
    edit(layout.INFERENCE, "stride: null\n", "")(folder)
    with pytest.raises(BundleError, match="refers to 'stride', which is not in the config"):
        refuse_unsafe(folder)


def test_a_run_folder_is_no_export(finetuned: dict[str, Path]) -> None:
    found = verify_bundle(finetuned["sex"])
    assert {finding.rule for finding in found} == {"tree"}
    assert "manifest.json: there is no such file" in " ".join(finding.sentence for finding in found)


def test_every_rule_has_a_check_that_needs_rules_before_it() -> None:
    order = ["archive", *EXPORTED]
    assert order == list(RULES)
    for rule, needed in NEEDS.items():
        assert all(order.index(before) < order.index(rule) for before in needed)


def edit(name: str, old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


def edit_json(name: str, *keys: str, value: Any) -> Change:
    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        place = content
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        (folder / name).write_text(json.dumps(content, indent=4) + "\n")

    return change


def other_weights(name: str) -> Change:
    def change(folder: Path) -> None:
        state = torch.load(folder / layout.STATE_DICT, weights_only=True)
        if name == layout.STATE_DICT:
            torch.save({key: value + 1 for key, value in state.items()}, folder / name)
        else:
            module = torch.jit.load(str(folder / name))
            with torch.no_grad():
                next(iter(module.parameters())).add_(1)
            program = folder / "new.ts"
            torch.jit.save(module, str(program))
            without_debug(program, folder / name)
            program.unlink()

    return change


def without_debug(source: Path, path: Path) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.infolist():
            if not member.filename.endswith(".debug_pkl"):
                new.writestr(zipfile.ZipInfo(member.filename), old.read(member))


# what is done to a bundle whose hashes are right afterwards, the rule that tells it, and a part of the sentence
CHANGES = {
    "schema": (edit_json(layout.METADATA, "version", value=3), "schema", "version"),
    "channels": (
        edit_json(layout.METADATA, "network_data_format", "outputs", "pred", "num_channels", value=2),
        "structure",
        "image and pred are",
    ),
    "classes": (
        edit_json(layout.METADATA, "network_data_format", "outputs", "pred", "channel_def", value={"0": "F"}),
        "structure",
        "expected the classes",
    ),
    "changelog": (edit_json(layout.METADATA, "changelog", value={"0.0.1": "x"}), "schema", "changelog"),
    "a version that is none": (edit_json(layout.METADATA, "version", value=[]), "schema", "changelog has no entry"),
    "heads": (edit(layout.INFERENCE, "num_outputs: 1", "num_outputs: 1\n  num_heads: 7"), "structure", "num_heads"),
    "no task": (edit_json(layout.METADATA, "task", value=""), "schema", "task"),
    "dtype": (
        edit_json(layout.METADATA, "network_data_format", "outputs", "pred", "dtype", value="float16"),
        "structure",
        "'float16'",
    ),
    "other version": (
        edit_json(layout.METADATA, "required_packages_version", "monai_tff", value="0.0.1"),
        "version",
        "made with monai_tff '0.0.1'",
    ),
    "long heading": (edit(layout.MODEL_CARD, "## Limitations", "## x" + " " * 100_000 + "y"), "card", "'Limitations'"),
    "section": (edit(layout.MODEL_CARD, "## Limitations", "## Limits"), "card", "no section 'Limitations'"),
    "order": (edit(layout.MODEL_CARD, "## License", "## Data\n\n## License"), "card", "in order"),
    "personal path": (
        edit(layout.MODEL_CARD, "## License", "From /home/ann/scans.\n\n## License"),
        "style",
        "'/home/ann/scans.'",
    ),
    "indent": (edit(layout.METADATA, "    ", "  "), "style", "indented by 4"),
    "long line": (edit(layout.INFERENCE, "amp: false", "amp: false" + " " * 130 + "# x"), "style", "120 columns"),
    "list": (
        edit(layout.LARGE_FILES, "large_files: []", "large_files:\n- {path: ../x, url: '', hash_val: a, hash_type: a}"),
        "large_files",
        "'../x'",
    ),
    "url": (
        edit(
            layout.LARGE_FILES,
            "large_files: []",
            "large_files:\n- {path: models/model.pt, url: 'file:///x', hash_val: a, hash_type: sha256}",
        ),
        "large_files",
        "'file:///x'",
    ),
    "weights": (other_weights(layout.STATE_DICT), "weights", "models/model.pt: "),
    "program": (other_weights(layout.TORCHSCRIPT), "weights", "models/model.ts: "),
    "no program": (lambda folder: (folder / layout.PROGRAM).unlink(), "large_files", "models/model.pt2: is missing"),
    "hash of a scan": (
        edit_json(layout.CONTENT_HASHES, "hashes", value=["sub-01"]),
        "schema",
        "content_hashes.json: no 'complete'",
    ),
    "no check of scans": (
        edit(layout.EVALUATE, "- $monai_tff.data.check_headers(@validate#dataset#data, @contract, **@packing)\n", ""),
        "structure",
        "initialize lacks '$monai_tff.data.check_headers",
    ),
    "property": (edit(layout.EVALUATE, "inferer: '@validate#inferer'\nkey", "key"), "properties", "inferer"),
}


def list_elsewhere(bundle: Path, name: str) -> None:
    """Lists a file of weights with an address, so that it may be missing."""
    entry = {"path": name, "url": f"https://example.org/{name}", "hash_type": "sha256"}
    entry["hash_val"] = layout.sha256_of(bundle / name)
    (bundle / layout.LARGE_FILES).write_text(json.dumps({"large_files": [entry]}))


@pytest.mark.parametrize("name", CHANGES)
def test_a_rule_that_is_broken(name: str, bundle: Path) -> None:
    change, rule, part = CHANGES[name]
    needs_program = rule in ("weights", "large_files")
    if not needs_program:
        list_elsewhere(bundle, layout.PROGRAM)
    change(bundle)
    layout.write_manifest(bundle)
    if not needs_program:
        (bundle / layout.PROGRAM).unlink()  # it takes longer to load than all the rest to check
    found = verify_bundle(bundle)
    assert rule in {finding.rule for finding in found}, found
    assert part in " ".join(finding.sentence for finding in found if finding.rule == rule)
    if rule not in SAFETY_RULES:
        refuse_unsafe(bundle)
        assert not [finding for finding in found if finding.is_unsafe]


def test_all_findings_are_listed_and_nothing_is_loaded(bundle: Path) -> None:
    edit(layout.INFERENCE, "amp: false", "amp: $print(1)\nextra: 3")(bundle)
    edit(layout.MODEL_CARD, "## Limitations", "## Limits")(bundle)
    (bundle / layout.LOGGING).write_text("[loggers]\n")
    results = dict(checked_rules(bundle))
    assert [rule for rule, found in results.items() if found] == ["manifest", "configs", "logging", "card"]
    assert [rule for rule, found in results.items() if found is None] == [
        *("structure", "properties", "network", "weights", "large_files"),
    ]
    assert len(results["manifest"] or ()) == 3
    with pytest.raises(BundleError, match=r"rule 'manifest' of verify\); do not use it, or pass --trust"):
        refuse_unsafe(bundle)


def test_a_swapped_hash(bundle: Path) -> None:
    content = json.loads((bundle / layout.MANIFEST).read_text())
    one, other = layout.STATE_DICT, layout.TORCHSCRIPT
    content["files"][one], content["files"][other] = content["files"][other], content["files"][one]
    (bundle / layout.MANIFEST).write_text(json.dumps(content))
    found = verify_bundle(bundle)
    assert [(finding.rule, finding.where) for finding in found][:2] == [("manifest", one), ("manifest", other)]


def test_weights_that_lie_elsewhere(bundle: Path) -> None:
    """As in a repository of bundles: listed with an address, hashed in the manifest, but not here."""
    name = layout.SAFETENSORS
    list_elsewhere(bundle, name)
    layout.write_manifest(bundle)
    assert verify_bundle(bundle) == []
    (bundle / name).unlink()
    (found,) = verify_bundle(bundle)
    assert (found.rule, found.is_unsafe) == ("network", False)
    refuse_unsafe(bundle)


def test_what_the_hub_adds_is_no_reason(bundle: Path) -> None:
    (bundle / "README.md").write_text("a card")
    (bundle / ".gitattributes").write_text("*.pt filter=lfs")
    (bundle / ".cache/huggingface/download").mkdir(parents=True)
    (bundle / ".cache/huggingface/download/x.metadata").write_text("1")
    assert verify_bundle(bundle) == []


@pytest.mark.parametrize("name", ["torch.py", "yaml/__init__.py", "notes/yaml.py", "fast.so", "early.pth"])
def test_code_in_a_run_folder(name: str, finetuned: dict[str, Path], tmp_path: Path) -> None:
    run = shutil.copytree(finetuned["sex"], tmp_path / "run")
    (run / "notes").mkdir()
    for mine in ("read.txt", "scans.zip", "weights.pth"):
        (run / "notes" / mine).write_text("one's own")
    refuse_unsafe(run)
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text("raise SystemExit")
    with pytest.raises(BundleError, match=f"{name}': Python would import it"):
        refuse_unsafe(run)


def test_a_run_folder_with_a_link(finetuned: dict[str, Path], tmp_path: Path) -> None:
    run = shutil.copytree(finetuned["sex"], tmp_path / "run")
    (run / "models").rename(run / "weights")
    (run / "models").symlink_to(run / "weights")
    refuse_unsafe(run)
    (run / "weights").rename(tmp_path / "scratch")
    (run / "models").unlink()
    (run / "models").symlink_to(tmp_path / "scratch")
    with pytest.raises(BundleError, match=r"models/model\.pt: a link out of the folder"):
        refuse_unsafe(run)


def test_a_link_that_hides_code_in_a_run_folder(finetuned: dict[str, Path], tmp_path: Path) -> None:
    """Python imports `notes.later.x` from a folder that its own name keeps out of Python's sight."""
    run = shutil.copytree(finetuned["sex"], tmp_path / "run")
    for name in ("x-y", "notes"):
        (run / name).mkdir()
    (run / "x-y" / "x.py").write_text("raise SystemExit")
    refuse_unsafe(run)
    (run / "notes" / "later").symlink_to("../x-y")
    with pytest.raises(BundleError, match=r"'notes/later': a link to a folder"):
        refuse_unsafe(run)


def test_a_network_that_its_weights_cannot_fill(finetuned: dict[str, Path], tmp_path: Path) -> None:
    run = shutil.copytree(finetuned["sex"], tmp_path / "run")
    edit(layout.INFERENCE, "hidden_size: 32", "hidden_size: 99984")(run)
    with pytest.raises(BundleError, match=r"weights, expected no more than model\.pt has bytes"):
        refuse_unsafe(run)


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no such file or folder"), opened_bundle(tmp_path / "none.zip"):
        pass
