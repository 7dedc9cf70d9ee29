"""What lies where in a bundle that is passed on: the one place that export and verification both read.

Source of the rules: the bundle specification of MONAI and the checks of its model zoo.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from monai_tff.errors import BundleError
from monai_tff.handlers.files import replaced_file

METADATA = "configs/metadata.json"
LOGGING = "configs/logging.conf"
INFERENCE = "configs/inference.yaml"
EVALUATE = "configs/evaluate.yaml"
TRAIN = "configs/train.yaml"
SAFETENSORS = "models/model.safetensors"
STATE_DICT = "models/model.pt"
TORCHSCRIPT = "models/model.ts"
PROGRAM = "models/model.pt2"
MODEL_CARD = "docs/README.md"
DATA_LICENSE = "docs/data_license.txt"
LICENSE = "LICENSE"
LARGE_FILES = "large_files.yml"
CONTENT_HASHES = "content_hashes.json"
MANIFEST = "manifest.json"

REQUIRED = (
    *(LICENSE, LARGE_FILES, MANIFEST, METADATA, LOGGING, INFERENCE),
    *(SAFETENSORS, STATE_DICT, TORCHSCRIPT, PROGRAM, MODEL_CARD, DATA_LICENSE),
)
"""Files that every exported bundle has; the weights may be missing where `large_files.yml` says where they are."""

OPTIONAL = (TRAIN, EVALUATE, CONTENT_HASHES)
"""Files that an exported bundle may have besides: `train.yaml` and `evaluate.yaml` both or neither."""

FOREIGN = ("README.md", ".gitattributes")
"""Files that the Hugging Face hub adds at the top; they are not in the manifest, and nothing reads them."""

FOREIGN_FOLDERS = (".cache/huggingface",)
"""Folders that a download from the hub adds, likewise."""

CARD_SECTIONS = (
    *("Model Overview", "Data", "Training configuration", "Input", "Output"),
    *("Performance", "Commands", "Limitations", "References", "License"),
)
"""Headings of the model card, in this order, as the model zoo wants them."""

LARGE = 25 * 1024**2
"""Bytes from which a file must be listed in `large_files.yml`."""

CONTRACT_KEY = "contract"
"""Key of the metadata of `model.safetensors` that holds the input contract as JSON."""

SCRIPT_METADATA = "metadata.json"
"""Extra file inside `model.ts`: the bytes of `configs/metadata.json`, which `monai.bundle.load` reads from there."""

HASH_TYPE = "sha256"


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, HASH_TYPE).hexdigest()


def write_manifest(folder: Path) -> Path:
    """Writes `manifest.json`: the SHA-256 of every other file of a finished bundle.

    Args:
        folder: of the bundle.

    Returns:
        The file: `{"hash_type": "sha256", "files": {path in the bundle: hash}}`, paths with `/`, sorted.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    hashes = {PurePosixPath(path.relative_to(folder)).as_posix(): sha256_of(path) for path in files}
    with replaced_file(folder / MANIFEST) as file:
        file.write((json.dumps({"hash_type": HASH_TYPE, "files": hashes}, indent=4) + "\n").encode())
    return folder / MANIFEST


def read_manifest(folder: Path) -> dict[str, str]:
    """Reads the hashes of `manifest.json`.

    Args:
        folder: of the bundle.

    Returns:
        Path in the bundle -> SHA-256.

    Raises:
        BundleError: if the file is missing or is no manifest.
    """
    path = folder / MANIFEST
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        files = content["files"]
        whole = content["hash_type"] == HASH_TYPE and isinstance(files, Mapping)
        whole = whole and all(isinstance(value, str) for value in files.values())
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(
            f"{path}: cannot be read as a manifest ({type(error).__name__}: {error}), expected JSON with hash_type and "
            "files; ask for the whole bundle again."
        ) from error
    if not whole:
        raise BundleError(
            f"{path}: is no manifest of SHA-256 hashes, expected hash_type {HASH_TYPE} and files with one hash each; "
            "ask for the whole bundle again."
        )
    return dict(files)
