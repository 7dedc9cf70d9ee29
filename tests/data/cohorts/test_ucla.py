from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_mni152_brain_mask

from monai_tff.data.cohorts.ucla import read_ucla
from monai_tff.data.header import read_header
from monai_tff.data.layers import contract_of, read_dataset_layers
from monai_tff.data.mask_files import find_mask
from monai_tff.data.targets import define_target
from monai_tff.errors import DatalistError
from monai_tff.resources import configs_folder

COLUMNS = "participant_id diagnosis age gender bart bht dwi pamenc pamret rest scap stopsignal T1w taskswitch"
HEADER = (*COLUMNS.split(), "ScannerSerialNumber", "ghost_NoGhost")
SPACE = "space-MNI152NLin2009cAsym"
PREPROCESSED = f"bold_{SPACE}_preproc"
CONFOUNDS = ("WhiteMatter\tFramewiseDisplacement\tX\tY\tZ\tRotX\tRotY\tRotZ", *("0.1\t{}\t0\t0\t0\t0\t0\t0",) * 3)


def person(subject: str, diagnosis: str, *, age: str = "30", gender: str = "F", rest: str = "1") -> list[str]:
    tasks = ["1"] * 5 + [rest] + ["1"] * 4
    ghost = "ghost" if subject == "sub-60001" else "No_ghost"
    return [subject, diagnosis, age, gender, *tasks, "35343.0" if age == "30" else "35426", ghost]


PEOPLE = (
    person("sub-10159", "CONTROL"),
    person("sub-10171", "CONTROL", age="24", gender="M"),
    person("sub-50004", "SCHZ", age="44"),
    person("sub-60001", "BIPOLAR"),
    person("sub-70001", "ADHD", rest="n/a"),
    person("sub-10299", "CONTROL"),
)


