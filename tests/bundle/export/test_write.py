"""Run folders of every kind become bundles, whole or not at all."""

from __future__ import annotations

import json
import resource
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
import yaml

from monai_tff.bundle import layout
from monai_tff.bundle.export import Details, export_run
from monai_tff.errors import BundleError, UserError

KINDS = ("sex", "age", "site", "reconstruction", "autoencoder")


def each_kind() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", KINDS)


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def silent(line: str) -> None:
    pass


@each_kind()
def test_a_bundle_holds_every_file_and_its_hash(kind: str, exports: Callable[[str], Any]) -> None:
    folder = exports(kind).folder
    assert files_of(folder) == {*layout.REQUIRED, *layout.OPTIONAL}
    assert len({(folder / name).stat().st_mode for name in files_of(folder)}) == 1
    hashes = layout.read_manifest(folder)
    assert set(hashes) == files_of(folder) - {layout.MANIFEST}
    assert [name for name, value in hashes.items() if layout.sha256_of(folder / name) != value] == []


@each_kind()
def test_the_archive_holds_the_folder(kind: str, exports: Callable[[str], Any]) -> None:
    folder, archive = exports(kind).folder, exports(kind).archive
    assert archive.name == f"tff_{kind}_v1.2.0.zip"
    with zipfile.ZipFile(archive) as packed:
        assert packed.testzip() is None
        assert set(packed.namelist()) == {f"{folder.name}/{name}" for name in files_of(folder)}
        assert packed.read(f"{folder.name}/{layout.MANIFEST}") == (folder / layout.MANIFEST).read_bytes()


@each_kind()
def test_weights_and_contract_are_those_of_the_run(kind: str, exports: Callable[[str], Any]) -> None:
    folder = exports(kind).folder
    trained = torch.load(exports(kind).run / "models" / "model.pt", weights_only=True)
    plain = torch.load(folder / layout.STATE_DICT, weights_only=True)
    assert set(plain) == set(trained["model"])
    with safetensors.safe_open(folder / layout.SAFETENSORS, "pt") as file:
        metadata = file.metadata()
        for name in plain:
            assert torch.equal(file.get_tensor(name), trained["model"][name])
            assert torch.equal(plain[name], trained["model"][name])
    assert set(metadata) == {layout.CONTRACT_KEY}
    assert json.loads(metadata[layout.CONTRACT_KEY]) == trained["contract"]
    if kind == "sex":
        assert trained["contract"]["threshold"] != 0.5  # fitted on the validation subjects
        for name in (layout.INFERENCE, layout.EVALUATE):
            contract = yaml.safe_load((folder / name).read_text(encoding="utf-8"))["contract"]
            assert contract["threshold"] == trained["contract"]["threshold"]


def test_an_export_says_where_nothing_ran(exports: Callable[[str], Any]) -> None:
    """Folders, devices and the state of a run are the template's."""
    for name in (layout.TRAIN, layout.EVALUATE):
        config = yaml.safe_load((exports("sex").folder / name).read_text(encoding="utf-8"))
        assert (config["dataset_dir"], config["initial_weights"], config["packed_dir"]) == (".", None, None)
        assert (config["run_dir"], config["resume"]) == ("runs/finetune", False)
        assert "cuda" in config["device"]
        assert config["seed"] == 7
    assert config["weights"] == "$@bundle_root + '/models/model.safetensors'"
    assert config["output_dir"] == "evaluation"


def test_the_metadata_are_of_the_run(exports: Callable[[str], Any]) -> None:
    metadata = json.loads((exports("site").folder / layout.METADATA).read_text(encoding="utf-8"))
    assert (metadata["name"], metadata["task"]) == ("tff_site", "Classification of site from fMRI")
    assert metadata["changelog"] == {"1.2.0": "First version."}
    assert metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] == [8, 10, 9, "*"]
    classes = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert classes == {"0": "site1", "1": "site2", "2": "site3"}
    assert metadata["pytorch_version"] == torch.__version__.partition("+")[0]


