"""Scans to predict, from folders, files and lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_tff.data import find_scans
from monai_tff.errors import ScanError


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(source: object) -> dict[str, str]:
    return {record["scan"]: record["subject"] for record in find_scans(source)}  # type: ignore[arg-type]


def test_a_bids_folder(tmp_path: Path) -> None:
    make(
        tmp_path,
        "sub-02/ses-1/func/sub-02_ses-1_task-rest_run-2_bold.nii.gz",
        "sub-01/func/sub-01_task-rest_bold.nii",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/func/sub-01_task-rest_desc-brain_mask.nii.gz",
        "participants.tsv",
    )
    first, second = find_scans(tmp_path)
    assert first == {
        "image": str(tmp_path / "sub-01/func/sub-01_task-rest_bold.nii"),
        "scan": "sub-01/func/sub-01_task-rest_bold.nii",
        "subject": "01",
        "session": None,
        "run": None,
        "group": "01",
    }
    assert [second[key] for key in ("subject", "session", "run", "group")] == ["02", "1", "2", "02"]


def test_names_that_are_not_bids_are_their_own_subjects(tmp_path: Path) -> None:
    names = ("100307/rfMRI_REST1_LR.nii.gz", "100408/rfMRI_REST1_LR.nii.gz", "x/brainmask_fs.2.nii.gz", "x/a_mask.nii")
    expected = {names[0]: "100307/rfMRI_REST1_LR", names[1]: "100408/rfMRI_REST1_LR"}
    assert found(make(tmp_path, *names)) == expected


def test_the_subject_may_be_a_folder(tmp_path: Path) -> None:
    assert found(make(tmp_path, "sub-07/rest.nii.gz")) == {"sub-07/rest.nii.gz": "07"}


def test_one_file(tmp_path: Path) -> None:
    make(tmp_path, "a/sub-01_bold.nii.gz")
    assert found(str(tmp_path / "a" / "sub-01_bold.nii.gz")) == {"sub-01_bold.nii.gz": "01"}


def test_files_of_the_same_name_stay_apart(tmp_path: Path) -> None:
    make(tmp_path, "a/rest.nii.gz", "b/rest.nii.gz")
    files = [tmp_path / "b" / "rest.nii.gz", tmp_path / "a" / "rest.nii.gz"]
    assert found(files) == {"a/rest.nii.gz": "a/rest", "b/rest.nii.gz": "b/rest"}


def test_a_file_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    make(tmp_path, "a/rest.nii.gz")
    assert found([tmp_path / "a", tmp_path / "a" / "rest.nii.gz"]) == {"rest.nii.gz": "rest"}


def test_links_keep_their_place(tmp_path: Path) -> None:
    """Masks and sidecars lie beside the link, not beside what it points to."""
    make(tmp_path, "store/MD5E-s100.nii.gz", "cohort/other")
    link = tmp_path / "cohort" / "sub-01_bold.nii.gz"
    link.symlink_to(tmp_path / "store" / "MD5E-s100.nii.gz")
    assert [record["image"] for record in find_scans(tmp_path / "cohort")] == [str(link)]


def test_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a/rest.nii.gz")
    monkeypatch.chdir(tmp_path)
    assert found("a") == {"rest.nii.gz": "rest"}


@pytest.mark.parametrize("missing", ["no_such_folder", "a/no_such.nii.gz"])
def test_a_missing_path_is_named(missing: str, tmp_path: Path) -> None:
    make(tmp_path, "a/rest.nii.gz")
    with pytest.raises(ScanError, match=rf"{missing}: there is no such file or folder"):
        find_scans([tmp_path / "a", tmp_path / missing])


@pytest.mark.parametrize("names", [("notes.txt",), ("a_mask.nii.gz",)])
def test_a_folder_without_scans_is_named(names: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ScanError, match=rf"{tmp_path}: no scan found, expected 4D files"):
        find_scans(make(tmp_path, *names))
