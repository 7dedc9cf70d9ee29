from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_tff.data.cohorts.cells import as_age, as_sex, column_levels, column_names, first_column, read_columns
from monai_tff.errors import DatalistError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_only_the_header_is_read_for_names(tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", "\ufeffid, age ,,sex\n1,2,3,4,5,6\n")
    assert column_names(table) == ["id", "age", "sex"]
    assert column_names(write(tmp_path / "empty.tsv", "")) == []
    with pytest.raises(DatalistError, match=r"row 1 has 6 cells, the header 4"):
        read_columns(table)


def test_columns_of_one_name(tmp_path: Path) -> None:
    assert read_columns(write(tmp_path / "same.csv", "id,x,x\n1,a,a\n")) == {"id": ["1"], "x": ["a"]}
    assert first_column(read_columns(write(tmp_path / "unnamed.csv", "id,,\n1,a,b\n")), ("ID",)) == "id"
    with pytest.raises(DatalistError, match=r"t\.csv: cannot be read as a table \(two columns are named 'x' and disag"):
        read_columns(write(tmp_path / "t.csv", "id,x,x\n1,a,b\n"))


@pytest.mark.parametrize(
    ("text", "years"),
    [("31", 31.0), ("0.5", 0.5), ("36+", None), ("22-25", None), ("-3", None), ("nan", None), (None, None)],
)
def test_only_exact_ages_are_ages(text: str | None, years: float | None) -> None:
    assert as_age(text) == years


@pytest.mark.parametrize(
    ("text", "sex"),
    [("F", "F"), ("female", "F"), ("Male ", "M"), ("m", "M"), ("1", None), ("other", None), (None, None)],
)
def test_only_words_say_a_sex(text: str | None, sex: str | None) -> None:
    assert as_sex(text) == sex


def test_codes_say_what_the_description_of_the_table_says(tmp_path: Path) -> None:
    table = tmp_path / "participants.tsv"
    assert column_levels(table, "sex") == {}
    write(tmp_path / "participants.json", json.dumps({"sex": {"Levels": {"1": "female", "2": "male"}}, "age": "years"}))
    levels = column_levels(table, "sex")
    assert [as_sex(code, levels) for code in ("1", "2", "3", "F")] == ["F", "M", None, "F"]
    assert column_levels(table, "age") == {}
    write(tmp_path / "participants.json", "{")
    with pytest.raises(DatalistError, match=r"participants\.json: is not readable as JSON"):
        column_levels(table, "sex")


def test_a_quotation_mark_that_is_not_closed_loses_no_row(tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    table.write_text('participant_id\tdx\tnote\n1\tA\t"a tab\there"\n2\tB\tfelt 5" taller\n')
    assert read_columns(table)["note"] == ["a tab\there", 'felt 5" taller']
    table.write_text('participant_id\tnote\tdx\n1\t"early\tA\n2\tfine\tB\n')
    with pytest.raises(DatalistError, match=r"t\.tsv: cannot be read as a table \(unexpected end of data\)"):
        read_columns(table)
