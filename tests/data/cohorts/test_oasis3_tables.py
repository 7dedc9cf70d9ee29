from __future__ import annotations

from pathlib import Path

import pytest

from monai_tff.data.cohorts.oasis3_tables import Visit, read_oasis3_tables
from monai_tff.errors import DatalistError

CLINICAL = "OASISID,days_to_visit,age at visit,CDRTOT,dx1"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_demographics(tmp_path: Path) -> None:
    rows = ("OAS30001,60.5,1", "sub-OAS30002,.,2", "oas30003,44,", "OAS30001,60.5,1", ",1,1")
    tables = read_oasis3_tables([write(tmp_path / "any name.csv", "OASISID,AgeatEntry,GENDER", *rows)])
    assert tables.ages == {"OAS30001": 60.5, "OAS30003": 44.0}
    assert tables.sexes == {"OAS30001": "M", "OAS30002": "F"}
    assert tables.subjects == {"demographics": {"OAS30001", "OAS30002", "OAS30003"}}
    assert tables.faults == []


def test_visits_are_in_the_order_of_days_and_equal_ones_count_once(tmp_path: Path) -> None:
    rows = ("OAS30001,0722,,0.5,AD Dementia", "OAS30001,0,,0,.", "OAS30001,0,,0,.", "OAS30001,-12,,.,Q")
    tables = read_oasis3_tables([write(tmp_path / "t.csv", CLINICAL, *rows)])
    assert tables.visits == {
        "OAS30001": [Visit(-12, None, "Q"), Visit(0, 0.0, None), Visit(722, 0.5, "AD Dementia")],
    }
    assert tables.has_diagnoses
    assert tables.faults == []


@pytest.mark.parametrize(
    ("header", "rows", "subject", "message"),
    [
        (CLINICAL, ["OAS30001,soon,,0,a"], "OAS30001", r"has days_to_visit 'soon', expected the days since entry"),
        (CLINICAL, ["OAS30001,,,0,a"], "OAS30001", r"has days_to_visit '', expected the days since entry"),
        (CLINICAL, ["OAS30001,1.5,,0,a"], "OAS30001", r"has days_to_visit '1\.5'"),
        (CLINICAL, ["OAS30001,1,,0.7,a"], "OAS30001", r"on day 1 has CDRTOT '0\.7', expected 0, 0\.5, 1, 2 or 3"),
        (
            CLINICAL,
            ["OAS30001,1,,0,a", "OAS30001,1,,1,a"],
            "OAS30001",
            r"on day 1 disagree \(CDRTOT 0\.0 and 1\.0, dx1",
        ),
        ("OASISID,AgeatEntry,GENDER", ["OAS30001,old,1"], "OAS30001", r"has AgeatEntry 'old', expected years"),
        ("OASISID,AgeatEntry,GENDER", ["OAS30001,60,F"], "OAS30001", r"has GENDER 'F', expected 1 \(M\) or 2 \(F\)"),
        ("OASISID,AgeatEntry,GENDER", ["OAS30001,60,1", "OAS30001,61,1"], "OAS30001", r"two rows of OAS30001 disagree"),
        ("label,ManufacturersModelName", ["OAS30001_CT_d1,x"], "OAS30001", r"the session OAS30001_CT_d1 has no day"),
        (
            "label,ManufacturersModelName",
            ["OAS30001_MR_d0001,Trio", "OAS30001_MR_d0001,mMR", "OAS30001_MR_d0001,mMR"],
            "OAS30001",
            r"the session OAS30001_MR_d0001 has two scanners",
        ),
    ],
)
def test_wrong_rows_are_one_sentence_each(
    tmp_path: Path, header: str, rows: list[str], subject: str, message: str
) -> None:
    tables = read_oasis3_tables([write(tmp_path / "t.csv", header, *rows)])
    assert len(tables.faults) == 1
    (sentence,) = tables.faults_of([subject])
    assert tables.faults_of(["OAS39999"]) == []
    with pytest.raises(DatalistError, match=rf"t\.csv: .*{message}"):
        raise DatalistError(sentence)


def test_a_visit_that_contradicts_itself_is_not_replaced_by_the_next(tmp_path: Path) -> None:
    rows = ("OAS30001,1,,0,a", "OAS30001,1,,1,a", "OAS30001,2,,9,a")
    tables = read_oasis3_tables([write(tmp_path / "t.csv", CLINICAL, *rows)])
    assert [(visit.day, visit.wrong) for visit in tables.visits["OAS30001"]] == [(1, True), (2, True)]


@pytest.mark.parametrize(("age", "contradicted"), [("66.9", set()), ("64.1", set()), ("68", {"OAS30001"})])
def test_two_tables_about_two_people(tmp_path: Path, age: str, contradicted: set[str]) -> None:
    demographics = write(tmp_path / "demo.csv", "OASISID,AgeatEntry,GENDER", "OAS30001,64.5,1")
    visits = write(tmp_path / "cdr.csv", CLINICAL, f"OAS30001,365,{age},0,a", f"OAS30001,366,{age},0,a")
    tables = read_oasis3_tables([visits, demographics])
    assert tables.contradicted == contradicted
    assert len(tables.faults) == len(contradicted)
    if contradicted:
        message = r"OAS30001: .*cdr\.csv says 68 years on day 365 and .*demo\.csv 64\.5 at entry"
        with pytest.raises(DatalistError, match=message):
            raise DatalistError(tables.faults_of(contradicted)[0])


def test_tables_of_no_kind_or_of_one_kind_are_refused(tmp_path: Path) -> None:
    other = write(tmp_path / "OASIS3_UDSd1_diagnoses.csv", "OASISID,days_to_visit,NORMCOG", "OAS30001,0,1")
    message = (
        r"diagnoses\.csv: is no table of OASIS-3 that is used here, found the columns OASISID, days_to_visit, NORMCOG, "
        r"expected OASISID, AgeatEntry, GENDER \(OASIS3_demographics\.csv\); OASISID, days_to_visit, CDRTOT \("
    )
    with pytest.raises(DatalistError, match=message):
        read_oasis3_tables([other])
    first, second = (write(tmp_path / f"{n}.csv", CLINICAL) for n in (1, 2))
    with pytest.raises(DatalistError, match=r"1\.csv and .*2\.csv are both tables of clinical, expected one"):
        read_oasis3_tables([first, second])
