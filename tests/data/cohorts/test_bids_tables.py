from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_tff.data.cohorts import read_bids
from monai_tff.data.cohorts.bids_tables import dataset_roots
from monai_tff.errors import DatalistError


def write(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def scan(subject: str, session: str | None = None, rest: str = "task-rest") -> str:
    folder = f"sub-{subject}" + (f"/ses-{session}" if session else "")
    name = f"sub-{subject}" + (f"_ses-{session}" if session else "")
    return f"{folder}/func/{name}_{rest}_bold.nii.gz"


def tree(root: Path, *scans: str) -> Path:
    for path in scans:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


@pytest.fixture
def derivative(tmp_path: Path) -> Path:
    """A derivative within its raw dataset; only the raw dataset has tables."""
    raw = tmp_path / "my study"
    write(raw / "participants.tsv", "participant_id\tage\tgender\tfamily_id\tscanner", "sub-01\t31\tfemale\t7\tA")
    return tree(raw / "derivatives" / "fmriprep", scan("01", rest="task-rest_space-MNI_desc-preproc"))


def test_the_raw_dataset_is_found_two_levels_up(derivative: Path) -> None:
    assert dataset_roots(derivative) == [derivative, derivative.parents[1]]
    (record,) = read_bids(derivative, "age").records
    assert (record["label"], record["age"], record["sex"], record["group"], record["site"]) == (
        "31",
        31.0,
        "F",
        "family-7",
        "A",
    )


def test_the_raw_dataset_is_found_in_the_description_or_named(tmp_path: Path) -> None:
    raw, derivative = tmp_path / "raw", tree(tmp_path / "out" / "fmriprep", scan("1"))
    write(raw / "participants.tsv", "participant_id\tdx", "1\tADHD")
    assert dataset_roots(derivative) == [derivative]
    with pytest.raises(DatalistError, match=r"participants\.tsv: there is no such table, .* named with --raw"):
        read_bids(derivative, "dx")
    assert [record["label"] for record in read_bids(derivative, "dx", raw=raw).records] == ["ADHD"]
    sources = [{"DOI": "x"}, {"URL": "https://example.org/ds"}, {"URL": "../absent"}, {"URL": "../../raw"}]
    write(derivative / "dataset_description.json", json.dumps({"SourceDatasets": sources}))
    assert [path.resolve() for path in dataset_roots(derivative)] == [derivative, raw]
    assert [record["label"] for record in read_bids(derivative, "dx").records] == ["ADHD"]
    with pytest.raises(DatalistError, match=r"--raw: there is no folder .*absent, expected the raw dataset"):
        read_bids(derivative, "dx", raw=tmp_path / "absent")
    write(derivative / "dataset_description.json", "[")
    with pytest.raises(DatalistError, match=r"dataset_description\.json: is not readable as JSON"):
        read_bids(derivative, "dx")


def test_the_derivatives_own_table_comes_before_that_of_the_raw_dataset(derivative: Path) -> None:
    write(derivative / "participants.tsv", "participant_id\tage", "sub-01\t40")
    (record,) = read_bids(derivative, "age").records
    assert (record["label"], record["age"], record["group"]) == ("40", 40.0, "family-7")
    assert read_bids(derivative, "gender").records[0]["label"] == "female"


def test_targets_of_sessions_tables(tmp_path: Path) -> None:
    root = tree(tmp_path, *(scan("1", s) for s in ("a", "b", "c")), scan("2", "a"), scan("3", "a"))
    write(root / "participants.tsv", "participant_id\tsex\tage\tfamily_id", "1\tF\t20\tx", "2\tM\t30\tn/a")
    write(root / "sub-1" / "sub-1_sessions.tsv", "session_id\tcdr\tage", "ses-a\t0\t20.5", "ses-b\t0.5\t22")
    write(root / "sub-2" / "ses-a" / "sub-2_ses-a_sessions.tsv", "session_id\tcdr", "a\tn/a")
    found = read_bids(root, "cdr")
    keys = ("subject", "session", "label", "age", "sex", "group")
    assert [tuple(record[key] for key in keys) for record in found.records] == [
        ("1", "a", "0", 20.5, "F", "family-x"),
        ("1", "b", "0.5", 22.0, "F", "family-x"),
    ]
    assert [tuple(record[key] for key in keys) for record in found.unlabelled] == [
        ("1", "c", None, 20.0, "F", "family-x"),
        ("2", "a", None, 30.0, "M", "sub-2"),
        ("3", "a", None, None, None, "sub-3"),
    ]
    assert found.left_out == {
        "subjects: not in the table": ["sub-3"],
        "sessions: not in the table": ["sub-1 ses-c"],
        "rows: no target value": ["sub-2 ses-a"],
    }


def test_targets_of_phenotype_tables(derivative: Path) -> None:
    raw = derivative.parents[1]
    write(raw / "phenotype" / "bdi.tsv", "participant_id\tbdi_total", "sub-01\t12")
    write(raw / "phenotype" / "wais.tsv", "participant_id\tiq", "sub-01\t104")
    (record,) = read_bids(derivative, "iq").records
    assert (record["label"], record["age"], record["group"]) == ("104", 31.0, "family-7")
    write(raw / "phenotype" / "old wais.tsv", "participant_id\tiq", "sub-01\t99")
    message = r"'iq' is a column of several tables: .*old wais\.tsv, .*wais\.tsv; expected one; choose it with --table"
    with pytest.raises(DatalistError, match=message):
        read_bids(derivative, "iq")
    chosen = read_bids(derivative, "iq", tables=[raw / "phenotype" / "wais.tsv"])
    assert [record["label"] for record in chosen.records] == ["104"]


def test_a_column_that_is_nowhere_lists_the_tables(derivative: Path) -> None:
    raw = derivative.parents[1]
    with pytest.raises(
        DatalistError, match=r"participants\.tsv: has no column 'iq', found participant_id, age, gender"
    ):
        read_bids(derivative, "iq")
    write(raw / "phenotype" / "bdi.tsv", "participant_id\tbdi_total", "sub-01\t12")
    write(raw / "sub-01" / "sub-01_sessions.tsv", "session_id\tcdr", "ses-1\t12")
    message = (
        r"no table has a column 'iq', found .*participants\.tsv has participant_id, .*; .*bdi\.tsv has participant_id, "
        r"bdi_total; .*sub-01_sessions\.tsv has session_id, cdr; name a column of these tables"
    )
    with pytest.raises(DatalistError, match=message):
        read_bids(derivative, "iq")


def test_tables_that_disagree_about_a_subject_leave_it_out(tmp_path: Path) -> None:
    root = tree(tmp_path, scan("1", "a"), scan("1", "b"), scan("2", "a"))
    write(root / "participants.tsv", "participant_id\tage", "1\t20.5", "2\t30")
    write(root / "sub-1" / "sub-1_sessions.tsv", "session_id\tage", "a\t20.50", "b\t25")
    found = read_bids(root, "age")
    assert [(record["subject"], record["session"]) for record in found.records] == [("1", "a"), ("2", "a")]
    assert len(found.faults) == 1
    assert found.faults[0].startswith(
        f"sub-1 ses-b: {root}/participants.tsv says 20.5 and {root}/sub-*_sessions.tsv says 25"
    )
    assert {"image": scan("1", "b"), "subject": "1"} in found.others
    sessions = read_bids(root, "age", tables=[root / "sub-1" / "sub-1_sessions.tsv"])
    assert [record["label"] for record in sessions.records] == ["20.50", "25"]
    assert sessions.faults == []


def groups(root: Path, **options: object) -> dict[str, str]:
    return {record["subject"]: record["group"] for record in read_bids(root, "dx", **options).records}  # type: ignore[arg-type]


def test_families_of_several_tables_are_put_together(tmp_path: Path) -> None:
    root = tree(tmp_path / "study", *(scan(subject) for subject in "12345"))
    labels = write(tmp_path / "labels.tsv", "participant_id\tdx\tfamily", "1\tA\tf1", "2\tB\tf1", "3\tA\t", "4\tB\t7")
    more = write(tmp_path / "more.tsv", "participant_id\tfamily_id", "2\ty", "3\ty", "4\tn/a", "5\t7.0")
    write(labels, *labels.read_text().splitlines(), "5\tA\t")
    # 2 is a relative of 1 in one table and of 3 in the other; spreadsheets write 7 as 7.0
    assert groups(root, tables=[labels, more]) == {
        **dict.fromkeys("123", "family-f1"),
        **dict.fromkeys("45", "family-7"),
    }


def test_families_of_two_sessions_are_put_together(tmp_path: Path) -> None:
    root = tree(tmp_path / "study", scan("1", "a"), scan("1", "b"), scan("2", "a"), scan("3", "a"))
    rows = ("1\ta\tA\tf2", "1\tb\tA\tf1", "2\ta\tB\tf1", "3\ta\tB\tf2")
    write(root / "participants.tsv", "participant_id\tsession_id\tdx\tfamily", *rows)
    assert groups(root) == dict.fromkeys("123", "family-f1")


def test_families_of_a_second_table_with_the_target_count(tmp_path: Path) -> None:
    root = tree(tmp_path / "study", scan("1"), scan("2"), scan("3"))
    write(root / "participants.tsv", "participant_id\tdx", "1\tA", "2\tB", "3\tA")
    write(root / "phenotype" / "clinic.tsv", "participant_id\tdx\tfamily", "1\tA\tf1", "2\tB\tf1", "3\tA\t")
    assert groups(root) == {"1": "family-f1", "2": "family-f1", "3": "sub-3"}


def test_any_column_of_ids_and_more_tables(tmp_path: Path) -> None:
    root = tree(tmp_path / "study", scan("001"), scan("002"))
    labels = write(tmp_path / "labels.csv", "ID,dx", "1,SCHZ", "sub-2,CONTROL")
    more = write(tmp_path / "more.csv", "ID,family,age", "1,9,33.5", "2,9,n/a")
    found = read_bids(root, "dx", tables=[more, labels], id_column="ID")
    keys = ("subject", "label", "group", "age")
    assert [tuple(record[key] for key in keys) for record in found.records] == [
        ("001", "SCHZ", "family-9", 33.5),
        ("002", "CONTROL", "family-9", None),
    ]
    with pytest.raises(DatalistError, match=r"labels\.csv: has no column 'participant_id', found ID, dx"):
        read_bids(root, "dx", tables=[labels])
    with pytest.raises(DatalistError, match=r"'dx' is a column of several tables: .*labels\.csv, .*copy\.csv"):
        read_bids(root, "dx", tables=[labels, write(tmp_path / "copy.csv", "ID,dx", "1,SCHZ")], id_column="ID")
    with pytest.raises(
        DatalistError, match=r"--table: no table has a column 'iq', found .*labels\.csv has ID, dx; .*more"
    ):
        read_bids(root, "iq", tables=[labels, more], id_column="ID")


def test_two_sites_in_a_table_that_only_says_more_are_no_error(tmp_path: Path) -> None:
    root = tree(tmp_path / "study", scan("1"))
    write(root / "participants.tsv", "participant_id\tsite\tage\tsex", "1\tA\t20\tF", "1\tB\t21\tF")
    (record,) = read_bids(root, "dx", tables=[write(tmp_path / "labels.csv", "participant_id,dx", "1,SCHZ")]).records
    assert (record["site"], record["age"], record["sex"]) == (None, None, "F")
    with pytest.raises(DatalistError, match=r"two rows of 1 disagree \(site: A and B\)"):
        read_bids(root, "sex")
    write(root / "participants.tsv", "participant_id\tfamily", "1\t", "1\tB", "1\t")
    assert read_bids(root, "dx", tables=[tmp_path / "labels.csv"]).records[0]["group"] == "family-B"
    write(root / "participants.tsv", "participant_id\tfamily", "1\tA", "1\tB")
    with pytest.raises(DatalistError, match=r"participants\.tsv: two rows of 1 disagree \(family: A and B\)"):
        read_bids(root, "dx", tables=[tmp_path / "labels.csv"])


def test_motion_and_other_scans_of_used_subjects(tmp_path: Path) -> None:
    preprocessed = [f"task-{task}_space-MNI_desc-preproc" for task in ("rest", "movie")]
    root = tree(tmp_path, *(scan(s, rest=rest) for s in "12" for rest in preprocessed), scan("1"))
    write(root / "participants.tsv", "participant_id\tsex", "1\tF", "9\tM")
    confounds = "sub-1/func/sub-1_task-rest_desc-confounds_timeseries.tsv"
    write(root / confounds, "framewise_displacement", "n/a", "0.25", "0.5")
    found = read_bids(root, "sex", task="rest")
    (record,) = found.records
    assert (record["confounds"], record["motion"], record["motion_kind"]) == (confounds, 0.375, "mean FD")
    assert [record["motion"] for record in found.unlabelled] == [None]
    assert found.others == [
        {"image": scan("1", rest=preprocessed[1]), "subject": "1"},
        {"image": scan("1"), "subject": "1"},
        {"image": scan("2", rest=preprocessed[1]), "subject": "2"},
    ]
    write(root / confounds, "framewise_displacement", "n/a", "-1")
    with pytest.raises(
        DatalistError, match=r"no scan with a label is left after 1 fault: .*row 2 of framewise_displac"
    ):
        read_bids(root, "sex", task="rest")
    write(root / "participants.tsv", "participant_id\tsex", "1\tF", "2\tM")
    wrong = read_bids(root, "sex", task="rest")
    assert [record["subject"] for record in wrong.records] == ["2"]
    assert [fault.partition(":")[0] for fault in wrong.faults] == [str(root / confounds)]


def test_denoised_scans_are_chosen_by_their_description(tmp_path: Path) -> None:
    names = [f"task-rest_space-MNI_desc-{desc}" for desc in ("denoised", "preproc", "denoisedSmoothed")]
    root = tree(tmp_path, *(scan("1", rest=name) for name in names))
    write(root / "participants.tsv", "participant_id\tsex", "1\tF")
    (record,) = read_bids(root, "sex", desc="denoised").records
    assert record["image"] == scan("1", rest=names[0])
