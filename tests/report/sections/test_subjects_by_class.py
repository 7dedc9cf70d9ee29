from __future__ import annotations

import json
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from monai_tff.contract import Target
from monai_tff.report.html import write
from monai_tff.report.sections.subjects_by_class import labelled_subjects, standardised_difference, subjects_by_class

AGE = Target("age", "regression")
DIAGNOSIS = Target("diagnosis", "binary", ("CONTROL", "PATIENT"))


def record(subject: str, label: Any, **values: Any) -> dict[str, Any]:
    return {"subject": subject, "label": label, "age": None, "sex": None, "site": "a", "motion": None, **values}


DATALIST = {
    "training": [
        record("1", "CONTROL", age=20.0, sex="F", motion=0.1, motion_kind="mean FD"),
        record("1", "CONTROL", age=21.0, sex="F", motion=0.3, motion_kind="mean FD"),
        record("2", "CONTROL", age=30.0, sex="F", motion=0.4, motion_kind="mean FD"),
        record("3", "CONTROL", sex="M"),
    ],
    "validation": [record("4", "PATIENT", age=40.0, sex="M"), record("5", "PATIENT", age=60.0, sex="F")],
    "test": [record("6", "PATIENT", age=50.0), record("7", None, age=99.0, sex="M")],
}


def test_a_subject_counts_once_and_only_with_a_label():
    found = labelled_subjects(DATALIST).set_index("subject")
    assert list(found.index) == ["1", "2", "3", "4", "5", "6"]
    assert found.loc["1", ["label", "age"]].tolist() == ["CONTROL", 20.0]
    assert found.loc["1", "motion"] == pytest.approx(0.2)


def test_rows_by_hand():
    text = write(subjects_by_class(DATALIST, DIAGNOSIS, "who"))
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)<", row) for row in text.split("<tr>")[1:]]
    age = (50 - 25) / np.sqrt((50 + 100) / 2)
    sex = (2 / 3 - 1 / 2) / np.sqrt((2 / 9 + 1 / 4) / 2)
    assert rows[0] == ["Covariate", "CONTROL (3)", "PATIENT (3)", "Difference"]
    assert rows[1:] == [
        ["Age (years)", "25.00 (7.07), 1 not known", "50.00 (10.00)", f"{age:.2f}"],
        ["Motion, mean FD", "0.30 (0.14), 1 not known", "-", "-"],
        ["Sex: F", "2 (67 %)", "1 (50 %)", f"{sex:.2f}"],
        ["Sex: M", "1 (33 %)", "1 (50 %)", f"{sex:.2f}"],
        ["Sex: not known", "0", "1", "-"],
    ]


def test_a_number_is_cut_at_its_median_and_is_no_covariate_of_itself():
    records = [record(str(age), float(age), age=float(age), sex="FM"[age % 2]) for age in range(20, 31)]
    text = write(subjects_by_class({**DATALIST, "training": records, "validation": [], "test": []}, AGE, "who"))
    assert "age below 25 (5)" in text
    assert "from 25 on (6)" in text
    assert "Age (years)" not in text


def test_nothing_is_shown_where_nothing_is_known():
    records = [record(str(number), "CONTROL") for number in range(4)]
    assert subjects_by_class({"training": records, "validation": [], "test": []}, DIAGNOSIS, "who") is None
    assert subjects_by_class({"training": [], "validation": [], "test": []}, DIAGNOSIS, "who") is None


def test_the_largest_difference_of_several_classes():
    parts = [pd.Series(values) for values in ([1.0, 3.0], [2.0, 4.0], [5.0, 7.0, np.nan], [9.0])]
    assert standardised_difference(parts) == pytest.approx(4 / np.sqrt(2))
    assert standardised_difference([pd.Series([1.0, 1.0]), pd.Series([2.0, 2.0])]) is None


def test_the_report_shows_it(reports: Callable[[str], SimpleNamespace], cohort: Any) -> None:
    datalist = json.loads(cohort.datalists["sex"].read_text())
    head, *rows = reports("sex").page.tables["Who the subjects are"]
    found = labelled_subjects(datalist)
    sizes = found["label"].value_counts()
    assert head == ["Covariate", f"F ({sizes['F']})", f"M ({sizes['M']})", "Difference"]
    age, motion, *sites = rows
    assert age[1].startswith(f"{found.loc[found['label'] == 'F', 'age'].mean():.2f} (")
    assert motion[0] == "Motion, mean FD"
    assert {row[0] for row in sites} == {f"Site: {site}" for site in found["site"].unique()}
