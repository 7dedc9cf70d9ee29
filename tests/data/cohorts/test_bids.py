from __future__ import annotations

from pathlib import Path

import pytest

from monai_tff.data.cohorts import read_bids
from monai_tff.errors import DatalistError

REAL = Path(__file__).parents[3] / ".." / "shared" / "realdata"
needs_real_scans = pytest.mark.skipif(
    not REAL.exists(), reason="the real scans of ../shared/realdata are not beside the project"
)
PREPROCESSED = "space-MNI_desc-preproc"


def tree(root: Path, *scans: str, table: tuple[str, ...] = ()) -> Path:
    """A folder with empty scans (readers of cohorts look at names only) and a participants.tsv."""
    for scan in scans:
        words = dict(word.split("-", 1) for word in scan.split("_") if "-" in word)
        folder = root / f"sub-{words['sub']}" / (f"ses-{words['ses']}" if "ses" in words else "") / "func"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{scan}_bold.nii.gz").touch()
    if table:
        (root / "participants.tsv").write_text("\n".join(table) + "\n")
    return root


def test_records_of_a_raw_dataset(tmp_path: Path) -> None:
    root = tree(
        tmp_path / "raw data",
        "sub-01_ses-1_task-rest_run-2",
        "sub-01_ses-1_task-rest_run-1",
        "sub-02_task-rest",
        table=("participant_id\tsex\tfamily_id\tsite", "sub-01\tF\t12\tA", "sub-02\tM\t\tB"),
    )
    found = read_bids(root, "sex")
    records, left_out = found.records, found.left_out
    assert left_out == {}
    assert records[0] == {
        "image": "sub-01/ses-1/func/sub-01_ses-1_task-rest_run-1_bold.nii.gz",
        "subject": "01",
        "session": "1",
        "run": "1",
        "task": "rest",
        "group": "family-12",
        "site": "A",
        "tr": None,
        "mask": None,
        "confounds": None,
        "motion": None,
        "motion_kind": None,
        "age": None,
        "sex": "F",
        "content": None,
        "label": "F",
    }
    assert [(record["run"], record["group"], record["label"]) for record in records] == [
        ("1", "family-12", "F"),
        ("2", "family-12", "F"),
        (None, "sub-02", "M"),
    ]


def test_blank_families_are_never_shared(tmp_path: Path) -> None:
    rows = ("1\tF\tn/a", "2\tM\tn/a", "3\tM\t", "4\tF\t")
    root = tree(tmp_path, *(f"sub-{n}_task-rest" for n in "1234"), table=("participant_id\tsex\tFamily_ID", *rows))
    records = read_bids(root, "sex").records
    assert [record["group"] for record in records] == ["sub-1", "sub-2", "sub-3", "sub-4"]


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        *(f"sub-{name}_task-rest" for name in ("01", "02", "03", "04", "05")),
        table=("participant_id\tsex", "1\tF", "02\tn/a", "sub-3\t", "9\tM", "8\tn/a"),
    )
    (root / "sub-01" / "func" / "notes_bold.nii.gz").touch()
    found = read_bids(root, "sex")
    records, left_out = found.records, found.left_out
    assert [record["subject"] for record in records] == ["01"]
    assert left_out == {
        "scans: no sub- in the file name": ["sub-01/func/notes_bold.nii.gz"],
        "subjects: not in the table": ["sub-04", "sub-05"],
        "subjects: no scan": ["sub-8", "sub-9"],
        "rows: no target value": ["sub-02", "sub-03"],
    }


def test_targets_of_sessions(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        *(f"sub-1_ses-{session}_task-rest" for session in ("1", "2", "3", "4")),
        table=("participant_id\tsession_id\tcdr", "1\t1\t0", "1\t2\t0.5", "1\t3\tn/a"),
    )
    found = read_bids(root, "cdr")
    records, left_out = found.records, found.left_out
    assert [(record["session"], record["label"], record["group"]) for record in records] == [
        ("1", "0", "sub-1"),
        ("2", "0.5", "sub-1"),
    ]
    assert left_out == {"rows: no target value": ["sub-1 ses-3"], "sessions: not in the table": ["sub-1 ses-4"]}