def table(path: Path, rows: Sequence[Sequence[str]] = PEOPLE, header: Sequence[str] = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    separator = "," if path.suffix == ".csv" else "\t"
    path.write_text("\n".join(separator.join(row) for row in (header, *rows)) + "\n", encoding="utf-8")
    return path


def scans(root: Path, subject: str, *ends: str, motion: Sequence[str] | None = ("n/a", "0.1", "0.3")) -> Path:
    """Empty scans of a subject (readers of cohorts look at names only), and its confounds of old fMRIPrep."""
    folder = root / f"sub-{subject}" / "func"
    folder.mkdir(parents=True, exist_ok=True)
    for end in ends or (f"task-rest_{PREPROCESSED}",):
        (folder / f"sub-{subject}_{end}.nii.gz").touch()
    if motion is not None:
        header, *rows = CONFOUNDS
        lines = [header, *(row.format(value) for row, value in zip(rows, motion, strict=True))]
        (folder / f"sub-{subject}_task-rest_bold_confounds.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The dataset with its derivative: other tasks, spaces and masks, a linked subject, a space in the path."""
    folder = tmp_path / "my ds000030"
    derivative = folder / "derivatives" / "fmriprep"
    table(folder / "participants.tsv")
    scans(
        derivative,
        "10159",
        f"task-rest_{PREPROCESSED}",
        f"task-rest_bold_{SPACE}_brainmask",
        f"task-rest_bold_{SPACE}_variant-smoothAROMAnonaggr_preproc",
        "task-rest_bold_space-T1w_preproc",
        f"task-bart_{PREPROCESSED}",
    )
    (derivative / "sub-10159" / "func" / "sub-10159_task-rest_bold_space-fsaverage5.L.func.gii").touch()
    (derivative / "sub-10159.html").touch()
    scans(derivative, "10171", motion=None)
    scans(tmp_path / "store", "50004", motion=("n/a", "0.5", "0.7"))
    (derivative / "sub-50004").symlink_to(tmp_path / "store" / "sub-50004")
    for subject in ("60001", "70001", "99999"):
        scans(derivative, subject)
    scans(folder, "10159", "task-rest_bold", "task-bart_bold", "task-rest_sbref", motion=None)
    scans(folder, "10299", "task-rest_bold", motion=None)
    return folder


def test_records(root: Path) -> None:
    found = read_ucla(root, "diagnosis")
    assert [(r["subject"], r["label"], r["sex"], r["age"], r["site"]) for r in found.records] == [
        ("10159", "CONTROL", "F", 30.0, "35343"),
        ("10171", "CONTROL", "M", 24.0, "35426"),
        ("50004", "SCHZ", "F", 44.0, "35426"),
        ("60001", "BIPOLAR", "F", 30.0, "35343"),
    ]
    folder = "derivatives/fmriprep/sub-10159/func/sub-10159_task-rest"
    assert found.records[0] == {
        "image": f"{folder}_{PREPROCESSED}.nii.gz",
        "subject": "10159",
        "session": None,
        "run": None,
        "task": "rest",
        "group": "sub-10159",
        "site": "35343",
        "tr": None,
        "mask": None,
        "confounds": f"{folder}_bold_confounds.tsv",
        "motion": pytest.approx(0.2),
        "motion_kind": "mean FD",
        "age": 30.0,
        "sex": "F",
        "content": None,
        "label": "CONTROL",
    }
    assert [found.records[1][key] for key in ("confounds", "motion", "motion_kind")] == [None, None, None]
    assert found.records[2]["motion"] == pytest.approx(0.6)
    assert [(r["subject"], r["label"], r["age"]) for r in found.unlabelled] == [("99999", None, None)]
    assert found.left_out == {
        "subjects: no scan": ["sub-10299"],
        "subjects: not in the table": ["sub-99999"],
        "subjects: rest is not 1 in the table": ["sub-70001"],
        "scans: not preprocessed, others are": ["sub-10299/func/sub-10299_task-rest_bold.nii.gz"],
    }
    assert {other["subject"] for other in found.others} == {"10159"}
    assert [other["image"] for other in found.others] == [
        f"derivatives/fmriprep/sub-10159/func/sub-10159_task-bart_{PREPROCESSED}.nii.gz",
        f"{folder}_bold_{SPACE}_variant-smoothAROMAnonaggr_preproc.nii.gz",
        f"{folder}_bold_space-T1w_preproc.nii.gz",
        "sub-10159/func/sub-10159_task-bart_bold.nii.gz",
        "sub-10159/func/sub-10159_task-rest_bold.nii.gz",
    ]
    assert (found.faults, found.allowed, found.denoising) == ([], [], "none")


def test_classes_are_chosen_among_the_diagnoses(root: Path) -> None:
    labels = [record["label"] for record in read_ucla(root, "diagnosis").records]
    assert define_target("diagnosis", labels).class_names == ("CONTROL", "BIPOLAR", "SCHZ")
    assert define_target("diagnosis", labels, classes=["CONTROL", "SCHZ"]).kind == "binary"


def test_the_derivative_alone_finds_the_table_of_its_dataset(root: Path, tmp_path: Path) -> None:
    derivative = root / "derivatives" / "fmriprep"
    found = read_ucla(derivative, "diagnosis")
    assert found.records[0]["image"] == f"sub-10159/func/sub-10159_task-rest_{PREPROCESSED}.nii.gz"
    assert found.records[0]["confounds"] == "sub-10159/func/sub-10159_task-rest_bold_confounds.tsv"
    assert len(found.records) == 4
    moved = tmp_path / "fmriprep only"
    derivative.rename(moved)
    with pytest.raises(
        DatalistError, match=r"found no participants\.tsv, looked for .*participants\.tsv; name the raw"
    ):
        read_ucla(moved, "diagnosis")
    for options in ({"raw": root}, {"tables": [root / "participants.tsv"]}):
        assert [r["label"] for r in read_ucla(moved, "diagnosis", **options).records] == [
            "CONTROL",
            "CONTROL",
            "SCHZ",
            "BIPOLAR",
        ]


@pytest.mark.parametrize(
    ("target", "labels"),
    [
        ("sex", ["F", "M", "F", "F"]),
        ("gender", ["F", "M", "F", "F"]),
        ("age", ["30", "24", "44", "30"]),
        ("ghost_NoGhost", ["No_ghost", "No_ghost", "No_ghost", "ghost"]),
        ("ScannerSerialNumber", ["35343.0", "35426", "35426", "35343.0"]),
        ("bis_total", ["61", "70"]),
    ],
)
def test_targets_of_all_tables(root: Path, target: str, labels: list[str]) -> None:
    phenotype = table(
        root / "phenotype" / "barratt.tsv", [("sub-10159", "61"), ("sub-60001", "70")], ("participant_id", "bis_total")
    )
    found = read_ucla(root, target, tables=[phenotype])
    assert [record["label"] for record in found.records] == labels
    assert found.left_out["subjects: rest is not 1 in the table"] == ["sub-70001"]


def test_a_table_with_a_diagnosis_replaces_that_of_the_dataset(root: Path, tmp_path: Path) -> None:
    own = table(tmp_path / "own.csv", [("10159", "SCHZ"), ("70001", "ADHD")], ("participant_id", "diagnosis"))
    found = read_ucla(root, "diagnosis", tables=[own])
    assert [(r["subject"], r["label"], r["age"]) for r in found.records] == [
        ("10159", "SCHZ", None),
        ("70001", "ADHD", None),
    ]
    assert [r["subject"] for r in found.unlabelled] == ["10171", "50004", "60001", "99999"]


def test_another_task_has_its_own_column(root: Path) -> None:
    found = read_ucla(root, "diagnosis", task="task-bart")
    assert [(r["subject"], r["task"]) for r in found.records] == [("10159", "bart")]
    # the confounds of the resting run are not those of this one
    assert found.records[0]["confounds"] is None
    with pytest.raises(
        DatalistError,
        match=r"no sub-\*/func/sub-\*_task-scap_bold_space-MNI.*, but .*task-bart raw \(1 scans\), task-bart space-M",
    ):
        read_ucla(root, "diagnosis", task="scap")


def test_missing_values_and_faults_leave_the_rest(root: Path) -> None:
    people = (
        person("sub-10159", "Schizophrenia"),
        person("sub-10171", "n/a"),
        person("sub-50004", "SCHZ"),
        person("sub-50004", "SCHZ", age="45"),
        person("sub-60001", "BIPOLAR", gender="female"),
        person("sub-70001", "ADHD", age="?", rest="1.0"),
        person("sub-99999", "CONTROL", rest="0"),
        person("sub-10299", "CONTROL"),
        person("sub-10300", "CONTROL"),
    )
    table(root / "participants.tsv", people)
    derivative = root / "derivatives" / "fmriprep"
    scans(derivative, "10299", motion=("n/a", "fast", "0.1"))
    scans(derivative, "10300")
    (derivative / "sub-10300" / "func" / f"sub-10300_task-rest_{PREPROCESSED}.nii").touch()
    scans(derivative, "10301", f"task-rest_{SPACE}_desc-preproc_bold")
    found = read_ucla(root, "diagnosis")
    assert found.records == []
    assert [r["subject"] for r in found.unlabelled] == ["10171", "10301"]
    assert found.left_out["rows: no target value"] == ["sub-10171"]
    assert found.left_out["subjects: rest is not 1 in the table"] == ["sub-99999"]
    assert len(found.faults) == 6
    twice, diagnosis, rows, gender, age, motion = found.faults
    assert twice.endswith(
        f"sub-10300_task-rest_{PREPROCESSED}.nii.gz: are the same run, expected one file; remove the copy."
    )
    assert diagnosis == (
        "sub-10159: diagnosis is 'Schizophrenia', expected one of CONTROL, SCHZ, BIPOLAR, ADHD; correct the table."
    )
    assert "participants.tsv: two rows disagree about 50004: age is '30' and '45'" in rows
    assert gender == "sub-60001: gender is 'female', expected F or M; correct the table."
    assert age == "sub-70001: age is '?', expected years; correct the table."
    assert "sub-10299_task-rest_bold_confounds.tsv: row 2 of FramewiseDisplacement is 'fast'" in motion
    # another target does not need the diagnosis
    assert "10159" in {r["subject"] for r in read_ucla(root, "age").records}


def test_a_scan_in_the_folder_of_another_subject_is_a_fault(root: Path) -> None:
    folder = root / "derivatives" / "fmriprep" / "sub-10159" / "func"
    (folder / f"sub-10299_task-rest_{PREPROCESSED}.nii.gz").touch()
    found = read_ucla(root, "diagnosis")
    assert "10299" not in {record["subject"] for record in (*found.records, *found.unlabelled)}
    assert [fault for fault in found.faults if "is named sub-10299 and lies in the folder sub-10159" in fault]


def test_raw_scans_must_be_allowed(root: Path, tmp_path: Path) -> None:
    (root / "derivatives").rename(tmp_path / "derivatives")
    message = r"the 2 scans of the task rest are raw, expected sub-\*/func/.*_preproc\.nii\.gz.*--allow-unregistered"
    with pytest.raises(DatalistError, match=message):
        read_ucla(root, "diagnosis")
    found = read_ucla(root, "diagnosis", allow_unregistered=True)
    assert [r["image"] for r in found.records] == [
        f"sub-{s}/func/sub-{s}_task-rest_bold.nii.gz" for s in ("10159", "10299")
    ]
    assert found.allowed == ["unregistered scans"]
    assert [other["image"] for other in found.others] == ["sub-10159/func/sub-10159_task-bart_bold.nii.gz"]


def test_the_space_of_the_subject_must_be_allowed_and_registered_scans_come_first(root: Path) -> None:
    with pytest.raises(DatalistError, match="the 1 scans of the task rest are in the space of each subject, expected"):
        read_ucla(root, "diagnosis", space="T1w")
    found = read_ucla(root, "diagnosis", space="space-T1w", allow_unregistered=True)
    assert [Path(r["image"]).name for r in found.records] == ["sub-10159_task-rest_bold_space-T1w_preproc.nii.gz"]
    assert found.allowed == ["unregistered scans"]
    assert read_ucla(root, "diagnosis", allow_unregistered=True).allowed == []
    with pytest.raises(DatalistError, match=r"found no .*space-MNI152NLin6Asym_preproc\.nii\.gz, but .*--space"):
        read_ucla(root, "diagnosis", space="MNI152NLin6Asym")


def test_links_whose_file_was_not_fetched_are_left_out(tmp_path: Path) -> None:
    table(tmp_path / "participants.tsv")
    scans(tmp_path, "10159")
    folder = scans(tmp_path, "10171", motion=None)
    link = folder / f"sub-10171_task-rest_{PREPROCESSED}.nii.gz"
    link.unlink()
    link.symlink_to(tmp_path / ".git" / "annex" / "nothing")
    found = read_ucla(tmp_path, "diagnosis")
    assert [r["subject"] for r in found.records] == ["10159"]
    assert found.left_out["scans: a link whose file is not there"] == [link.relative_to(tmp_path).as_posix()]
    (tmp_path / "sub-10159").rename(tmp_path / "elsewhere")
    with pytest.raises(DatalistError, match="but 1 links whose file is not there, expected ds000030"):
        read_ucla(tmp_path, "diagnosis")


def test_what_is_not_the_dataset_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DatalistError, match="absent: there is no such folder, expected ds000030 or its derivatives/fmri"
    ):
        read_ucla(tmp_path / "absent", "diagnosis")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DatalistError, match=r"found no sub-10159/func/.*_preproc\.nii\.gz here or in derivatives/fmriprep"
    ):
        read_ucla(tmp_path / "empty", "diagnosis")
    with pytest.raises(DatalistError, match=r"participants\.tsv: has no column 'diagnoses' among 16 \(diagnosis\)"):
        read_ucla(root, "diagnoses")
    with pytest.raises(DatalistError, match="--raw: there is no folder"):
        read_ucla(root, "diagnosis", raw=tmp_path / "absent")
    (root / "participants.tsv").rename(tmp_path / "other name.tsv")
    with pytest.raises(DatalistError, match=r"found no participants\.tsv, looked for .*empty/participants\.tsv"):
        read_ucla(root, "diagnosis", raw=tmp_path / "empty")
    other = table(tmp_path / "t.csv", [("1", "SCHZ")], ("participant_id", "diagnosis"))
    with pytest.raises(
        DatalistError, match=r"none of the 6 subjects with scans \(sub-10159, \.\.\.\) has a row, found the IDs 1"
    ):
        read_ucla(root, "diagnosis", tables=[other])
    wrong = table(tmp_path / "w.csv", [("1", "SCHZ")], ("subject", "diagnosis"))
    with pytest.raises(DatalistError, match=r"w\.csv: has no column 'participant_id', found subject, diagnosis"):
        read_ucla(root, "diagnosis", tables=[wrong])


