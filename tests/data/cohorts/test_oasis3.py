from __future__ import annotations

from pathlib import Path

import pytest

from monai_tff.data.cohorts.oasis3 import read_oasis3
from monai_tff.errors import DatalistError

SPACE = "space-MNI152NLin2009cAsym_res-2_desc-preproc"
DEMOGRAPHICS = ("OASISID,subject_accession,AgeatEntry,GENDER,EDUC", "OAS30001,s1,65.25,2,12", "OAS30002,s2,70.5,1,16")
CDR_HEADER = "OASISID,OASIS_session_label,days_to_visit,age at visit,MMSE,CDRTOT,CDRSUM,dx1,dx2,dx3,dx4,dx5"


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def visit(subject: str, day: str, cdr: str, dx: str = "Cognitively normal", age: str = "") -> str:
    return f"{subject},{subject}_UDSb4_d{day},{day},{age},29,{cdr},{cdr},{dx},.,.,.,."


def clinical(folder: Path, *visits: str) -> Path:
    return write(folder / "OASIS3_UDSb4_cdr.csv", CDR_HEADER, *visits)


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def scan(subject: str, day: str, run: str = "01", variant: str = SPACE) -> str:
    """Path of a scan in fMRIPrep's derivatives, or in the raw BIDS download where the variant is empty."""
    name = f"sub-{subject}_ses-{day}_task-rest_run-{run}{'_' if variant else ''}{variant}_bold.nii.gz"
    return f"sub-{subject}/ses-{day}/func/{name}"


