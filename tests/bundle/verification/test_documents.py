from __future__ import annotations

import json

import pytest

from monai_tff.bundle.verification.documents import PERSONAL_PATH


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("From /home/ann/scans and more", "/home/ann/scans"),
        ("`/scratch/ann/run`", "/scratch/ann/run`"),
        ("file:///data/ann", "file:///data/ann"),
        (r"in C:\Users\ann here", r"C:\Users\ann"),
        (json.dumps({"a": r"D:\ann"}), r'D:\\ann"}'),
    ],
)
def test_paths_of_somebodys_machine(text: str, path: str) -> None:
    found = PERSONAL_PATH.search(text)
    assert found is not None
    assert found[0] == path


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/home/ann",
        "models/tmp/x",
        "the home/work ratio",
        r"profile:\d",
        "~/tmp/x",
        "a/work/b",
        "B: x",
    ],
)
def test_no_path_of_a_machine(text: str) -> None:
    assert PERSONAL_PATH.search(text) is None
