from __future__ import annotations

import pytest

from monai_tff.data.bids_names import parse_name, same_value, split_extension, without_prefix, without_zeros


@pytest.mark.parametrize(
    ("name", "entities", "words", "suffix", "extension"),
    [
        ("sub-01_task-rest_bold.nii.gz", {"sub": "01", "task": "rest"}, (), "bold", ".nii.gz"),
        (
            "a/sub-9/sub-01_ses-2_desc-preproc_bold.nii",
            {"sub": "01", "ses": "2", "desc": "preproc"},
            (),
            "bold",
            ".nii",
        ),
        ("task-rest_bold.json", {"task": "rest"}, (), "bold", ".json"),
        ("bold.json", {}, (), "bold", ".json"),
        ("sub-01_bold_space-MNI_preproc.nii.gz", {"sub": "01", "space": "MNI"}, ("bold",), "preproc", ".nii.gz"),
        ("rfMRI_REST1_LR.nii.gz", {}, ("rfMRI", "REST1"), "LR", ".nii.gz"),
        ("sub-01_task-rest.nii", {"sub": "01", "task": "rest"}, (), "", ".nii"),
    ],
)
def test_names_are_split(
    name: str, entities: dict[str, str], words: tuple[str, ...], suffix: str, extension: str
) -> None:
    parsed = parse_name(name)
    assert (parsed.entities, parsed.words, parsed.suffix, parsed.extension) == (entities, words, suffix, extension)


def test_extension_keeps_inner_dots() -> None:
    assert split_extension("x/brainmask_fs.2.nii.gz") == ("brainmask_fs.2", ".nii.gz")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [("1", "01", True), ("A1", "A01", False), ("0", "000", True), ("10", "1", False), ("", "", True)],
)
def test_leading_zeros_do_not_matter(first: str, second: str, same: bool) -> None:
    assert same_value(first, second) is same


def test_ids_lose_their_key_and_their_zeros() -> None:
    assert without_prefix(" sub-007 ", "sub") == "007"
    assert without_prefix("007", "sub") == "007"
    assert without_zeros("007") == "7"
