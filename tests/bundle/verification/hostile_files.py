"""Hostile files: code that Python imports, links, devices, files too many or too few, swapped hashes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hostile import CASES, Canary, Case, hostile, text_cases
from hostile_uses import fetch_large_files, import_torch, read_numpy


def _with_module(name: str) -> Callable[[Path, Canary], None]:
    def make(bundle: Path, canary: Canary) -> None:
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_text(canary.module)

    return make


MODULES = {
    "torch.py": import_torch,
    "torch/__init__.py": import_torch,
    "sitecustomize.py": None,
    "monai_tff.py": None,
    "conftest.py": None,
    "start.pth": None,
    "scripts/__init__.py": None,
    "configs/payload.py": None,
    "models/payload.so": None,
    ".cache/payload.py": None,
    ".cache/huggingface_/payload.py": None,
    ".hidden": None,
    "__pycache__/torch.cpython-311.pyc": None,
    "large_files.json": None,
    "large_files.yaml": None,
    "configs/inference.json": None,
    "configs/inference.yml": None,
    "configs/metadata.yaml": None,
    "configs/multi_gpu_train.yaml": None,
    "CONFIGS/inference.yaml": None,
    "models/last.pt": None,
    "lineage.json": None,
}
CASES.extend(Case(f"file_{name}", ("tree",), _with_module(name), bites) for name, bites in MODULES.items())


@hostile("tree", bites=read_numpy)
def file_of_numpy_objects(bundle: Path, canary: Canary) -> None:
    class Removal:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.remove, (canary.path,)

    np.save(bundle / "models" / "mean.npy", np.array([Removal()], dtype=object), allow_pickle=True)


@hostile("tree")
def file_with_a_line_feed_in_its_name(bundle: Path, canary: Canary) -> None:
    (bundle / "configs" / "inference.yaml\n").write_text("a: 1\n")


@hostile("tree")
def file_with_a_name_that_is_no_text(bundle: Path, canary: Canary) -> None:
    with open(os.fsencode(bundle) + b"/configs/\xff.yaml", "w") as file:
        file.write("a: 1\n")


@hostile("tree")
def file_with_a_name_of_terminal_codes(bundle: Path, canary: Canary) -> None:
    (bundle / "configs" / "\x1b[2J.yaml").write_text("a: 1\n")


@hostile("tree")
def files_without_end(bundle: Path, canary: Canary) -> None:
    (bundle / "many").mkdir()
    for number in range(10_001):
        (bundle / "many" / str(number)).touch()


def _nested(folder: Path, levels: int) -> None:
    """Folders within each other, deeper than a path may be long."""
    descriptor = os.open(folder, os.O_DIRECTORY)
    for _ in range(levels):
        os.mkdir("deeper_and_deeper", dir_fd=descriptor)
        below = os.open("deeper_and_deeper", os.O_DIRECTORY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)


@hostile("tree", hashes=False)
def folders_within_folders(bundle: Path, canary: Canary) -> None:
    _nested(bundle / "docs", 300)


@hostile("tree", hashes=False)
def folders_within_those_of_the_hub(bundle: Path, canary: Canary) -> None:
    (bundle / ".cache" / "huggingface").mkdir(parents=True)
    _nested(bundle / ".cache" / "huggingface", 300)


# ------------------------------------------------------------------ links and devices
@hostile("tree")
def link_to_a_config_outside(bundle: Path, canary: Canary) -> None:
    _move_out(bundle, "configs/inference.yaml")


@hostile("tree")
def link_to_weights_outside(bundle: Path, canary: Canary) -> None:
    _move_out(bundle, "models/model.safetensors")


@hostile("tree")
def link_to_a_folder_outside(bundle: Path, canary: Canary) -> None:
    _move_out(bundle, "configs")


@hostile("tree")
def link_within_the_bundle(bundle: Path, canary: Canary) -> None:
    (bundle / "models" / "model.pt").rename(bundle / "models" / "model.pt2")
    (bundle / "models" / "model.pt").symlink_to("model.pt2")


@hostile("tree")
def link_to_nothing(bundle: Path, canary: Canary) -> None:
    (bundle / "README.md").symlink_to("nowhere")


@hostile("tree")
def link_to_itself(bundle: Path, canary: Canary) -> None:
    (bundle / "docs" / "README.md").unlink()
    (bundle / "docs" / "README.md").symlink_to("README.md")


@hostile("tree")
def link_to_the_folder_above(bundle: Path, canary: Canary) -> None:
    (bundle / "docs" / "all").symlink_to("..")


@hostile("tree", hashes=False)
def link_in_the_place_of_the_manifest(bundle: Path, canary: Canary) -> None:
    (bundle / "manifest.json").rename(bundle.parent / "manifest.json")
    (bundle / "manifest.json").symlink_to(bundle.parent / "manifest.json")


@hostile("tree")
def pipe_in_the_place_of_the_weights(bundle: Path, canary: Canary) -> None:
    (bundle / "models" / "model.safetensors").unlink()
    os.mkfifo(bundle / "models" / "model.safetensors")


@hostile("tree", hashes=False)
def pipe_in_the_place_of_the_manifest(bundle: Path, canary: Canary) -> None:
    (bundle / "manifest.json").unlink()
    os.mkfifo(bundle / "manifest.json")


@hostile("tree")
def folder_in_the_place_of_a_config(bundle: Path, canary: Canary) -> None:
    (bundle / "configs" / "metadata.json").unlink()
    (bundle / "configs" / "metadata.json").mkdir()


def _move_out(bundle: Path, name: str) -> None:
    outside = bundle.parent / "outside"
    (bundle / name).rename(outside)
    (bundle / name).symlink_to(outside)


# ------------------------------------------------------------------ hashes
def _swap(bundle: Path, one: str, other: str) -> None:
    (bundle / one).rename(bundle / "swap")
    (bundle / other).rename(bundle / one)
    (bundle / "swap").rename(bundle / other)


def change_manifest(bundle: Path, change: Callable[[dict[str, str]], object]) -> None:
    path = bundle / "manifest.json"
    content = json.loads(path.read_text())
    change(content["files"])
    path.write_text(json.dumps(content))


@hostile("manifest", hashes=False)
def hash_of_another_config(bundle: Path, canary: Canary) -> None:
    (bundle / "configs" / "inference.yaml").write_bytes((bundle / "configs" / "inference.yaml").read_bytes() + b"\n")


@hostile("manifest", "formats", hashes=False)
def hash_of_weights_with_one_bit_changed(bundle: Path, canary: Canary) -> None:
    content = bytearray((bundle / "models" / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (bundle / "models" / "model.safetensors").write_bytes(content)


@hostile("manifest", hashes=False)
def hashes_swapped(bundle: Path, canary: Canary) -> None:
    def swap(files: dict[str, str]) -> None:
        one, other = "models/model.pt", "models/model.ts"
        files[one], files[other] = files[other], files[one]

    change_manifest(bundle, swap)


@hostile("manifest", hashes=False)
def hashes_swapped_with_the_files(bundle: Path, canary: Canary) -> None:
    _swap(bundle, "LICENSE", "docs/data_license.txt")


@hostile("manifest", hashes=False)
def hash_left_out(bundle: Path, canary: Canary) -> None:
    change_manifest(bundle, lambda files: files.pop("models/model.pt"))


@hostile("manifest", hashes=False)
def hash_of_a_file_outside(bundle: Path, canary: Canary) -> None:
    change_manifest(bundle, lambda files: files.update({"../canary/alive": "0" * 64}))


@hostile("manifest", hashes=False)
def hash_that_is_none(bundle: Path, canary: Canary) -> None:
    change_manifest(bundle, lambda files: files.update({"LICENSE": "*"}))


@hostile("manifest", hashes=False)
def hash_under_a_second_name(bundle: Path, canary: Canary) -> None:
    change_manifest(bundle, lambda files: files.update({"./LICENSE": files.pop("LICENSE")}))


@hostile("tree", hashes=False)
def config_missing(bundle: Path, canary: Canary) -> None:
    (bundle / "configs" / "logging.conf").unlink()


@hostile("tree", trains=True)
def training_without_evaluation(bundle: Path, canary: Canary) -> None:
    (bundle / "configs" / "evaluate.yaml").unlink()


text_cases(
    {
        "manifest_of_another_hash": lambda text, c: text.replace("sha256", "md5"),
        "manifest_that_is_a_list": lambda text, c: "[]",
        "manifest_that_is_empty": lambda text, c: "",
        "manifest_without_files": lambda text, c: '{"hash_type": "sha256", "files": {}}',
        "manifest_with_a_name_twice": lambda text, c: text.replace(
            '"files": {', '"files": {"LICENSE": "0", "LICENSE": "0",'
        ),
        "manifest_of_a_hundred_thousand_levels": lambda text, c: "[" * 100_000,
    },
    "manifest.json",
    "manifest",
    hashes=False,
)


# ------------------------------------------------------------------ files that are fetched
def entry(**values: object) -> str:
    return json.dumps(
        {"large_files": [{"path": "models/model.pt", "url": "", "hash_val": "", "hash_type": "", **values}]}
    )


text_cases(
    {"fetched_to_a_place_outside": lambda text, c: entry(path="../../canary/new", url="https://example.org/a")},
    "large_files.yml",
    "large_files",
    bites=fetch_large_files,
    unsafe=False,
)
FETCHED = {
    "absolute": entry(path="/etc/hostname", url="https://example.org/a"),
    "with_a_backslash": entry(path="..\\model.pt", url="https://example.org/a"),
    "a_config": entry(path="configs/inference.yaml", url="https://example.org/a"),
    "from_this_machine": entry(url="file:///etc/hostname"),
    "without_encryption": entry(url="ftp://example.org/a"),
    "by_an_option": entry(url="--output=model.pt"),
    "of_another_hash": entry(url="https://example.org/a", hash_val="0" * 64, hash_type="sha256"),
    "of_a_weak_hash": entry(url="https://example.org/a", hash_val="0" * 32, hash_type="md5"),
    "with_further_arguments": entry(url="https://example.org/a", progress=True),
    "of_no_text": entry(path=["models/model.pt"]),
    "code": json.dumps({"large_files": [], "run": "$print(1)"}),
    "no_mapping": "[]",
    "no_list": json.dumps({"large_files": {"path": "models/model.pt"}}),
    "a_tag": "large_files: !!python/name:os.remove\n",
}
"""Texts of large_files.yml: nothing of a prediction reads them, but MONAI downloads what they list."""
