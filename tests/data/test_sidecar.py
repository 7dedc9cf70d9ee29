from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_tff.data.sidecar import read_sidecar, sidecar_repetition_time
from monai_tff.errors import ScanError

SCAN = "sub-01/ses-2/func/sub-01_ses-2_task-rest_run-1_bold.nii.gz"


def write(path: Path, **content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset with a description, in a folder whose own JSON files must not matter."""
    write(tmp_path / "task-rest_bold.json", RepetitionTime=99.0)
    write(tmp_path / "study" / "dataset_description.json", Name="study")
    (tmp_path / "study" / SCAN).parent.mkdir(parents=True)
    return tmp_path / "study"


@pytest.mark.parametrize(
    "name",
    [
        "task-rest_bold.json",
        "bold.json",
        "sub-01/sub-01_task-rest_bold.json",
        "sub-01/ses-2/sub-01_ses-2_bold.json",
        SCAN.replace(".nii.gz", ".json"),
    ],
)
def test_a_sidecar_of_any_level_applies(dataset: Path, name: str) -> None:
    write(dataset / name, RepetitionTime=1.5)
    assert sidecar_repetition_time(dataset / SCAN) == 1.5


@pytest.mark.parametrize(
    "name",
    [
        "task-nback_bold.json",
        "task-rest_run-2_bold.json",
        "task-rest_events.json",
        "task-rest_acq-x_bold.json",
        "sub-02/sub-02_bold.json",
    ],
)
def test_a_sidecar_of_another_scan_does_not_apply(dataset: Path, name: str) -> None:
    write(dataset / name, RepetitionTime=1.5)
    assert sidecar_repetition_time(dataset / SCAN) is None


def test_the_nearer_and_the_more_specific_sidecar_win_key_by_key(dataset: Path) -> None:
    write(dataset / "task-rest_bold.json", RepetitionTime=1.0, TaskName="rest", EchoTime=0.03)
    write(dataset / "task-rest_run-1_bold.json", RepetitionTime=2.0, EchoTime=0.04)
    write(dataset / SCAN.replace(".nii.gz", ".json"), RepetitionTime=3.0)
    assert read_sidecar(dataset / SCAN) == {"RepetitionTime": 3.0, "TaskName": "rest", "EchoTime": 0.04}


def test_without_a_description_the_folder_of_the_subjects_is_the_root(tmp_path: Path) -> None:
    (tmp_path / SCAN).parent.mkdir(parents=True)
    write(tmp_path / "task-rest_bold.json", RepetitionTime=0.72)
    assert sidecar_repetition_time(tmp_path / SCAN) == 0.72


def test_a_scan_outside_of_a_dataset_has_the_sidecar_beside_it_only(tmp_path: Path) -> None:
    write(tmp_path / "bold.json", RepetitionTime=9.0)
    write(tmp_path / "scans" / "first_bold.json", RepetitionTime=0.72)
    write(tmp_path / "scans" / "bold.json", RepetitionTime=0.8)
    assert sidecar_repetition_time(tmp_path / "scans" / "first_bold.nii.gz") == 0.72
    assert sidecar_repetition_time(tmp_path / "scans" / "second_bold.nii.gz") == 0.8
    assert sidecar_repetition_time(tmp_path / "scans" / "second_mc.nii.gz") is None


def test_a_sidecar_written_after_the_first_reading_is_seen(dataset: Path) -> None:
    assert sidecar_repetition_time(dataset / SCAN) is None
    write(dataset / "bold.json", RepetitionTime=2.5)
    assert sidecar_repetition_time(dataset / SCAN) == 2.5


def test_a_sidecar_that_is_not_json_is_named(dataset: Path) -> None:
    (dataset / "task-rest_bold.json").write_text('{"RepetitionTime": 2.0')
    with pytest.raises(ScanError, match=r"task-rest_bold\.json: is not readable as JSON .* expected a sidecar"):
        read_sidecar(dataset / SCAN)


def test_a_sidecar_that_is_a_list_is_named(dataset: Path) -> None:
    (dataset / "task-rest_bold.json").write_text("[2.0]")
    with pytest.raises(ScanError, match=r"task-rest_bold\.json: holds a JSON list, expected an object"):
        read_sidecar(dataset / SCAN)


@pytest.mark.parametrize("value", ["2.0", True, -1, [2.0], float("nan")])
def test_a_repetition_time_that_is_no_number_is_refused(dataset: Path, value: object) -> None:
    write(dataset / "bold.json", RepetitionTime=value)
    with pytest.raises(ScanError, match=r"run-1_bold\.nii\.gz: its sidecar has RepetitionTime .* expected a number"):
        sidecar_repetition_time(dataset / SCAN)


@pytest.mark.parametrize("value", [0, 0.0, None])
def test_zero_and_null_are_unknown(dataset: Path, value: object) -> None:
    write(dataset / "bold.json", RepetitionTime=value)
    assert sidecar_repetition_time(dataset / SCAN) is None
