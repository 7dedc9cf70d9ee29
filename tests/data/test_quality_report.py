"""Reports on disk: whole files, readable, and never in the place of something else."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from monai_tff.data.quality_cohort import CheckedScan
from monai_tff.data.quality_facts import ScanFacts
from monai_tff.data.quality_findings import MUST_FIX, NOTE, Finding
from monai_tff.data.quality_report import COLUMNS, QualityReport, report_files, write_report
from monai_tff.errors import DatalistError


def report(error: str = "there is no such file.") -> QualityReport:
    record = {"subject": "1", "session": None, "run": "2"}
    scans = [
        CheckedScan("training", {"image": "a.nii", **record}, ScanFacts(error=error)),
        CheckedScan("test", {"image": "b.nii", **record}, ScanFacts(mean=float("inf"), repeated_frames=3)),
    ]
    findings = [
        Finding(MUST_FIX, "unreadable", error, "training", "a.nii"),
        Finding(NOTE, "repeated frames", "3 frames equal, the one before them.", "test", "b.nii"),
        Finding(NOTE, "no common space", "register them.", "", ""),
    ]
    return QualityReport("d.json", "cohort", {"trim": 3}, scans, findings)


def test_the_summary_counts_scans_and_findings() -> None:
    assert report().summary() == {
        "scans": 2,
        "sections": {"training": 1, "test": 1},
        "scans_with": {"must fix": 1, "note": 1},
        "findings": {"must fix": {"unreadable": 1}, "note": {"repeated frames": 1, "no common space": 1}},
    }
    assert [finding.kind for finding in report().must_fix] == ["unreadable"]


def test_json_and_csv_hold_every_scan(tmp_path: Path) -> None:
    files = report_files(f"{tmp_path}/reports/", "some/d.json")
    assert files == (tmp_path / "reports" / "d_check.json", tmp_path / "reports" / "d_check.csv")
    write_report(report(), files)
    content = json.loads(files[0].read_text(encoding="utf-8"))
    assert (content["datalist"], content["layer"], len(content["scans"])) == ("d.json", {"trim": 3}, 2)
    assert content["findings"][0] == {
        "level": "must fix",
        "kind": "unreadable",
        "sentence": "there is no such file.",
        "section": "training",
        "image": "a.nii",
    }
    assert (content["scans"][0]["run"], content["scans"][1]["mean"]) == ("2", None)
    with files[1].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["a.nii", "b.nii"]
    assert [(row["must_fix"], row["notes"]) for row in rows] == [("1", "0"), ("0", "1")]
    assert rows[1]["findings"] == "note: 3 frames equal, the one before them."
    assert sorted(os.listdir(tmp_path / "reports")) == ["d_check.csv", "d_check.json"]


@pytest.mark.parametrize(
    ("output", "name"),
    [("r/q", "q"), ("r/q.json", "q"), ("r/q.csv", "q"), ("r/q.2", "q.2"), ("r/", "d_check"), ("r", "d_check")],
)
def test_names_of_reports(tmp_path: Path, output: str, name: str) -> None:
    (tmp_path / "r").mkdir()
    files = report_files(tmp_path / output if not output.endswith("/") else f"{tmp_path}/{output}", "d.json")
    assert files == (tmp_path / "r" / f"{name}.json", tmp_path / "r" / f"{name}.csv")


def test_a_report_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    for error in ("first.", "second."):
        write_report(report(error), report_files(tmp_path / "r", "d.json"))
    assert json.loads((tmp_path / "r.json").read_text())["scans"][0]["error"] == "second."


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("d.json", '{"name": "cohort"}'),
        ("d.json", "[]"),
        ("d.json", "{"),
        ("d.csv", "subject,age\n1,2\n"),
        ("d.csv", ""),
    ],
)
def test_other_files_are_never_replaced(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DatalistError, match=rf"{name}: exists and is no report of a check"):
        report_files(tmp_path / "d", "d.json")
    assert (tmp_path / name).read_text() == text


def test_a_place_that_cannot_be_written_to_is_named_before_the_reading(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatalistError, match=r"file: is no folder that you may write to.*choose another --output"):
        report_files(tmp_path / "file" / "r", "d.json")


def test_a_place_that_vanished_meanwhile_is_named(tmp_path: Path) -> None:
    files = report_files(tmp_path / "r" / "q", "d.json")
    (tmp_path / "r").write_text("")
    with pytest.raises(DatalistError, match=r"q\.csv: cannot be written \(.+\).*choose another --output"):
        write_report(report(), files)


def test_the_columns_are_those_of_the_rows() -> None:
    assert all(tuple(row) == COLUMNS for row in report().rows())