def test_a_dataset_with_every_run_twice_is_refused(tmp_path: Path) -> None:
    table(tmp_path / "participants.tsv")
    scans(tmp_path, "10159", f"task-rest_{PREPROCESSED}", f"task-rest_{SPACE}_desc-preproc_bold")
    with pytest.raises(
        DatalistError, match=r"every run is there twice; sub-10159/.* and sub-10159/.*: are the same run"
    ):
        read_ucla(tmp_path, "diagnosis")


def test_masks_of_old_fmriprep_are_found(root: Path) -> None:
    scan = root / read_ucla(root, "diagnosis").records[0]["image"]
    affine = np.diag([3.0, 3.0, 4.0, 1.0])
    image = nib.Nifti1Image(np.ones((7, 8, 9, 4), np.int16), affine)
    image.header.set_zooms((3.0, 3.0, 4.0, 2.0))
    nib.save(image, scan)
    mask = scan.with_name(scan.name.replace("preproc", "brainmask"))
    nib.save(nib.Nifti1Image(np.ones((7, 8, 9), np.uint8), affine), mask)
    assert find_mask(scan, read_header(scan)) == mask


@pytest.mark.parametrize("name", ["ucla.yaml", "ucla_paper.yaml"])
def test_the_crop_of_the_layer_holds_the_brain_of_the_template(name: str) -> None:
    contract = contract_of(read_dataset_layers([configs_folder() / "datasets" / name]))
    shape, origin = (65, 77, 49), np.array([-96.0, -132.0, -78.0])
    kept = [range(size)[slice(*crop)] for size, crop in zip(shape, contract.crop or [(None, None)] * 3, strict=True)]
    assert tuple(len(voxels) for voxels in kept) == tuple(contract.spatial_size)
    mask = load_mni152_brain_mask(resolution=2)
    millimetres = nib.affines.apply_affine(mask.affine, np.argwhere(mask.get_fdata() > 0))
    voxels = (millimetres - origin) / np.array([3.0, 3.0, 4.0])
    for axis in range(3):
        first, last = kept[axis][0], kept[axis][-1]
        assert first == 0 or first + 0.5 <= voxels[:, axis].min()
        assert voxels[:, axis].max() + 0.5 <= last
