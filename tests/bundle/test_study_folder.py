"""`folds.json`: what is written is read, in its order, and what is damaged is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_tff.bundle.study_folder import (
    Member,
    StudyFolder,
    in_order,
    is_folds_folder,
    member_place,
    read_members,
    read_study_folder,
    write_study_folder,
)
from monai_tff.errors import ConfigError


def study_of(folder: Path) -> StudyFolder:
    members = [
        Member(split, seed, member_place(folder, split, seed) / "finetune", folder / f"{split}.json")
        for split, seed in (("fold-10", 4), ("fold-2", 11), ("fold-2", 9))
    ]
    splits = [f"fold-{number}" for number in range(1, 11)]
    return StudyFolder("mine", ("autoencoder", "finetune"), {"folds": 10}, 10, in_order(members, splits))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert not is_folds_folder(tmp_path)
    study = study_of(tmp_path)
    write_study_folder(tmp_path, study)
    assert is_folds_folder(tmp_path)
    assert read_study_folder(tmp_path) == study
    members = read_members(tmp_path)
    assert [member.name for member in members] == ["fold-2, seed 9", "fold-2, seed 11", "fold-10, seed 4"]
    assert members[0].folder == tmp_path / "fold-2" / "seed-9" / "finetune"
    assert members[0].place == tmp_path / "fold-2" / "seed-9"


def test_a_folder_may_be_moved(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    write_study_folder(tmp_path / "before", study_of(tmp_path / "before"))
    (tmp_path / "before").rename(tmp_path / "after")
    assert read_members(tmp_path / "after")[0].folder == tmp_path / "after" / "fold-2" / "seed-9" / "finetune"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        (json.dumps({"experiment": "e", "phases": [], "plan": {}, "splits": 1, "members": []}), "IndexError"),
        (json.dumps({"phases": ["finetune"], "members": []}), "KeyError"),
        (json.dumps({"phases": ["finetune"], "members": [{"split": "a", "seed": "x"}]}), "ValueError"),
    ],
)
def test_a_damaged_file(content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "folds.json").write_text(content)
    with pytest.raises(ConfigError, match=rf"folds.json: cannot be read \({reason}.*start the run again with --resume"):
        read_members(tmp_path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"folds.json: cannot be read \(FileNotFoundError"):
        read_members(tmp_path)