@pytest.fixture(scope="module")
def alone(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for inference alone, of which the program counts as large and lies at an address."""
    details = Details("small", url="https://example.org/weights/")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "LARGE", 1_400_000)
        out = tmp_path_factory.mktemp("small")
        return export_run(runs.autoencoder, out, details, inference_only=True, say=silent).folder


def test_inference_only(alone: Path) -> None:
    assert files_of(alone) == {*layout.REQUIRED, layout.CONTENT_HASHES}
    assert "evaluating" not in (alone / layout.MODEL_CARD).read_text(encoding="utf-8")


def test_large_files_are_listed(exports: Callable[[str], Any], alone: Path) -> None:
    text = (exports("sex").folder / layout.LARGE_FILES).read_text(encoding="utf-8")
    assert yaml.safe_load(text) == {"large_files": []}
    (entry,) = yaml.safe_load((alone / layout.LARGE_FILES).read_text(encoding="utf-8"))["large_files"]
    assert entry == {
        "path": layout.PROGRAM,
        "url": "https://example.org/weights/model.pt2",
        "hash_val": layout.sha256_of(alone / layout.PROGRAM),
        "hash_type": "sha256",
    }


def test_what_is_there_is_replaced_only_on_demand(exports: Callable[[str], Any], runs: Any, tmp_path: Path) -> None:
    for path in (exports("autoencoder").folder, exports("autoencoder").archive):
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, tmp_path / path.name)
    (tmp_path / "tff_autoencoder" / "mine.txt").write_text("kept", encoding="utf-8")
    details = Details("tff_autoencoder", version="1.10.0", changelog="Better.")
    with pytest.raises(BundleError, match=r"exists already, .* but version 1\.2\.0 is there; .*--overwrite"):
        export_run(runs.autoencoder, tmp_path, details, say=silent)
    assert (tmp_path / "tff_autoencoder" / "mine.txt").is_file()
    again = export_run(runs.autoencoder, tmp_path, details, overwrite=True, say=silent)
    assert not (tmp_path / "tff_autoencoder" / "mine.txt").exists()
    archives = ["tff_autoencoder_v1.10.0.zip", "tff_autoencoder_v1.2.0.zip"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tff_autoencoder", *archives]
    changelog = json.loads((again.folder / layout.METADATA).read_text(encoding="utf-8"))["changelog"]
    assert list(changelog.items()) == [("1.2.0", "First version."), ("1.10.0", "Better.")]
    # the same run gives the same bytes; but torch numbers the classes of TorchScript through the life of a process
    first, second = (layout.read_manifest(folder) for folder in (exports("autoencoder").folder, again.folder))
    of_the_version = {layout.METADATA, layout.MODEL_CARD, layout.TORCHSCRIPT}
    assert {name for name in first if first[name] != second[name]} <= of_the_version


def test_the_archive_of_a_version_is_not_replaced_unasked(runs: Any, tmp_path: Path) -> None:
    archive = tmp_path / "small_v0.1.0.zip"
    archive.write_bytes(b"first")
    with pytest.raises(BundleError, match=r"small_v0.1.0.zip: exists already, .*--version or --out"):
        export_run(runs.autoencoder, tmp_path, Details("small"), say=silent)
    assert archive.read_bytes() == b"first"


def test_a_folder_that_is_no_bundle_is_never_replaced(runs: Any, tmp_path: Path) -> None:
    """The run folder itself, for one, where it has the name that the bundle is to get."""
    run = tmp_path / "finetune"
    shutil.copytree(runs.autoencoder, run)
    with pytest.raises(BundleError, match=r"finetune: exists and is no exported bundle .*another --name or --out"):
        export_run(run, tmp_path, Details("finetune"), overwrite=True, say=silent)
    assert files_of(run) == files_of(runs.autoencoder)


@pytest.fixture
def room(request: pytest.FixtureRequest) -> Iterator[None]:
    """No file may grow beyond so many bytes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (request.param, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    ("room", "file"),
    [(5_000, "train.yaml"), (200_000, "model.safetensors"), (2_000_000, r"small_v0\.1\.0\.zip")],
    indirect=["room"],
)
def test_a_full_disk_is_a_sentence_and_leaves_nothing(room: None, file: str, runs: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{file}: could not be written \(.*File too large.*expected room"):
        export_run(runs.autoencoder, tmp_path, Details("small"), say=silent)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_where_something_private_was_said(runs: Any, tmp_path: Path) -> None:
    details = Details("small", description="Frames of all but sub-0001.")
    with pytest.raises(BundleError, match=r"configs/metadata.json: holds '0001'"):
        export_run(runs.autoencoder, tmp_path, details, say=silent)
    assert list(tmp_path.iterdir()) == []


def test_code_of_ones_own_leaves_only_for_inference(runs: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs.autoencoder, run)
    path = run / "configs" / "train.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["loss"] = {"_target_": "my_lab.losses.OwnLoss"}
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    said: list[str] = []
    with pytest.raises(BundleError, match=r"OwnLoss.*--inference-only"):
        export_run(run, tmp_path / "out", Details("small"), say=said.append)
    assert [line for line in said if "TorchScript" in line] == []  # said before the work that takes minutes
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "../small"}, r"--name '\.\./small': expected letters"),
        ({"name": ""}, "--name '': expected letters"),
        ({"name": "small", "version": "1"}, "--version '1': expected three numbers"),
        ({"name": "small", "version": "01.0.0"}, "--version '01.0.0': expected three numbers"),
        ({"name": "small", "changelog": " "}, "--changelog: is empty, expected a sentence"),
        ({"name": "small", "description": "a\nb"}, "--description: holds a line break, expected one line"),
        ({"name": "small", "cohort_name": "a\rb"}, "--cohort-name: holds a line break"),
        *(
            ({"name": "small", "url": url}, "--url: the address that is given is of another form")
            for url in (
                "file:///weights",
                "https://",
                "https://me:word@a.org/x",
                "https://a.org/x?token=1",
                "https://a/x y",
            )
        ),
    ],
)
def test_details_of_another_form_are_refused(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence):
        Details(**given)