def test_preprocessed_scans_are_preferred_and_never_mixed_with_raw_ones(tmp_path: Path) -> None:
    table = ("participant_id\tsex", "1\tF", "2\tM", "3\tM")
    root = tree(tmp_path, "sub-1_task-rest", "sub-2_task-rest", "sub-3_task-rest", table=table)
    tree(root / "derivatives" / "fmriprep", *(f"sub-{n}_task-rest_{PREPROCESSED}" for n in "12"))
    found = read_bids(root, "sex")
    records, left_out = found.records, found.left_out
    assert [record["image"] for record in records] == [
        f"derivatives/fmriprep/sub-{n}/func/sub-{n}_task-rest_{PREPROCESSED}_bold.nii.gz" for n in "12"
    ]
    assert left_out == {
        "scans: not preprocessed, others are": ["sub-3/func/sub-3_task-rest_bold.nii.gz"],
        "subjects: no scan": ["sub-3"],
    }


@pytest.mark.parametrize(
    ("scans", "message"),
    [
        (
            ("sub-1_task-rest_space-MNI_desc-preproc", "sub-1_task-rest_space-T1w_desc-preproc"),
            r"2 variants: space-MNI desc-preproc \(1 scans\), space-T1w desc-preproc \(1 scans\); expected one",
        ),
        (
            ("sub-1_task-rest_space-MNI_res-1_desc-preproc", "sub-1_task-rest_space-MNI_res-2_desc-preproc"),
            r"space-MNI res-1 desc-preproc \(1 scans\), .*--space, --res, --desc or --echo",
        ),
        (("sub-1_task-rest_echo-1", "sub-1_task-rest_echo-2"), r"echo-1 \(1 scans\), echo-2 \(1 scans\)"),
        (("sub-1_task-rest_desc-smoothed", "sub-1_task-rest"), r"desc-smoothed \(1 scans\), plain \(1 scans\)"),
        (("sub-1_task-rest_space-MNI", "sub-2_task-rest_space-T1w"), r"space-MNI \(1 scans\), space-T1w \(1 scans\)"),
    ],
)
def test_several_variants_are_listed(tmp_path: Path, scans: tuple[str, ...], message: str) -> None:
    root = tree(tmp_path, *scans, table=("participant_id\tsex", "1\tF", "2\tM"))
    with pytest.raises(DatalistError, match=message):
        read_bids(root, "sex")


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({"space": "MNI"}, "sub-1_ses-1_task-rest_run-01_space-MNI_desc-preproc"),
        ({"space": "space-T1w"}, "sub-1_ses-1_task-rest_run-01_space-T1w_desc-preproc"),
        ({"space": "MNI", "desc": "smooth"}, "sub-1_ses-1_task-rest_run-01_space-MNI_desc-smooth"),
    ],
)
def test_a_variant_can_be_chosen(tmp_path: Path, options: dict[str, str], chosen: str) -> None:
    stem = "sub-1_ses-1_task-rest_run-01"
    variants = ("space-MNI_desc-preproc", "space-T1w_desc-preproc", "space-MNI_desc-smooth")
    root = tree(tmp_path, *(f"{stem}_{variant}" for variant in variants), table=("participant_id\tsex", "1\tF"))
    records = read_bids(root, "sex", **options).records
    assert [record["image"] for record in records] == [f"sub-1/ses-1/func/{chosen}_bold.nii.gz"]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 8),
        ({"task": "rest"}, 4),
        ({"task": "task-rest", "run": "2"}, 2),
        ({"session": "01"}, 4),
        ({"session": "ses-1", "run": "run-02", "task": "nback"}, 1),
    ],
)
def test_scans_can_be_chosen(tmp_path: Path, options: dict[str, str], count: int) -> None:
    names = [f"sub-1_ses-{ses}_task-{task}_run-0{run}" for ses in "12" for task in ("rest", "nback") for run in "12"]
    root = tree(tmp_path, *names, table=("participant_id\tsex", "1\tF"))
    assert len(read_bids(root, "sex", **options).records) == count


def test_a_choice_that_fits_nothing_lists_what_there_is(tmp_path: Path) -> None:
    root = tree(tmp_path, "sub-1_task-rest", "sub-1_task-nback_run-1", table=("participant_id\tsex", "1\tF"))
    message = r"none of 2 scans has task-stop run-1, found task: nback, rest; run: 1, none; choose among these"
    with pytest.raises(DatalistError, match=message):
        read_bids(root, "sex", task="stop", run="1")


def test_phase_images_and_raw_copies_are_left_out(tmp_path: Path) -> None:
    names = ("sub-1_task-rest_part-mag", "sub-1_task-rest_part-phase")
    root = tree(tmp_path, *names, table=("participant_id\tsex", "1\tF"))
    tree(root / "sourcedata", "sub-1_task-rest_part-mag")
    tree(root / ".git", "sub-1_task-rest_part-mag")
    found = read_bids(root, "sex")
    records, left_out = found.records, found.left_out
    assert [record["image"] for record in records] == ["sub-1/func/sub-1_task-rest_part-mag_bold.nii.gz"]
    assert list(left_out) == ["scans: phase, real or imaginary part"]


