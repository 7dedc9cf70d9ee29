from __future__ import annotations

from pathlib import Path

import pytest

from monai_tff.data.cohorts.joined import SubjectTables
from monai_tff.data.targets import canonical
from monai_tff.errors import DatalistError


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_tables_are_joined_by_subject(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "ID,sex,age", "1,F,", "2,M,30", "3,n/a,", ",F,1")
    second = write(tmp_path / "b.tsv", "age\tID\tfamily", "30.0\t2.0\t7", "41\t1\t", "5\t4\t8")
    joined = SubjectTables([first, second], "ID", canonical).join(["sex", "age", "family", "height"])
    assert joined.values == {
        "1": {"sex": "F", "age": "41"},
        "2": {"sex": "M", "age": "30", "family": "7"},
        "3": {},
        "4": {"age": "5", "family": "8"},
    }
    assert joined.faults == {}


def test_disagreements_are_named_for_the_columns_wanted(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "ID,sex,age", "1,F,30", "2,M,30", "2,F,30")
    second = write(tmp_path / "b.csv", "ID,sex,age", "1,M,31", "2,M,30")
    tables = SubjectTables([first, second], "ID")
    assert tables.join(["sex", "age"]).faults == {
        "1": f"{first} and {second}: disagree about 1: sex is 'F' and 'M', expected one value; correct the table.",
        "2": f"{first}: two rows disagree about 2: sex is 'M' and 'F', expected one value; correct the table.",
    }
    assert list(tables.join(["age"]).faults) == ["1"]
    assert tables.join([]).faults == {}


def test_columns_that_are_missing_are_named(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "ID,sex,age_at_scan", "1,F,30")
    tables = SubjectTables([first], "ID")
    assert tables.has("sex")
    assert not tables.has("Sex")
    tables.need("sex")
    with pytest.raises(DatalistError, match=r"a\.csv: has no column 'age_scan' among 3 \(age_at_scan\); name a column"):
        tables.need("age_scan")
    with pytest.raises(DatalistError, match=r"a\.csv: has no column 'xyz' among 3 \(ID, sex, age_at_scan\)"):
        tables.need("xyz")
    wide = write(tmp_path / "wide.csv", ",".join(f"c{n}" for n in range(20)))
    with pytest.raises(
        DatalistError,
        match=r"wide\.csv: has no column 'ID', found c0, c1, c2, c3, c4, c5, c6, c7, \.\.\.; give a table",
    ):
        SubjectTables([first, wide], "ID")
    assert SubjectTables([], "ID").paths == "no table"
