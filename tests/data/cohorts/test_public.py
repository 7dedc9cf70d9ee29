"""nilearn's own downloaders on files that are laid out as they store them: nothing is downloaded."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets.func import adhd_ids

from monai_tff.data.cohorts.public import read_abide, read_adhd, read_development_fmri
from monai_tff.data.cohorts.public_studies import abide_variant
from monai_tff.errors import DatalistError

READERS = {"development_fmri": read_development_fmri, "adhd": read_adhd, "abide": read_abide}
QUALITY = {"qc_rater_1": "OK", "qc_anat_rater_2": "maybe", "qc_func_rater_2": "OK"} | {
    f"qc_{kind}_rater_3": "OK" for kind in ("anat", "func")
}


def scan(path: Path, tr: float = 2.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.arange(7 * 8 * 9 * 3, dtype=np.int16).reshape(7, 8, 9, 3), np.diag([4.0, 4, 4, 1]))
    image.header.set_zooms((4, 4, 4, tr))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return path


def table(path: Path, rows: list[dict[str, Any]], separator: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    path.write_text("".join(separator.join(line) + "\n" for line in lines))


def development_fmri(root: Path) -> Path:
    """Three children and an adult; of one the displacement is not known."""
    folder = root / "development_fmri"
    people = [("001", 4.77, "4yo", "child", "M"), ("002", 4.86, "4yo", "child", "F")]
    people += [("003", 4.15, "4yo", "child", "F"), ("123", 27.06, "Adult", "adult", "F")]
    rows = []
    for number, (name, age, group, kind, sex) in enumerate(people):
        stem = folder / f"sub-pixar{name}_task-pixar"
        scan(stem.with_name(f"{stem.name}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"))
        displacement = ["n/a", 0.1 * number, 0.3 * number] if number else ["n/a"] * 3
        confounds = stem.with_name(f"{stem.name}_desc-confounds_regressors.tsv")
        table(confounds, [{"framewise_displacement": value, "csf": 1} for value in displacement], "\t")
        row = {"participant_id": f"sub-pixar{name}", "Age": age, "AgeGroup": group, "Child_Adult": kind}
        rows.append({**row, "Gender": sex, "Handedness": "R", "ToM Booklet-Matched": 0.5})
    table(folder / "participants.tsv", rows, "\t")
    return root


def adhd(root: Path, **changes: dict[str, Any]) -> Path:
    """All 40 subjects; the rows of the table in another order than the scans, as in the real one."""
    first = scan(root / "adhd" / "scan.nii.gz")
    rows = []
    for number, name in enumerate(adhd_ids()):
        folder = root / "adhd" / "data" / name
        folder.mkdir(parents=True)
        os.link(first, folder / f"{name}_rest_tshift_RPI_voreg_mni.nii.gz")
        table(folder / f"{name}_regressors.csv", [{"csf": 0.5, "motion-pitch": 0.1}], "\t")
        row = {"": number, "Subject": int(name), "MeanFD": 0.05 + number / 1000, "site": ["NYU", "KKI"][number % 2]}
        row |= {"sibling_id": "", "age": 8 + number / 4, "sex": ["F", "M"][number // 2 % 2], "adhd": number % 2}
        rows.append({**row, **changes.get(f"_{name}", {})})
    first.unlink()
    table(root / "adhd" / "ADHD200_40subs_motion_parameters_and_phenotypics.csv", rows[::-1], ",")
    return root


def abide(root: Path, variant: str = "cpac/nofilt_noglobal", trs: tuple[float, ...] = (2.0, 1.5, 3.0, 2.0)) -> Path:
    """Four usable subjects of two sites, one that a rater failed, and one without scan."""
    people = [(50002, "PITT", "Pitt_0050002", 1, 16.77, 1), (50003, "PITT", "Pitt_0050003", 1, 24.45, 2)]
    people += [(50030, "PITT", "Pitt_0050030", 2, 25.12, 1), (51456, "CALTECH", "Caltech_0051456", 2, -9999, 1)]
    people += [(50004, "PITT", "Pitt_0050004", 1, 19.09, 1), (50001, "PITT", "no_filename", 1, 20.0, 1)]
    rows = []
    for number, (subject, site, name, group, age, sex) in enumerate(people):
        if number < 4:
            scan(root / "ABIDE_pcp" / variant / f"{name}_func_preproc.nii.gz", trs[number])
        row = {"": number, "SUB_ID": subject, "X": number + 1, "SITE_ID": site, "FILE_ID": name, "DX_GROUP": group}
        row |= {"AGE_AT_SCAN": age, "SEX": sex, "FIQ": [110, -9999, 101, 99, 100, 120][number]}
        quality = QUALITY | ({"qc_func_rater_3": "fail"} if number == 4 else {})
        rows.append({**row, "func_mean_fd": ["", 0.1, 0.2, 0.3, 0.4, 0.5][number], **quality, "comment": '"a, b"'})
    table(root / "ABIDE_pcp" / "Phenotypic_V1_0b_preprocessed1.csv", rows, ",")
    return root


def entries(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_development_fmri(tmp_path: Path) -> None:
    root = development_fmri(tmp_path / "nilearn data")
    before = entries(root)
    cohort = read_development_fmri(root, "child_adult")
    assert entries(root) == before
    assert [(r["subject"], r["label"], r["sex"], r["age"]) for r in cohort.records] == [
        ("pixar001", "child", "M", 4.77),
        ("pixar002", "child", "F", 4.86),
        ("pixar003", "child", "F", 4.15),
        ("pixar123", "adult", "F", 27.06),
    ]
    assert [record["motion"] for record in cohort.records] == pytest.approx([None, 0.2, 0.4, 0.6])
    assert [record["motion_kind"] for record in cohort.records] == [None, *["mean FD"] * 3]
    first = cohort.records[0]
    assert (first["task"], first["tr"], first["group"], first["site"]) == ("pixar", 2.0, "sub-pixar001", None)
    name = "sub-pixar001_task-pixar"
    assert first["image"] == f"development_fmri/{name}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
    assert first["confounds"] == f"development_fmri/{name}_desc-confounds_regressors.tsv"
    assert (cohort.faults, dict(cohort.left_out), cohort.denoising) == ([], {}, "none")


@pytest.mark.parametrize(
    ("target", "labels"),
    [
        ("sex", ["M", "F", "F", "F"]),
        ("age", ["4.77", "4.86", "4.15", "27.06"]),
        ("Age", ["4.77", "4.86", "4.15", "27.06"]),
        ("age_group", ["4yo", "4yo", "4yo", "Adult"]),
        ("Handedness", ["R"] * 4),
    ],
)
def test_targets_by_their_names_and_by_the_columns(tmp_path: Path, target: str, labels: list[str]) -> None:
    cohort = read_development_fmri(development_fmri(tmp_path), target)
    assert [record["label"] for record in cohort.records] == labels


def test_rows_of_adhd_find_their_scans(tmp_path: Path) -> None:
    cohort = read_adhd(adhd(tmp_path, _0010064={"adhd": "", "MeanFD": "", "sex": 1}), "diagnosis")
    ids = adhd_ids()
    assert len(cohort.records) == 39
    assert {r["subject"]: r["label"] for r in cohort.records} == {
        name: ["control", "ADHD"][number % 2] for number, name in enumerate(ids) if number != 1
    }
    found = {record["subject"]: record for record in (*cohort.records, *cohort.unlabelled)}
    for number, name in enumerate(ids):
        assert found[name]["image"] == f"adhd/data/{name}/{name}_rest_tshift_RPI_voreg_mni.nii.gz"
        assert found[name]["age"] == 8 + number / 4
        assert found[name]["site"] == ["NYU", "KKI"][number % 2]
        assert found[name]["motion"] == (None if number == 1 else pytest.approx(0.05 + number / 1000))
    assert (found["0010064"]["label"], found["0010064"]["sex"], found["0010064"]["motion_kind"]) == (None, "M", None)
    assert cohort.left_out == {"rows: no target value": ["sub-0010064"]}
    assert found["0010042"]["confounds"] == "adhd/data/0010042/0010042_regressors.csv"


def test_siblings_of_adhd_are_one_group(tmp_path: Path) -> None:
    # the second names the first, two name one outside of the 40; 0 and -9999 name nobody
    changes = {"_0010064": {"sibling_id": 10042}, "_0010128": {"sibling_id": 99}, "_0021019": {"sibling_id": 99}}
    nobody = {"_0023008": {"sibling_id": 0}, "_0023012": {"sibling_id": 0}, "_0027011": {"sibling_id": -9999}}
    cohort = read_adhd(adhd(tmp_path, **changes, **nobody), "sex")
    groups = {record["subject"]: record["group"] for record in cohort.records}
    assert groups["0010042"] == groups["0010064"] == "sub-0010042"
    assert groups["0010128"] == groups["0021019"] == "sub-0010128"
    assert len(set(groups.values())) == 38


def test_abide(tmp_path: Path) -> None:
    root = abide(tmp_path)
    abide(root, "ccs/filt_global")
    cohort = read_abide(root, "diagnosis")
    assert [(r["subject"], r["label"], r["sex"], r["site"], r["tr"]) for r in cohort.records] == [
        ("51456", "control", "M", "CALTECH", 2.0),
        ("50002", "autism", "M", "PITT", 2.0),
        ("50003", "autism", "F", "PITT", 1.5),
        ("50030", "control", "M", "PITT", 3.0),
    ]
    assert [record["age"] for record in cohort.records] == [None, 16.77, 24.45, 25.12]
    assert [record["motion"] for record in cohort.records] == [0.3, None, 0.1, 0.2]
    assert cohort.records[1]["image"] == "ABIDE_pcp/cpac/nofilt_noglobal/Pitt_0050002_func_preproc.nii.gz"
    assert cohort.others[0] == {
        "image": "ABIDE_pcp/ccs/filt_global/Caltech_0051456_func_preproc.nii.gz",
        "subject": "51456",
    }
    assert len(cohort.others) == 4
    assert cohort.denoising == "by_cohort"


def test_targets_of_abide(tmp_path: Path) -> None:
    abide(tmp_path)
    assert [record["label"] for record in read_abide(tmp_path, "DX_GROUP").records] == ["2", "1", "1", "2"]
    of_age = read_abide(tmp_path, "age")
    assert [record["label"] for record in of_age.records] == ["16.77", "24.45", "25.12"]
    assert [record["subject"] for record in of_age.unlabelled] == ["51456"]
    assert of_age.left_out == {"rows: no target value": ["sub-51456"]}
    assert [record["label"] for record in read_abide(tmp_path, "FIQ").records] == ["99", "110", "101"]


def test_another_variant_of_abide(tmp_path: Path) -> None:
    abide(tmp_path, "niak/filt_global")
    assert len(read_abide(tmp_path, "sex", variant="niak/filt_global").records) == 4
    assert abide_variant(None) == ("cpac", False, False)
    for wrong in ("spm/filt_global", "cpac", "cpac/raw"):
        with pytest.raises(DatalistError, match=f"--variant: found '{wrong}', expected PIPELINE/STRATEGY"):
            read_abide(tmp_path, "sex", variant=wrong)


def test_scans_of_abide_need_a_repetition_time(tmp_path: Path) -> None:
    cohort = read_abide(abide(tmp_path, trs=(0.0, 1.5, 3.0, 2.0)), "diagnosis")
    assert [record["subject"] for record in cohort.records] == ["51456", "50003", "50030"]
    assert len(cohort.faults) == 1
    assert "Pitt_0050002_func_preproc.nii.gz: its header has no repetition time" in cohort.faults[0]
    abide(tmp_path, trs=(0.0,) * 4)
    with pytest.raises(DatalistError, match=r"no scan of abide can be used; .*no repetition time"):
        read_abide(tmp_path, "diagnosis")


def test_faults_leave_the_rest(tmp_path: Path) -> None:
    root = adhd(tmp_path, _0010064={"adhd": 7}, _0010128={"adhd": 1})
    path = root / "adhd" / "ADHD200_40subs_motion_parameters_and_phenotypics.csv"
    path.write_text(path.read_text() + "99,21019,0.1,NYU,,8.75,M,0\n")
    damaged = root / "adhd" / "data" / "0023008" / "0023008_rest_tshift_RPI_voreg_mni.nii.gz"
    damaged.unlink()
    damaged.write_bytes(b"not a scan")
    cohort = read_adhd(root, "diagnosis")
    assert len(cohort.records) == 37
    disagreeing, unknown, unreadable = cohort.faults
    assert "2 rows of 0021019 disagree (MeanFD: 0.053000000000000005 and 0.1), expected one" in disagreeing
    assert "adhd: 0010064 has adhd '7', expected 0, 1; the scan is left out." in unknown
    assert "0023008_rest_tshift_RPI_voreg_mni.nii.gz: the header cannot be read" in unreadable


def test_targets_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="has no 'diagnosis', expected age, sex, age_group, child_adult or one"):
        read_development_fmri(development_fmri(tmp_path), "diagnosis")


def test_a_linked_folder(tmp_path: Path) -> None:
    development_fmri(tmp_path / "store")
    shutil.move(tmp_path / "store" / "development_fmri", tmp_path / "store" / "elsewhere")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "development_fmri").symlink_to(tmp_path / "store" / "elsewhere")
    cohort = read_development_fmri(tmp_path / "data", "sex")
    assert all((tmp_path / "data" / record["image"]).is_file() for record in cohort.records)
    assert cohort.records[0]["image"].startswith("development_fmri/sub-pixar001")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request goes to a port of this machine where nobody listens."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("study", READERS)
def test_without_network_nothing_is_left_behind(tmp_path: Path, study: str) -> None:
    with pytest.raises(DatalistError, match=f"{study} is not there in full and cannot be downloaded .*be reached") as e:
        READERS[study](tmp_path / "new" / "data", "sex")
    assert "\n" not in str(e.value)
    assert entries(tmp_path) == []
    (tmp_path / "mine.txt").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatalistError, match="expected a network, or the files as nilearn stores them"):
        READERS[study](tmp_path, "sex")
    assert entries(tmp_path) == ["empty", "mine.txt"]


@pytest.mark.usefixtures("no_network")
def test_without_network_what_is_there_stays(tmp_path: Path) -> None:
    root = development_fmri(tmp_path)
    next((root / "development_fmri").glob("sub-pixar002*_bold.nii.gz")).unlink()
    before = entries(root)
    with pytest.raises(DatalistError, match="development_fmri is not there in full"):
        read_development_fmri(root, "sex")
    assert entries(root) == before


def test_a_table_of_another_study(tmp_path: Path) -> None:
    root = development_fmri(tmp_path)
    (root / "development_fmri" / "participants.tsv").write_text("participant_id\tsex\nsub-1\tF\n")
    with pytest.raises(DatalistError, match="cannot be downloaded \\(ValueError: Usecols"):
        read_development_fmri(root, "sex")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        DatalistError, match=r"cannot be downloaded \(OSError: .*Not a directory\)\), expected"
    ) as error:
        read_adhd(tmp_path / "file", "sex")
    assert "\n" not in str(error.value)
    assert entries(tmp_path) == ["file"]


def test_a_path_that_nilearn_would_split(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match="which nilearn takes for the end of a path"):
        read_adhd(tmp_path / f"a{os.pathsep}b", "sex")