@pytest.fixture
def tables(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "tables of OASIS"
    return [
        write(folder / "demo.csv", *DEMOGRAPHICS),
        clinical(
            folder,
            visit("OAS30001", "0", "0", age="65.3"),
            visit("OAS30001", "722", "0.5", "AD Dementia", age="67.2"),
            visit("OAS30002", "100", "0", "uncertain dementia"),
        ),
        write(
            folder / "mr.csv",
            "subject_id,label,scan category,MagneticFieldStrength,ManufacturersModelName,DeviceSerialNumber",
            "OAS30001,OAS30001_MR_d0129,T1w,3.0,TrioTim,35248.0",
            "OAS30001,OAS30001_MR_d0129,bold,3.0,TrioTim,35248",
            "OAS30001,OAS30001_MR_d0757,bold,3.0,Biograph_mMR,51010",
        ),
    ]


@pytest.fixture
def derivatives(tmp_path: Path) -> Path:
    return touch(
        tmp_path / "fmriprep of OASIS",
        *(scan("OAS30001", "d0129", run) for run in ("01", "02")),
        scan("OAS30001", "d0757"),
        scan("OAS30002", "d0200"),
        scan("OAS30003", "d0001"),
        "sub-OAS30001/ses-d0129/func/sub-OAS30001_ses-d0129_asl.nii.gz",
        "sub-OAS30001/ses-d0129/func/sub-OAS30001_ses-d0129_task-rest_run-01_space-T1w_desc-preproc_bold.nii.gz",
    )


def test_records_say_what_the_tables_know(derivatives: Path, tables: list[Path]) -> None:
    confounds = scan("OAS30001", "d0129").replace(f"{SPACE}_bold.nii.gz", "desc-confounds_timeseries.tsv")
    write(derivatives / confounds, "framewise_displacement", "n/a", "0.1", "0.3")
    found = read_oasis3(derivatives, "cdr", tables=tables, space="MNI152NLin2009cAsym")
    first = found.records[0]
    assert first.pop("motion") == pytest.approx(0.2)
    assert first == {
        "image": scan("OAS30001", "d0129"),
        "subject": "OAS30001",
        "session": "d0129",
        "run": "01",
        "task": "rest",
        "group": "sub-OAS30001",
        "site": "TrioTim 35248",
        "tr": None,
        "mask": None,
        "confounds": confounds,
        "motion_kind": "mean FD",
        "age": 65.603,  # 65.25 + 129 / 365.25
        "sex": "F",
        "content": None,
        "label": "CDR 0",
    }
    assert [(r["session"], r["run"], r["site"], r["age"], r["label"]) for r in found.records[1:]] == [
        ("d0129", "02", "TrioTim 35248", 65.603, "CDR 0"),
        ("d0757", "01", "Biograph_mMR 51010", 67.323, "CDR > 0"),
        ("d0200", "01", None, 71.048, "CDR 0"),
    ]
    assert (found.faults, found.allowed, found.denoising) == ([], (), "none")
    assert [record["subject"] for record in found.unlabelled] == ["OAS30003"]
    assert found.left_out == {"subjects: not in the table": ["sub-OAS30003"]}
    assert found.others == [
        {
            "image": "sub-OAS30001/ses-d0129/func/"
            "sub-OAS30001_ses-d0129_task-rest_run-01_space-T1w_desc-preproc_bold.nii.gz",
            "subject": "OAS30001",
        }
    ]


@pytest.mark.parametrize(
    ("target", "labels", "left_out"),
    [
        ("age", ["65.603", "65.603", "67.323", "71.048"], {"subjects: not in the table": ["sub-OAS30003"]}),
        ("sex", ["F", "F", "F", "M"], {"subjects: not in the table": ["sub-OAS30003"]}),
        (
            "ad",
            ["Cognitively normal", "Cognitively normal", "AD Dementia"],
            {
                "subjects: not in the table": ["sub-OAS30003"],
                "sessions: uncertain dementia": ["sub-OAS30002 ses-d0200"],
            },
        ),
    ],
)
def test_targets(
    derivatives: Path, tables: list[Path], target: str, labels: list[str], left_out: dict[str, list[str]]
) -> None:
    found = read_oasis3(derivatives, target, tables=tables, res="2")
    assert [record["label"] for record in found.records] == labels
    assert found.left_out == left_out
    assert len(found.records) + len(found.unlabelled) == 5


@pytest.mark.parametrize(
    ("days", "label"),
    [
        (("135", "866"), "CDR 0"),  # 365 and 366 days from day 500
        (("134", "866"), None),
        (("400", "600"), "CDR 0"),  # a tie: the earlier
        (("600", "400"), "CDR > 0"),
        (("300", "865"), "CDR 0"),
        (("0400", "d0450"), "CDR > 0"),
    ],
)
def test_the_nearest_visit_gives_the_label(tmp_path: Path, days: tuple[str, str], label: str | None) -> None:
    root = touch(tmp_path / "study", scan("OAS30001", "d0500"))
    table = clinical(tmp_path, visit("OAS30001", days[0], "0"), visit("OAS30001", days[1], "1", "AD Dementia"))
    found = read_oasis3(root, "cdr", tables=[table])
    assert [record["label"] for record in (*found.records, *found.unlabelled)] == [label]
    if label is None:
        assert found.left_out == {"sessions: no clinical visit within 365 days": ["sub-OAS30001 ses-d0500"]}


@pytest.mark.parametrize(
    ("cdr", "dx", "label", "reason"),
    [
        ("0", "Cognitively normal", "Cognitively normal", None),
        ("0.5", "AD Dementia", "AD Dementia", None),
        ("0.5", "Cognitively normal", None, "sessions: Cognitively normal with CDR > 0"),
        ("0", "AD Dementia", None, "sessions: AD Dementia with CDR 0"),
        ("1", "AD dem w/CVD contribut", None, "sessions: AD dem w/CVD contribut"),
        ("1", "DLBD- primary", None, "sessions: DLBD- primary"),
        ("1", ".", None, "sessions: no clinical visit within 365 days"),
        ("", "AD Dementia", None, "sessions: no clinical visit within 365 days"),
    ],
)
def test_diagnoses(tmp_path: Path, cdr: str, dx: str, label: str | None, reason: str | None) -> None:
    root = touch(tmp_path / "study", scan("OAS30001", "d0010"))
    found = read_oasis3(root, "ad", tables=[clinical(tmp_path, visit("OAS30001", "12", cdr, dx))])
    assert [record["label"] for record in (*found.records, *found.unlabelled)] == [label]
    assert found.left_out == ({} if reason is None else {reason: ["sub-OAS30001 ses-d0010"]})


@pytest.mark.parametrize(
    "layout",
    [
        "sub-OAS30001/ses-d0129/func/sub-OAS30001_ses-d0129_task-rest_run-02_bold.nii.gz",
        "OAS30001_MR_d0129/func4/sub-OAS30001_ses-d0129_task-rest_run-02_bold.nii.gz",
        "OAS30001_MR_d0129/func4/NIFTI/sub-OAS30001_sess-d0129_run-02_bold.nii.gz",
        "my download (2)/OAS30001_MR_d0129/scans/func4-bold/resources/NIFTI/files/"
        "sub-OAS30001_ses-d0129_task-rest_run-02_bold.nii.gz",
        "OAS30001_MR_d0129/func4/run-02_bold.nii",
        "one folder/sub-OAS30001_sess-d0129_task-rest_run-02_bold.nii.gz",
    ],
)
def test_layouts_of_raw_downloads(tmp_path: Path, tables: list[Path], layout: str) -> None:
    root = touch(tmp_path / "study", layout)
    with pytest.raises(DatalistError, match=r"1 of 1 scans are not registered to a template .*--allow-unregistered"):
        read_oasis3(root, "cdr", tables=tables)
    found = read_oasis3(root, "cdr", tables=tables, allow_unregistered=True)
    keys = ("image", "subject", "session", "run", "task", "label")
    assert [tuple(record[key] for key in keys) for record in found.records] == [
        (layout, "OAS30001", "d0129", "02", "rest", "CDR 0")
    ]
    assert found.allowed == ("unregistered scans",)


def test_scans_in_the_subjects_own_space_are_not_registered(tmp_path: Path, tables: list[Path]) -> None:
    root = touch(tmp_path / "study", scan("OAS30001", "d0129", variant="space-T1w_desc-preproc"))
    with pytest.raises(DatalistError, match="not registered to a template"):
        read_oasis3(root, "cdr", tables=tables)


def test_preprocessed_scans_are_preferred_and_need_no_permission(tmp_path: Path, tables: list[Path]) -> None:
    root = touch(tmp_path / "study", scan("OAS30001", "d0129", variant=""))
    touch(root / "derivatives", scan("OAS30001", "d0129"))
    found = read_oasis3(root, "cdr", tables=tables, allow_unregistered=True)
    assert [record["image"] for record in found.records] == [f"derivatives/{scan('OAS30001', 'd0129')}"]
    assert found.allowed == ()
    assert found.others == [{"image": scan("OAS30001", "d0129", variant=""), "subject": "OAS30001"}]


def test_linked_sessions_and_a_subject_without_scan(tmp_path: Path, tables: list[Path]) -> None:
    store = touch(tmp_path / "store", scan("OAS30001", "d0129"))
    root = tmp_path / "study"
    root.mkdir()
    (root / "sub-OAS30001").symlink_to(store / "sub-OAS30001")
    found = read_oasis3(root, "cdr", tables=tables)
    assert [record["image"] for record in found.records] == [scan("OAS30001", "d0129")]
    assert found.left_out == {"subjects: no scan": ["sub-OAS30002"]}


@pytest.mark.parametrize("session", ["d0757", "ses-d0757", "757"])
def test_scans_can_be_chosen(derivatives: Path, tables: list[Path], session: str) -> None:
    found = read_oasis3(derivatives, "cdr", tables=tables, session=session)
    assert [record["image"] for record in found.records] == [scan("OAS30001", "d0757")]
    assert {other["image"] for other in found.others} >= {scan("OAS30001", "d0129", run) for run in ("01", "02")}
    assert read_oasis3(derivatives, "cdr", tables=tables, run="2").records[0]["run"] == "02"


def test_the_same_run_twice_is_listed_and_refused(tmp_path: Path, tables: list[Path]) -> None:
    names = [f"sub-OAS30001_ses-d0129_task-rest_run-0{run}_bold.nii.gz" for run in (1, 2)]
    root = touch(tmp_path / "study", *(f"OAS30001_MR_d0129/{folder}/{name}" for folder in ("a", "b") for name in names))
    message = (
        r"a/sub-OAS30001_ses-d0129_task-rest_run-01_bold.nii.gz and OAS30001_MR_d0129/b/.* are the same run "
        r"\(and 1 more runs: .*run-02_bold.nii.gz\), expected each run once"
    )
    with pytest.raises(DatalistError, match=message):
        read_oasis3(root, "cdr", tables=tables, allow_unregistered=True)


def test_variants_are_listed(derivatives: Path, tables: list[Path]) -> None:
    message = (
        r"2 variants: space-MNI152NLin2009cAsym res-2 desc-preproc \(5 scans\), space-T1w desc-preproc \(1 scans\)"
    )
    with pytest.raises(DatalistError, match=message):
        read_oasis3(derivatives, "cdr", tables=tables)


def test_scans_that_contradict_themselves_are_faults_and_the_rest_goes_on(tmp_path: Path, tables: list[Path]) -> None:
    wrong = (
        "sub-OAS30001/ses-M012/func/sub-OAS30001_ses-M012_task-rest_space-MNI152_desc-preproc_bold.nii.gz",
        "sub-OAS30001/func/sub-OAS30001_task-rest_space-MNI152_desc-preproc_bold.nii.gz",
        "OAS30001_MR_d0129/sub-OAS30001_ses-d0757_task-rest_space-MNI152_desc-preproc_bold.nii.gz",
        "OAS30002_MR_d0129/func1/sub-OAS30001_ses-d0129_task-rest_space-MNI152_desc-preproc_bold.nii.gz",
        "sub-OAS30002/ses-d0130/func/sub-OAS30001_ses-d0130_task-rest_space-MNI152_desc-preproc_bold.nii.gz",
    )
    right = "sub-OAS30002/ses-d0200/func/sub-OAS30002_ses-d0200_task-rest_space-MNI152_desc-preproc_bold.nii.gz"
    root = touch(tmp_path / "study", *wrong, right, "stray_bold.nii")
    found = read_oasis3(root, "cdr", tables=tables)
    assert [record["image"] for record in found.records] == [right]
    faults = dict(fault.split(": ", 1) for fault in found.faults)
    assert set(faults) == set(wrong)
    assert "the session is ses-M012, expected the days since entry" in faults[wrong[0]]
    assert "the session is unknown" in faults[wrong[1]]
    assert "is named ses-d0757 and lies in the folder of d0129" in faults[wrong[2]]
    assert "is named sub-OAS30001 and lies in the folder of OAS30002" in faults[wrong[3]]
    assert "is named sub-OAS30001 and lies in the folder of OAS30002" in faults[wrong[4]]
    assert found.left_out["scans: no subject in the name"] == ["stray_bold.nii"]
    (root / right).unlink()
    with pytest.raises(DatalistError, match=r"no scan can be used; .* lies in the folder of d0129"):
        read_oasis3(root, "cdr", tables=tables)


def test_unreadable_confounds_are_a_fault(derivatives: Path, tables: list[Path]) -> None:
    confounds = scan("OAS30001", "d0757").replace(f"{SPACE}_bold.nii.gz", "desc-confounds_timeseries.tsv")
    write(derivatives / confounds, "framewise_displacement", "n/a", "much")
    found = read_oasis3(derivatives, "cdr", tables=tables, res="2")
    assert [record["session"] for record in found.records] == ["d0129", "d0129", "d0200"]
    assert len(found.faults) == 1
    assert "row 2 of framewise_displacement is 'much', expected a displacement in mm" in found.faults[0]
    assert scan("OAS30001", "d0757") in [other["image"] for other in found.others]


@pytest.mark.parametrize("rating", ["7", "mild"])
def test_a_wrong_visit_is_not_replaced_by_one_further_off(tmp_path: Path, rating: str) -> None:
    root = touch(tmp_path / "study", scan("OAS30001", "d0010"), scan("OAS30001", "d0300"))
    table = clinical(
        tmp_path, visit("OAS30001", "20", rating), visit("OAS30001", "200", "1"), visit("OAS39999", "x", "0")
    )
    found = read_oasis3(root, "cdr", tables=[table])
    assert [(record["session"], record["label"]) for record in found.records] == [("d0300", "CDR > 0")]
    assert [record["session"] for record in found.unlabelled] == ["d0010"]
    assert found.left_out == {
        "sessions: the nearest clinical visit is wrong": ["sub-OAS30001 ses-d0010"],
        "subjects: no scan": ["sub-OAS39999"],
    }
    assert len(found.faults) == 1  # that of a subject without scan is not said
    assert f"the visit of OAS30001 on day 20 has CDRTOT '{rating}'" in found.faults[0]


def test_a_subject_that_two_tables_disagree_about_is_not_used(derivatives: Path, tables: list[Path]) -> None:
    write(tables[0], DEMOGRAPHICS[0], "OAS30001,s1,45.25,2,12", DEMOGRAPHICS[2])
    found = read_oasis3(derivatives, "sex", tables=tables, res="2")
    assert [(record["subject"], record["label"]) for record in found.records] == [("OAS30002", "M")]
    assert len(found.faults) == 1
    assert "says 65.3 years on day 0 and" in found.faults[0]
    with pytest.raises(
        DatalistError, match=r"no scan with a label is left after 1 fault: OAS30001: .* says 65\.3 years"
    ):
        read_oasis3(derivatives, "ad", tables=tables, res="2")


def test_cohorts_that_cannot_be_used_are_refused(derivatives: Path, tables: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="target 'dx': OASIS-3 has no such target here, expected cdr, ad, age, sex"):
        read_oasis3(derivatives, "dx", tables=tables)
    with pytest.raises(DatalistError, match=r"expected a table with the columns OASISID, days_to_visit, CDRTOT, such"):
        read_oasis3(derivatives, "cdr", tables=tables[:1])
    with pytest.raises(DatalistError, match=r"target 'age': found no table, expected a table with .*AgeatEntry"):
        read_oasis3(derivatives, "age")
    with pytest.raises(DatalistError, match=r"none of the 3 subjects with scans in .*OAS30001, \.\.\.\) has a row"):
        read_oasis3(derivatives, "cdr", tables=[clinical(tmp_path, visit("OAS39999", "1", "0"))], res="2")
    with pytest.raises(DatalistError, match="absent: there is no such folder"):
        read_oasis3(tmp_path / "absent", "cdr", tables=tables)
    table = write(tmp_path / "no dx.csv", "OASISID,days_to_visit,CDRTOT", "OAS30001,0,0")
    with pytest.raises(DatalistError, match=r"no dx\.csv: has no column 'dx1'"):
        read_oasis3(derivatives, "ad", tables=[table])
