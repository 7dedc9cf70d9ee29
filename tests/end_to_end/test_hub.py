"""A bundle goes to the Hugging Face hub and comes back: MONAI's own commands against a stand-in of the hub."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.end_to_end
REPO = "some_lab/tff_sex"
TOKEN = "hf_token_of_the_test"


def test_pushed_and_downloaded(
    exports: Callable[[str], Any],
    test_scans: list[Path],
    hub: Callable[[Path, str], Any],
    stranger: Callable[..., Any],
    command: Callable[..., Any],
    outputs: Callable[[Path], dict[str, bytes]],
    tmp_path: Path,
) -> None:
    bundle = exports("sex")
    # MONAI writes the hub's README.md into the folder that it pushes
    shutil.copytree(bundle.folder, tmp_path / "pushed" / bundle.name)
    with hub(tmp_path / "storage", TOKEN) as address:
        # a Python of its own each: the address of the hub is read when its package is imported.
        # Xet, the hub's other way of sending large files, talks to a storage that the stand-in is not
        variables = {"HF_ENDPOINT": address, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
        places = ["--repo", REPO, "--name", bundle.name, "--bundle_dir", tmp_path / "pushed", "--version", "1.2.0"]
        # not `python -m monai.bundle`: MONAI 1.6.1 offers the function without the command
        stranger("-m", "fire", "monai.bundle", "push_to_hf_hub", *places, cold=True, **variables)
        # without --version, MONAI asks the hub for the tags, and for the commit of the newest one
        found = ["--name", bundle.name, "--repo", REPO, "--bundle_dir", tmp_path / "got"]
        download = ("-m", "monai.bundle", "download", "--source", "huggingface_hub", *found)
        stranger(*download, cold=True, **variables)
        with pytest.raises(HTTPError, match="401"):  # the stand-in does ask for the token
            urlopen(f"{address}/api/models/{REPO}")
    folder = tmp_path / "got" / bundle.name
    assert_same_files(outputs(bundle.folder), outputs(folder))
    verified = command("verify", folder)
    assert verified.exit_code == 0, verified.output
    for name, place in (("before", bundle.run), ("after", folder)):
        done = command("predict", place, *test_scans, "--device", "cpu", "--output-dir", tmp_path / name)
        assert done.exit_code == 0, done.output
    assert outputs(tmp_path / "after") == outputs(tmp_path / "before")
    assert "predictions.csv" in outputs(tmp_path / "after")


def assert_same_files(sent: dict[str, bytes], got: dict[str, bytes]) -> None:
    """Nothing is lost or changed; what the hub adds is its model card, its attributes and the notes of a download."""
    assert {name: got.get(name) for name in sent} == sent
    added = {name for name in got if name not in sent and not name.startswith(".cache/huggingface/")}
    assert added == {"README.md", ".gitattributes"}
    card = sent["docs/README.md"].decode()
    assert got["README.md"].decode().endswith(card)
    assert "library_name: monai" in got["README.md"].decode()
