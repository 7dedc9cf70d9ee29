from __future__ import annotations

from pathlib import Path

import pytest

from monai_tff.data.cohorts import Cohort, read_bids
from monai_tff.errors import DatalistError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "all scans"
    for path in ("a/one.nii.gz", "two.nii", "sub-3_ses-2_task-rest_run-1_bold.nii.gz", "notes.txt"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


def labels(root: Path, *rows: str, header: str = "ID,file,dx,family,age,sex,site") -> Path:
    table = root.parent / "labels.csv"
    table.write_text("\n".join((header, *rows)) + "\n")
    return table


def read(root: Path, table: Path, target: str = "dx", **options: str) -> Cohort:
    return read_bids(root, target, tables=[table], id_column="ID", path_column="file", **options)


def test_the_table_says_which_scan_belongs_to_which_row(root: Path) -> None:
    rows = (
        "01,a/one.nii.gz,CONTROL,f1,30,F,A",
        f"02,{root}/two.nii,SCHZ,f1,,M,B",
        "3,./sub-3_ses-2_task-rest_run-1_bold.nii.gz,n/a,,40,,",
        "4,,CONTROL,,,,",
        "01,a/one.nii.gz,CONTROL,f1,30,F,A",
    )
    found = read(root, labels(root, *rows))
    keys = ("image", "subject", "session", "run", "task", "group", "site", "age", "sex", "label")
    assert [tuple(record[key] for key in keys) for record in found.records] == [
        ("a/one.nii.gz", "01", None, None, None, "family-f1", "A", 30.0, "F", "CONTROL"),
        ("two.nii", "02", None, None, None, "family-f1", "B", None, "M", "SCHZ"),
    ]
    assert [tuple(record[key] for key in keys) for record in found.unlabelled] == [
        ("sub-3_ses-2_task-rest_run-1_bold.nii.gz", "3", "2", "1", "rest", "sub-3", None, 40.0, None, None)
    ]
    assert found.left_out == {"rows: no path": ["sub-4"], "rows: no target value": ["sub-3"]}
    assert found.faults == []


def test_sessions_come_from_the_table_where_names_say_none(root: Path) -> None:
    table = labels(root, "1,a/one.nii.gz,0,ses-base", "1,two.nii,0.5,later", header="ID,file,cdr,session_id")
    assert [(r["session"], r["label"]) for r in read(root, table, "cdr").records] == [("base", "0"), ("later", "0.5")]


def test_more_tables_complete_the_one_that_names_the_scans(root: Path, tmp_path: Path) -> None:
    (root / "participants.tsv").write_text("participant_id\tage\tsex\n01\t31\tM\n2\t32\tF\n")
    families = tmp_path / "families.csv"
    families.write_text("ID,family_id,sex,site\n1,x,F,A\n02,x,n/a,B\n")
    table = labels(
        root, "1,a/one.nii.gz,0", "1,two.nii,1", "2,sub-3_ses-2_task-rest_run-1_bold.nii.gz,1", header="ID,file,dx"
    )
    found = read_bids(root, "dx", tables=[families, table], id_column="ID", path_column="file")
    keys = ("subject", "label", "group", "age", "sex", "site")
    assert sorted(tuple(record[key] for key in keys) for record in found.records) == [
        ("1", "0", "family-x", 31.0, "F", "A"),
        ("1", "1", "family-x", 31.0, "F", "A"),
        ("2", "1", "family-x", 32.0, "F", "B"),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1,absent.nii.gz,a,,,,"], r"absent\.nii\.gz is not there, expected the scan of 1; correct the row or fetch"),
        (["1,notes.txt,a,,,,"], r"notes\.txt is no NIfTI file, expected \.nii or \.nii\.gz; correct the row of 1"),
        (["1,../labels.nii,a,,,,"], r"\.\./labels\.nii is outside of .*all scans, expected a scan of this folder"),
        (["1,/elsewhere/x.nii,a,,,,"], r"/elsewhere/x\.nii is outside of"),
        (["1,a/one.nii.gz,a,,,,", "1,a/one.nii.gz,b,,,,"], r"two rows name a/one\.nii\.gz and disagree \(1 and 1\)"),
        (["1,a/one.nii.gz,a,,,,", "2,a/one.nii.gz,a,,,,"], r"two rows name a/one\.nii\.gz and disagree \(1 and 2\)"),
        (
            ["1,a/one.nii.gz,a,x,,,", "1,a/one.nii.gz,a,x,,,", "1,,a,y,,,"],
            r"1 is in the families x and y, expected one",
        ),
    ],
)
def test_wrong_rows_are_faults_and_the_rest_goes_on(root: Path, rows: list[str], message: str) -> None:
    found = read(root, labels(root, *rows, "9,two.nii,b,,,,"))
    assert [record["subject"] for record in found.records] == ["9"]
    assert len(found.faults) == 1
    with pytest.raises(DatalistError, match=rf"labels\.csv: .*{message}"):
        raise DatalistError(found.faults[0])
    with pytest.raises(DatalistError, match=rf"the column 'file' names no scan under .* that can be used.*{message}"):
        read(root, labels(root, *rows))


def test_scans_can_be_chosen_by_what_their_names_say(root: Path) -> None:
    rows = ("3,sub-3_ses-2_task-rest_run-1_bold.nii.gz,a,,,,", "3,two.nii,a,,,,", "4,a/one.nii.gz,a,,,,")
    found = read(root, labels(root, *rows), task="rest")
    assert [record["image"] for record in found.records] == ["sub-3_ses-2_task-rest_run-1_bold.nii.gz"]
    assert found.left_out == {"scans: not chosen": ["a/one.nii.gz", "two.nii"]}
    assert found.others == [{"image": "two.nii", "subject": "3"}]


def test_confounds_without_a_name_belong_to_no_scan(root: Path) -> None:
    (root / "confounds.tsv").write_text("framewise_displacement\n0.5\n")
    stem = "sub-3_ses-2_task-rest_run-1"
    (root / f"{stem}_desc-confounds_timeseries.tsv").write_text("framewise_displacement\n0.25\n")
    found = read(root, labels(root, "1,two.nii,a,,,,", f"3,{stem}_bold.nii.gz,b,,,,"))
    assert {record["subject"]: record["motion"] for record in found.records} == {"1": None, "3": 0.25}


def test_a_missing_column_is_named(root: Path) -> None:
    table = labels(root, "1,a/one.nii.gz,a", header="ID,path,dx")
    with pytest.raises(DatalistError, match=r"labels\.csv: has no column 'file', found ID, path, dx"):
        read(root, table)


def test_an_id_that_is_written_in_two_ways_is_a_fault(tmp_path: Path) -> None:
    for name in ("a.nii", "b.nii", "c.nii", "d.nii"):
        (tmp_path / name).touch()
    table = tmp_path / "t.csv"
    table.write_text("participant_id,file,dx\n1,a.nii,A\nsub-01,b.nii,A\n2,c.nii,B\n3,d.nii,A\n")
    found = read_bids(tmp_path, "dx", tables=[table], path_column="file")
    assert [record["subject"] for record in found.records] == ["2", "3"]
    assert found.faults == [
        f"{table}: 1 and 01 may be one subject, expected IDs that are written alike; correct the table."
    ]