def test_the_same_run_of_two_pipelines_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path, table=("participant_id\tsex", "1\tF"))
    for pipeline in ("fmriprep-20", "fmriprep-23"):
        tree(root / pipeline, f"sub-1_task-rest_{PREPROCESSED}")
    with pytest.raises(
        DatalistError, match=r"fmriprep-20/.* and fmriprep-23/.* are the same run, expected each run once"
    ):
        read_bids(root, "sex")


def test_a_run_written_with_and_without_zeros_is_the_same(tmp_path: Path) -> None:
    root = tree(tmp_path, "sub-1_task-rest_run-1", table=("participant_id\tsex", "1\tF"))
    tree(root / "copy", "sub-1_task-rest_run-01")
    with pytest.raises(DatalistError, match=r"copy/.*run-01_bold.* and sub-1/.*run-1_bold.* are the same run"):
        read_bids(root, "sex")


def test_runs_that_differ_in_direction_are_two_runs(tmp_path: Path) -> None:
    root = tree(tmp_path, "sub-1_task-rest_dir-AP", "sub-1_task-rest_dir-PA", table=("participant_id\tsex", "1\tF"))
    assert len(read_bids(root, "sex").records) == 2


def test_scans_in_the_folder_of_another_subject_or_session_are_faults(tmp_path: Path) -> None:
    root = tree(
        tmp_path, "sub-1_ses-a_task-rest", "sub-2_ses-a_task-rest", table=("participant_id\tsex", "1\tF", "2\tM")
    )
    wrong = "sub-1/ses-a/func/sub-2_ses-b_task-rest_bold.nii.gz"
    later = "sub-2/ses-a/func/sub-2_ses-c_task-rest_bold.nii.gz"
    for path in (wrong, later):
        (root / path).touch()
    found = read_bids(root, "sex")
    assert [record["subject"] for record in found.records] == ["1", "2"]
    assert found.faults == [
        f"{wrong}: is named sub-2 and lies in the folder sub-1, expected one subject; move or rename it.",
        f"{later}: is named ses-c and lies in the folder ses-a, expected one session; move or rename it.",
    ]


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    tree(tmp_path / "store", "sub-1_task-rest")
    root = tmp_path / "study"
    root.mkdir()
    (root / "participants.tsv").write_text("participant_id\tsex\n1\tF\n")
    (root / "sub-1").symlink_to(tmp_path / "store" / "sub-1")
    (root / "loop").symlink_to(root)
    records = read_bids(root, "sex").records
    assert [record["image"] for record in records] == ["sub-1/func/sub-1_task-rest_bold.nii.gz"]


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    root = tree(tmp_path / "study", "sub-01_task-rest")
    (tmp_path / "labels.csv").write_text("participant_id,dx\n1,SCHZ\n")
    records = read_bids(root, "dx", tables=[tmp_path / "labels.csv"]).records
    assert records[0]["label"] == "SCHZ"


def test_folders_that_are_no_cohort_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="absent: there is no such folder, expected a BIDS dataset"):
        read_bids(tmp_path / "absent", "sex")
    with pytest.raises(DatalistError, match=r"has no \*_bold\.nii or \*_bold\.nii\.gz file, expected a BIDS dataset"):
        read_bids(tmp_path, "sex")
    (tmp_path / "notes_bold.nii").touch()
    with pytest.raises(DatalistError, match="none of 0 scans has a sub- entity"):
        read_bids(tmp_path, "sex")
    root = tree(tmp_path / "study", "sub-01_task-rest")
    with pytest.raises(DatalistError, match=r"participants\.tsv: there is no such table"):
        read_bids(root, "sex")
    (root / "participants.tsv").write_text("participant_id\tsex\nA1\tF\nA2\tM\n")
    with pytest.raises(
        DatalistError, match=r"none of the 1 subjects with scans \(sub-01, \.\.\.\) has a row, found the IDs A1"
    ):
        read_bids(root, "sex")


@needs_real_scans
def test_real_cohorts() -> None:
    found = read_bids(REAL / "rest20", "sex")
    records, left_out = found.records, found.left_out
    assert len(records) == 20
    assert left_out == {}
    found = read_bids(REAL / "ds005_truncated", "sex")
    records, left_out = found.records, found.left_out
    assert [record["image"] for record in records] == ["sub-01/func/sub-01_task-mixedgamblestask_run-01_bold.nii.gz"]
    assert len(left_out["subjects: no scan"]) == 15
