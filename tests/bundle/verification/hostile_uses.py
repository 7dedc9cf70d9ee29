"""Uses of a bundle without verification: what stock tools do with the files that a hostile bundle brings along."""

from __future__ import annotations

import json
import logging.config
import os
import stat
import subprocess
import sys
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
import yaml
from monai.bundle import ConfigParser
from monai.transforms import LoadImage

ENGINES = ("evaluator", "run", "inferring", "training", "initialize::2")
"""Ids that start a prediction or training; no code of the cases needs them."""


def parse(bundle: Path) -> None:
    """MONAI's parser on inference.yaml and metadata.json, everything resolved."""
    _parse(bundle, "inference.yaml")


def parse_training(bundle: Path) -> None:
    """MONAI's parser on train.yaml, everything resolved."""
    _parse(bundle, "train.yaml")


def _parse(bundle: Path, name: str) -> None:
    parser = ConfigParser()
    with warnings.catch_warnings(), in_folder(bundle):
        warnings.simplefilter("ignore")
        parser.read_config(str(bundle / "configs" / name))
        parser.read_meta(str(bundle / "configs" / "metadata.json"))
        parser.parse()
        for key in list(parser.ref_resolver.items):
            if not key.startswith(ENGINES):
                with suppress(Exception):
                    parser.get_parsed_content(key)


class in_folder:  # noqa: N801  # used like a function
    """Works in the bundle's folder; Python imports from there, as `python -m` does, and from the one around it."""

    def __init__(self, folder: Path) -> None:
        self.paths = [str(folder), str(folder.parent)]

    def __enter__(self) -> None:
        self.before = Path.cwd()
        os.chdir(self.paths[0])
        sys.path[:0] = self.paths

    def __exit__(self, *_: object) -> None:
        for path in self.paths:
            sys.path.remove(path)
        os.chdir(self.before)
        sys.modules.pop("payload", None)


def read_with_its_reader(bundle: Path) -> None:
    """MONAI's LoadImage with the reader that inference.yaml names."""
    reader = yaml.safe_load((bundle / "configs" / "inference.yaml").read_text())["reader"]
    with in_folder(bundle), suppress(Exception):
        LoadImage(reader=reader)


def import_torch(bundle: Path) -> None:
    """What `python -m` does first in the bundle's folder."""
    in_python(bundle, "import torch")


def in_python(folder: Path, code: str) -> None:
    subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, timeout=60, check=False, input=b"q\n")


def log(bundle: Path) -> None:
    """The logging module on logging.conf."""
    with suppress(Exception):
        logging.config.fileConfig(bundle / "configs" / "logging.conf", disable_existing_loggers=False)


def unpickle(bundle: Path) -> None:
    """torch on model.pt, as every torch before 2.6 did."""
    with in_folder(bundle), suppress(Exception):
        torch.load(bundle / "models" / "model.pt", weights_only=False)


def unpickle_safetensors(bundle: Path) -> None:
    """torch on the content of model.safetensors, whatever the name says."""
    with suppress(Exception), open(bundle / "models" / "model.safetensors", "rb") as file:
        torch.load(file, weights_only=False)


def run_torchscript(bundle: Path) -> None:
    """torch on model.ts."""
    with suppress(Exception):
        torch.jit.load(bundle / "models" / "model.ts")(torch.zeros(1, 2, 8, 10, 9, 5))


def run_program(bundle: Path) -> None:
    """torch on model.pt2."""
    logging.disable()
    try:
        torch.export.load(bundle / "models" / "model.pt2").module()(torch.zeros(1, 2, 8, 10, 9, 5))
    except Exception:  # what it raises afterwards is of no interest
        pass
    finally:
        logging.disable(logging.NOTSET)


def read_numpy(bundle: Path) -> None:
    """NumPy on an array of objects."""
    with suppress(Exception):
        np.load(bundle / "models" / "mean.npy", allow_pickle=True)


def read_yaml(bundle: Path) -> None:
    """PyYAML on inference.yaml with its unsafe loader."""
    with suppress(Exception):
        yaml.unsafe_load((bundle / "configs" / "inference.yaml").read_text())


def fetch_large_files(bundle: Path) -> None:
    """A download of what large_files.yml lists, without a look at the paths."""
    for entry in yaml.safe_load((bundle / "large_files.yml").read_text())["large_files"]:
        (bundle / entry["path"]).write_bytes(json.dumps(entry).encode())


def unzip(archive: Path, folder: Path) -> None:
    """An unzip that believes the archive: names as they are, symbolic links made."""
    with zipfile.ZipFile(archive) as content:
        for info in content.infolist():
            place = Path(os.path.join(folder, info.filename.replace("\\", "/")))  # absolute names win
            if info.is_dir():
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if stat.S_ISLNK(info.external_attr >> 16):
                place.symlink_to(content.read(info).decode())
            else:
                place.write_bytes(content.read(info))
