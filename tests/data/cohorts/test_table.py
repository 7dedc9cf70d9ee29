from __future__ import annotations

from pathlib import Path

import pytest

from monai_tff.data.cohorts.table import read_table
from monai_tff.errors import DatalistError


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_ids_stay_text_and_optional_columns_are_read(tmp_path: Path) -> None:
    table = read_table(
        write(
            tmp_path / "participants.tsv",
            "participant_id\tsex\tFamily_ID\tscanner",
            "sub-001\tF\t7\tPrisma",
            "2\tn/a\t\tn/a",
        ),
        "sex",
    )
    assert table.subjects == ["001", "2"]
    first, second = table.rows
    assert (first.value, first.family, first.site) == ("F", "7", "Prisma")
    assert (second.value, second.family, second.site) == (None, None, None)
    assert (table.families("001"), table.families("2")) == (["7"], [])


@pytest.mark.parametrize(
    ("name", "separator", "start"), [("t.csv", ",", ""), ("t.tsv", "\t", ""), ("t.tsv", "\t", "\ufeff")]
)
def test_separators_and_byte_order_mark(tmp_path: Path, name: str, separator: str, start: str) -> None:
    lines = [separator.join(cells) for cells in (("participant_id", " age "), ("sub-1", " 31 "))]
    table = read_table(write(tmp_path / name, start + lines[0], lines[1]), "age")
    assert table.rows[0].value == "31"


def test_ids_match_with_and_without_leading_zeros(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.tsv", "participant_id\tx", "1\ta", "sub-02\tb", "003\tc", "A7\td"), "x")
    assert table.match(["01", "2", "003", "A07", "9"]) == {"01": "1", "2": "02", "003": "003"}


def test_the_same_id_comes_before_one_without_zeros(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.tsv", "participant_id\tx", "1\ta", "01\tb"), "x")
    assert table.match(["01", "1"]) == {"01": "01", "1": "1"}
    with pytest.raises(DatalistError, match=r"t\.tsv: sub-001 fits the rows 1 and 01, expected one row"):
        table.match(["001"])


def test_two_subjects_for_one_row_are_refused(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.tsv", "participant_id\tx", "1\ta"), "x")
    with pytest.raises(DatalistError, match="the row 1 fits both sub-1 and sub-01, expected one subject"):
        table.match(["1", "01"])


def test_rows_of_sessions(tmp_path: Path) -> None:
    rows = ("sub-1\tses-1\t0", "sub-1\t02\t1", "sub-2\tn/a\t1")
    table = read_table(write(tmp_path / "t.tsv", "participant_id\tsession_id\tcdr", *rows), "cdr")
    found = [table.row("1", session) for session in ("01", "2", "3", None)]
    assert [row and row.value for row in found] == ["0", "1", None, None]
    whole = table.row("2", "5")
    assert whole is not None
    assert whole.value == "1"


def test_the_row_of_a_session_comes_before_that_of_the_subject(tmp_path: Path) -> None:
    rows = ("1\t\tbase\t20", "1\t1\tone\t21", "1\t01\tzero\t22", "1\t2\ttwo\t23")
    table = read_table(write(tmp_path / "t.tsv", "participant_id\tsession_id\tx\tage", *rows), "x")
    found = [table.row("1", session) for session in ("1", "01", "02", "3", None)]
    assert [row and (row.value, row.age) for row in found] == [
        ("one", 21.0),
        ("zero", 22.0),
        ("two", 23.0),
        ("base", 20.0),
        ("base", 20.0),
    ]


def test_the_family_may_be_stated_in_one_row_only(tmp_path: Path) -> None:
    rows = ("1\t1\ta\t", "1\t2\ta\tf9")
    table = read_table(write(tmp_path / "t.tsv", "participant_id\tsession_id\tx\tfamily", *rows), "x")
    assert table.families("1") == ["f9"]


def test_equal_rows_count_once_and_rows_without_id_not_at_all(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.tsv", "participant_id\tx", "1\ta", "sub-1\ta", "n/a\tb"), "x")
    assert len(table.rows) == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["participant_id\tsex\tage", "1\tF\t3"], r"has no column 'x', found participant_id, sex, age; name a column"),
        (["subject\tx", "1\tF"], "has no column 'participant_id', found subject, x"),
        (["participant_id\tx", "1\ta", "sub-1\tb"], r"two rows of 1 disagree \(value: a and b\), expected one row"),
        (["participant_id\tx\tsite", "1\ta\tp", "1\ta\tq"], r"two rows of 1 disagree \(site: p and q\)"),
        (
            ["participant_id\tx", "1\ta\tb\tc"],
            r"cannot be read as a table \(row 1 has 4 cells, the header 2\), expected text",
        ),
    ],
)
def test_tables_that_cannot_be_used_are_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(DatalistError, match=rf"t\.tsv: .*{message}"):
        read_table(write(tmp_path / "t.tsv", *rows), "x")


def test_trailing_separators_are_no_cells(tmp_path: Path) -> None:
    table = read_table(write(tmp_path / "t.tsv", "participant_id\tx\tsite", "1\ta\t", "", "2\tb\tp\t\t"), "x")
    assert [(row.value, row.site) for row in table.rows] == [("a", None), ("b", "p")]


@pytest.mark.parametrize("row", ["1\ta", "1", "1\tfamily"])
def test_a_short_row_is_refused_because_any_cell_may_be_missing(tmp_path: Path, row: str) -> None:
    rows = ["participant_id\tx\tfamily_id", "0\ta\tf", row]
    with pytest.raises(DatalistError, match=r"t\.tsv: .*row 2 has [12] cells, the header 3.*correct the file"):
        read_table(write(tmp_path / "t.tsv", *rows), "x")


def test_a_missing_empty_or_binary_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=r"absent\.tsv: there is no such table, expected participants\.tsv"):
        read_table(tmp_path / "absent.tsv", "x")
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(DatalistError, match=r"empty\.csv: has no column 'participant_id', found no column"):
        read_table(tmp_path / "empty.csv", "x")
    (tmp_path / "binary.tsv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(DatalistError, match=r"binary\.tsv: cannot be read as a table"):
        read_table(tmp_path / "binary.tsv", "x")
