"""The folder as a datastore: what is listed, what is known, and where labels go."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException, MONAILabelException

from monai_tff.apps.monailabel.scan_folder import ScanFolder
from monai_tff.errors import ScanError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    studies = tmp_path / "studies"
    for name in ("a.nii", "a.nii.gz", "deep/b.nii.gz", "deep/b_mask.nii.gz", "labels/t/a.nii.gz", "notes.txt"):
        path = studies / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "outside.nii").write_bytes(b"outside")
    (studies / "out.nii").symlink_to(tmp_path / "outside.nii")
    (studies / "gone.nii").symlink_to(tmp_path / "nothing.nii")
    (studies / "folder.nii").mkdir()
    os.mkfifo(studies / "pipe.nii")  # reading it would wait for ever
    return studies


def test_what_is_listed(folder: Path) -> None:
    scans = ScanFolder(folder)
    assert scans.list_images() == ["a", "deep/b"]
    assert scans.left_out == 5  # the second a, two links, and what is no file
    assert scans.get_image("a") == b"a.nii"
    assert scans.get_image_info("deep/b")["ext"] == ".nii.gz"
    assert [scans.name(), scans.description()] == ["scans", "4D NIfTI scans"]


def test_an_empty_folder_and_none(tmp_path: Path) -> None:
    assert ScanFolder(tmp_path).status() == {"total": 0, "completed": 0, "label_tags": {}}
    with pytest.raises(ScanError, match="there is no such folder"):
        ScanFolder(tmp_path / "nothing")


@settings(max_examples=200)
@given(
    name=st.text(alphabet="./\\ab~%\x00", max_size=12) | st.sampled_from(["out", "gone", "../outside", "labels/t/a"])
)
def test_only_listed_ids_are_known(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    scans = ScanFolder(shared_folder(tmp_path_factory))
    if name in ("a", "b/a"):
        assert Path(scans.get_image_uri(name)).is_relative_to(scans.folder)
        return
    with pytest.raises(ImageNotFoundException):
        scans.get_image_uri(name)
    with pytest.raises(LabelNotFoundException):
        scans.get_label_uri(name, "t")
    with pytest.raises(ImageNotFoundException):
        scans.save_label(name, "x.json", "t", {})


def shared_folder(factory: pytest.TempPathFactory, made: list[Path] = []) -> Path:  # noqa: B006  # one for all examples
    if not made:
        made.append(factory.mktemp("scans"))
        (made[0] / "b").mkdir()
        (made[0] / "a.nii").write_bytes(b"")
        (made[0] / "b" / "a.nii").write_bytes(b"")
    return made[0]


def test_a_link_that_is_changed_later_is_not_followed(folder: Path, tmp_path: Path) -> None:
    scans = ScanFolder(folder)
    assert "deep/b" in scans.list_images()
    (folder / "deep" / "b.nii.gz").unlink()
    (folder / "deep" / "b.nii.gz").symlink_to(tmp_path / "outside.nii")
    with pytest.raises(ImageNotFoundException):
        scans.get_image_uri("deep/b")


def test_labels_are_saved_and_found(folder: Path, tmp_path: Path) -> None:
    scans = ScanFolder(folder)
    answer, volume = tmp_path / "x.json", tmp_path / "x.nii.gz"
    answer.write_text(json.dumps({"score": 1}))
    volume.write_bytes(b"volume")
    assert scans.save_label("deep/b", str(answer), "mine", {}) == "deep/b"
    assert scans.get_label_info("deep/b", "mine") == {"params": {"score": 1}}
    assert scans.get_labels_by_image_id("a") == {"t": "a"}
    assert [scans.get_label_by_image_id("deep/b", tag) for tag in ("mine", "t")] == ["deep/b", ""]
    assert [scans.get_labeled_images("mine"), scans.get_unlabeled_images("mine")] == [["deep/b"], ["a"]]
    assert scans.status() == {"total": 2, "completed": 2, "label_tags": {"mine": 1, "t": 1}}
    scans.save_label("deep/b", str(volume), "mine", {})
    assert scans.get_label("deep/b", "mine") == b"volume"
    assert scans.get_label_info("deep/b", "mine") == {"bytes": 6}
    assert [path.name for path in (folder / "labels" / "mine" / "deep").iterdir()] == ["b.nii.gz"]
    scans.refresh()
    assert scans.list_images() == ["a", "deep/b"]


@pytest.mark.parametrize("tag", ["..", "../t", "a/b", "", ".t", "t" * 65, "t\n"])
def test_tags_that_are_refused(folder: Path, tmp_path: Path, tag: str) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(MONAILabelException):
        ScanFolder(folder).save_label("a", str(tmp_path / "x.json"), tag, {})


@pytest.mark.parametrize("link", ["labels", "labels/mine", "labels/mine/deep"])
def test_labels_do_not_follow_a_link_out(folder: Path, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    path = folder / link
    if link == "labels":
        path.rename(tmp_path / "old")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(outside)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(MONAILabelException):
        ScanFolder(folder).save_label("deep/b", str(tmp_path / "x.json"), "mine", {})
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("link", ["labels/mine", "labels/mine/deep", "labels/mine/deep/b.json"])
def test_labels_behind_a_link_out_are_none(folder: Path, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "elsewhere"
    label = outside / "labels/mine/deep/b.json"
    label.parent.mkdir(parents=True)
    label.write_text("{}")
    path = folder / link
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(outside / link)
    scans = ScanFolder(folder)
    assert scans.get_label_by_image_id("deep/b", "mine") == ""
    assert scans.status()["completed"] == 1
    assert [pair["labels"] for pair in scans.datalist()] == [{"t": "a"}, {}]
    assert scans.json()["objects"]["deep/b"]["labels"] == {}


def test_a_cohort_is_told_of_in_time(tmp_path: Path) -> None:
    """A thousand scans with two labels each, as after two batches: `/info` may take a second."""
    for number in range(1000):
        for name in (f"sub-{number:04d}_bold.nii", *(f"labels/{tag}/sub-{number:04d}_bold.json" for tag in "ab")):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
    scans = ScanFolder(tmp_path)
    scans.list_images()
    began = time.process_time()
    assert scans.status() == {"total": 1000, "completed": 1000, "label_tags": {"a": 1000, "b": 1000}}
    assert time.process_time() - began < 0.15


@pytest.mark.parametrize(
    "call",
    [
        *("set_name", "set_description", "add_image", "remove_image", "remove_label"),
        *("update_image_info", "update_label_info", "get_dataset_archive"),
    ],
)
def test_scans_cannot_be_changed(folder: Path, call: Any) -> None:
    with pytest.raises(MONAILabelException) as error:
        getattr(ScanFolder(folder), call)("a")
    assert error.value.msg == "The datastore is read only."
