from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_mni152_brain_mask

from monai_tff.data.cohorts.hcp import read_hcp
from monai_tff.data.header import read_header
from monai_tff.data.layers import contract_of, read_dataset_layers
from monai_tff.data.mask_files import find_mask
from monai_tff.data.splits import split_records
from monai_tff.errors import DatalistError
from monai_tff.resources import configs_folder

RUNS = ("rfMRI_REST1_LR", "rfMRI_REST1_RL", "rfMRI_REST2_LR", "rfMRI_REST2_RL")
CLEAN, NEW = "_hp2000_clean", "_hp2000_clean_rclean_tclean"
UNRESTRICTED = ("Subject", "Release", "Gender", "Age", "MMSE_Score")
RESTRICTED = ("Subject", "Age_in_Yrs", "ZygositySR", "ZygosityGT", "Family_ID", "Mother_ID", "Father_ID")

PEOPLE = {
    "100206": ("M", "26-30", "27", "MZ", "56037_85858", "56037", "85858"),
    "100307": ("F", "26-30", "27", "NotTwin", "51488_81352", "51488", "81352"),
    "100408": ("M", "31-35", "33", "MZ", "56037_85858", "56037", "85858"),
    "101006": ("F", "36+", "36", "NotTwin", "51488_99999", "51488", "99999"),
    "101107": ("M", "22-25", "22", "NotTwin", "", "", ""),
}
"""Sex, band, age, zygosity, family, mother, father; 100307 and 101006 are half siblings by their mother."""


def results(root: Path, subject: str, run: str) -> Path:
    return root / subject / "MNINonLinear" / "Results" / run


def runs(root: Path, subject: str, *names: str, ends: Sequence[str] = ("",), motion: str | None = "0.1\n") -> None:
    """Empty scans of a subject (readers of cohorts look at names only) and what HCP writes beside them."""
    for name in names or RUNS:
        folder = results(root, subject, name)
        folder.mkdir(parents=True, exist_ok=True)
        for end in ends:
            (folder / f"{name}{end}.nii.gz").touch()
        for beside in (f"{name}_SBRef", "brainmask_fs.2", f"{name}_hp2000_clean_vn", f"{name}_Jacobian"):
            (folder / f"{beside}.nii.gz").touch()
        (folder / f"{name}_Atlas_hp2000_clean.dtseries.nii").touch()
        (folder / "Movement_Regressors.txt").touch()
        if motion is not None:
            (folder / "Movement_RelativeRMS_mean.txt").write_text(motion)


def table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    path.write_text("\n".join(",".join(row) for row in (columns, *rows)) + "\n", encoding="utf-8")
    return path


def tables(folder: Path, people: Mapping[str, Sequence[str]] = PEOPLE) -> list[Path]:
    """The two tables of the database under names that say nothing."""
    unrestricted = [(s, "S1200", sex, band, "29") for s, (sex, band, *_) in people.items()]
    restricted = [(s, age, zygosity, zygosity, *ids) for s, (_, _, age, zygosity, *ids) in people.items()]
    return [
        table(folder / "b_2024.csv", RESTRICTED, restricted),
        table(folder / "a 2024.csv", UNRESTRICTED, unrestricted),
    ]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four subjects of the table, one of them a link; spaces in the path."""
    folder = tmp_path / "HCP 1200"
    runs(folder, "100206")
    runs(folder, "100307", "rfMRI_REST1_LR")
    runs(folder, "101006", "rfMRI_REST1_LR")
    runs(tmp_path / "store", "101107", "rfMRI_REST2_RL", motion=None)
    (folder / "101107").symlink_to(tmp_path / "store" / "101107")
    (folder / "notes.txt").touch()
    (folder / "zip files").mkdir()
    return folder


def test_records(root: Path, tmp_path: Path) -> None:
    found = read_hcp(root, "sex", tables=tables(tmp_path))
    assert [(r["subject"], r["session"], r["run"], r["group"], r["label"]) for r in found.records] == [
        *(
            ("100206", *run, "family-100206", "M")
            for run in [("REST1", "LR"), ("REST1", "RL"), ("REST2", "LR"), ("REST2", "RL")]
        ),
        ("100307", "REST1", "LR", "family-100307", "F"),
        ("101006", "REST1", "LR", "family-100307", "F"),
        ("101107", "REST2", "RL", "sub-101107", "M"),
    ]
    assert found.records[0] == {
        "image": "100206/MNINonLinear/Results/rfMRI_REST1_LR/rfMRI_REST1_LR.nii.gz",
        "subject": "100206",
        "session": "REST1",
        "run": "LR",
        "task": "rest",
        "group": "family-100206",
        "site": None,
        "tr": None,
        "mask": None,
        "confounds": None,
        "motion": 0.1,
        "motion_kind": "mean relative RMS",
        "age": 27.0,
        "sex": "M",
        "content": None,
        "label": "M",
    }
    assert (found.records[-1]["motion"], found.records[-1]["motion_kind"]) == (None, None)
    assert found.left_out == {"subjects: no scan": ["100408"]}
    assert (found.unlabelled, found.faults, found.others, found.allowed) == ([], [], [], [])
    assert found.denoising == "none"


@pytest.mark.parametrize(
    ("target", "labels"),
    [
        ("sex", ["M", "F", "F", "M"]),
        ("Gender", ["M", "F", "F", "M"]),
        ("age", ["27", "27", "36", "22"]),
        ("Age_in_Yrs", ["27", "27", "36", "22"]),
        ("Age", ["26-30", "26-30", "36+", "22-25"]),
        ("MMSE_Score", ["29", "29", "29", "29"]),
    ],
)
def test_targets(root: Path, tmp_path: Path, target: str, labels: list[str]) -> None:
    found = read_hcp(root, target, tables=tables(tmp_path))
    by_subject = {record["subject"]: record["label"] for record in found.records}
    assert list(by_subject.values()) == labels


def test_age_needs_exact_ages(root: Path, tmp_path: Path) -> None:
    restricted, unrestricted = tables(tmp_path)
    bands = r"a 2024\.csv: found only the bands of 'Age' .*36\+, which has no middle\), expected exact ages"
    with pytest.raises(DatalistError, match=bands + " in a column 'Age_in_Yrs'; add the restricted table"):
        read_hcp(root, "age", tables=[unrestricted], allow_unknown_families=True)
    assert len(read_hcp(root, "age", tables=[restricted]).records) == 7
    other = table(tmp_path / "other.csv", ("Subject", "Gender"), [("100206", "M")])
    with pytest.raises(DatalistError, match="found no age, expected exact ages"):
        read_hcp(root, "age", tables=[other])


def test_families_must_be_known_or_allowed(root: Path, tmp_path: Path) -> None:
    unrestricted = tables(tmp_path)[1]
    with pytest.raises(
        DatalistError,
        match=r"a 2024\.csv: found none of the columns Family_ID, Mother_ID, Father_ID .*--allow-unknown-families",
    ):
        read_hcp(root, "sex", tables=[unrestricted])
    found = read_hcp(root, "sex", tables=[unrestricted], allow_unknown_families=True)
    assert found.allowed == ["unknown families"]
    assert {r["group"] for r in found.records} == {"sub-100206", "sub-100307", "sub-101006", "sub-101107"}
    blank = {subject: (*facts[:4], "", "n/a", "") for subject, facts in PEOPLE.items()}
    with pytest.raises(DatalistError, match="found only blanks in Family_ID, Mother_ID, Father_ID for the subjects"):
        read_hcp(root, "sex", tables=tables(tmp_path, blank))


def test_allowing_unknown_families_keeps_those_that_are_known(root: Path, tmp_path: Path) -> None:
    people = {subject: PEOPLE[subject] for subject in ("100206", "100307", "101006")}
    found = read_hcp(root, "sex", tables=tables(tmp_path, people), session="REST1", allow_unknown_families=True)
    assert found.allowed == []
    assert {r["subject"]: r["group"] for r in found.records}["101006"] == "family-100307"
    assert read_hcp(root, "sex", tables=tables(tmp_path), allow_unknown_families=True).allowed == ["unknown families"]


def test_who_is_in_no_table_of_families_is_left_out_unless_allowed(root: Path, tmp_path: Path) -> None:
    restricted, unrestricted = tables(tmp_path)
    # an older restricted table does not have everybody: 101006 may be the sister of anybody
    lines = [line for line in restricted.read_text().splitlines() if not line.startswith("101006")]
    restricted.write_text("\n".join(lines) + "\n")
    found = read_hcp(root, "sex", tables=[restricted, unrestricted], session="REST1")
    assert {record["subject"] for record in (*found.records, *found.unlabelled)} == {"100206", "100307"}
    assert found.left_out["subjects: in no table of families"] == ["101006"]
    allowed = read_hcp(root, "sex", tables=[restricted, unrestricted], session="REST1", allow_unknown_families=True)
    assert {r["subject"]: r["group"] for r in allowed.records}["101006"] == "sub-101006"
    assert allowed.allowed == ["unknown families"]
    assert "subjects: in no table of families" not in allowed.left_out


def test_old_releases_have_no_family_column_and_relatives_without_scan_link(root: Path, tmp_path: Path) -> None:
    """100206 and 100307 share nobody, but both share someone with 100408, who has no scan."""
    ids = {"100206": ("1", "2"), "100307": ("3", "4"), "100408": ("1", "4"), "101006": ("4", "9"), "101107": ("", "")}
    old = table(
        tmp_path / "old.csv", ("Subject", "Gender", "Mother_ID", "Father_ID"), [(s, "F", *i) for s, i in ids.items()]
    )
    found = read_hcp(root, "sex", tables=[old])
    assert {r["subject"]: r["group"] for r in found.records} == {
        "100206": "family-100206",
        "100307": "family-100206",
        # mother 4 is not father 4
        "101006": "family-101006",
        "101107": "sub-101107",
    }


@pytest.mark.parametrize(
    ("variant", "end", "denoising", "counts"),
    [("plain", "", "none", (2, 1, 3)), ("hp2000_clean", CLEAN, "fix", (3, 1, 2)), (NEW[1:], NEW, "fix", (1, 3, 2))],
)
def test_variants_are_never_mixed(
    tmp_path: Path, variant: str, end: str, denoising: str, counts: tuple[int, int, int]
) -> None:
    runs(tmp_path, "100206", "rfMRI_REST1_LR", ends=("", CLEAN, NEW))
    runs(tmp_path, "100307", "rfMRI_REST1_LR", "rfMRI_REST1_RL", ends=(end,))
    runs(tmp_path, "100408", "rfMRI_REST1_LR", ends=(CLEAN if end == "" else "",))
    listed = "hp2000_clean ({} scans), hp2000_clean_rclean_tclean ({} scans), plain ({} scans)".format(*counts)
    message = re.escape(f"{tmp_path}: the scans come in 3 variants: {listed}; expected one; choose with --variant.")
    with pytest.raises(DatalistError, match=message):
        read_hcp(tmp_path, "sex", tables=tables(tmp_path))
    found = read_hcp(tmp_path, "sex", tables=tables(tmp_path), variant=variant)
    assert [Path(r["image"]).name for r in found.records] == [
        f"{run}{end}.nii.gz" for run in ("rfMRI_REST1_LR", "rfMRI_REST1_LR", "rfMRI_REST1_RL")
    ]
    assert found.denoising == denoising
    assert found.left_out[f"scans: no variant {variant}"] == ["100408/MNINonLinear/Results/rfMRI_REST1_LR"]
    first = "100206/MNINonLinear/Results/rfMRI_REST1_LR/rfMRI_REST1_LR"
    assert found.others == [
        {"image": f"{first}{other}.nii.gz", "subject": "100206"} for other in ("", CLEAN, NEW) if other != end
    ]


def test_one_variant_needs_no_choice(tmp_path: Path) -> None:
    runs(tmp_path, "100206", ends=(CLEAN,))
    found = read_hcp(tmp_path, "sex", tables=tables(tmp_path))
    assert (len(found.records), found.denoising) == (4, "fix")
    with pytest.raises(
        DatalistError, match=r"of the variant 'plain', found hp2000_clean \(4 scans\); choose one of these"
    ):
        read_hcp(tmp_path, "sex", tables=tables(tmp_path), variant="plain")


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({"session": "REST1"}, ["REST1_LR", "REST1_RL"]),
        ({"session": "ses-2"}, ["REST2_LR", "REST2_RL"]),
        ({"run": "rl"}, ["REST1_RL", "REST2_RL"]),
        ({"session": "rest2", "run": "LR"}, ["REST2_LR"]),
    ],
)
def test_sessions_and_runs_can_be_chosen(tmp_path: Path, options: dict[str, str], chosen: list[str]) -> None:
    runs(tmp_path, "100206")
    found = read_hcp(tmp_path, "sex", tables=tables(tmp_path), **options)
    assert [f"{r['session']}_{r['run']}" for r in found.records] == chosen
    # what was not chosen was still measured on the same subject
    assert len(found.others) == 4 - len(chosen)


def test_a_choice_that_fits_nothing_lists_what_there_is(tmp_path: Path) -> None:
    runs(tmp_path, "100206", "rfMRI_REST1_LR")
    with pytest.raises(DatalistError, match=r"no scan has --session REST3 and --run any, found REST1_LR \(1 scans\)"):
        read_hcp(tmp_path, "sex", tables=tables(tmp_path), session="REST3")


def test_other_scans_of_the_subjects_are_named(tmp_path: Path) -> None:
    runs(tmp_path, "100206", "rfMRI_REST1_LR", "tfMRI_MOTOR_LR", "rfMRI_REST1_7T_PA")
    runs(tmp_path, "100206", "rfMRI_REST", ends=(NEW,))
    runs(tmp_path, "999999", "rfMRI_REST1_LR", "tfMRI_MOTOR_LR")
    unprocessed = tmp_path / "100206" / "unprocessed" / "3T" / "rfMRI_REST1_LR"
    unprocessed.mkdir(parents=True)
    for name in ("rfMRI_REST1_LR", "rfMRI_REST1_LR_SBRef", "SpinEchoFieldMap_LR"):
        (unprocessed / f"100206_3T_{name}.nii.gz").touch()
    found = read_hcp(tmp_path, "sex", tables=tables(tmp_path))
    assert [r["image"] for r in found.records] == ["100206/MNINonLinear/Results/rfMRI_REST1_LR/rfMRI_REST1_LR.nii.gz"]
    assert found.left_out["subjects: not in the tables"] == ["999999"]
    assert [other["subject"] for other in found.others] == ["100206"] * 4
    assert [other["image"] for other in found.others] == [
        f"100206/MNINonLinear/Results/rfMRI_REST/rfMRI_REST{NEW}.nii.gz",
        "100206/MNINonLinear/Results/rfMRI_REST1_7T_PA/rfMRI_REST1_7T_PA.nii.gz",
        "100206/MNINonLinear/Results/tfMRI_MOTOR_LR/tfMRI_MOTOR_LR.nii.gz",
        "100206/unprocessed/3T/rfMRI_REST1_LR/100206_3T_rfMRI_REST1_LR.nii.gz",
    ]


def test_scans_without_a_value_are_unlabelled(tmp_path: Path) -> None:
    people = {**PEOPLE, "100307": ("", *PEOPLE["100307"][1:])}
    for subject in ("100206", "100307", "999999"):
        runs(tmp_path, subject, "rfMRI_REST1_LR")
    found = read_hcp(tmp_path, "sex", tables=tables(tmp_path, people))
    assert [r["subject"] for r in found.records] == ["100206"]
    assert [(r["subject"], r["label"], r["group"], r["age"]) for r in found.unlabelled] == [
        ("100307", None, "family-100307", 27.0)
    ]
    assert found.left_out["rows: no target value"] == ["100307"]
    assert found.left_out["subjects: not in the tables"] == ["999999"]
    # nobody knows the relatives of a subject that is in no table
    allowed = read_hcp(tmp_path, "sex", tables=tables(tmp_path, people), allow_unknown_families=True)
    assert [(r["subject"], r["group"]) for r in allowed.unlabelled] == [
        ("100307", "family-100307"),
        ("999999", "sub-999999"),
    ]
    assert allowed.allowed == ["unknown families"]


def test_faults_leave_the_rest(tmp_path: Path) -> None:
    people = {
        **PEOPLE,
        "100307": ("X", *PEOPLE["100307"][1:]),
        "101006": ("F", "36+", "old", *PEOPLE["101006"][3:]),
    }
    for subject in PEOPLE:
        runs(tmp_path, subject, "rfMRI_REST1_LR", "rfMRI_REST1_RL")
    (results(tmp_path, "100206", "rfMRI_REST1_LR") / "Movement_RelativeRMS_mean.txt").write_text("a lot")
    (results(tmp_path, "100408", "rfMRI_REST1_RL") / "rfMRI_REST1_RL.nii").touch()
    second = table(
        tmp_path / "second.csv", ("Subject", "Gender"), [("101107", "F"), ("100206", "M"), ("100408.0", "M")]
    )
    found = read_hcp(tmp_path, "sex", tables=[*tables(tmp_path, people), second])
    assert [(r["subject"], r["run"]) for r in found.records] == [("100206", "RL"), ("100408", "LR")]
    assert len(found.faults) == 5
    duplicate, sex, age, disagreement, motion = found.faults
    assert duplicate.endswith("rfMRI_REST1_RL.nii.gz: are the same run, expected one file; remove the copy.")
    assert "subject 100307: Gender is 'X', expected F or M" in sex
    assert "subject 101006: Age_in_Yrs is 'old', expected an age in years" in age
    assert f"{tmp_path / 'a 2024.csv'} and {second}: disagree about 101107: Gender is 'M' and 'F'" in disagreement
    assert "Movement_RelativeRMS_mean.txt: the file is 'a lot', expected a displacement in mm" in motion
    # the runs that are left out are still scans of subjects in use
    assert {other["image"].split("/")[-1] for other in found.others} == {
        "rfMRI_REST1_LR.nii.gz",
        "rfMRI_REST1_RL.nii",
        "rfMRI_REST1_RL.nii.gz",
    }


def test_two_rows_that_disagree_and_two_that_agree(tmp_path: Path) -> None:
    runs(tmp_path, "100206", "rfMRI_REST1_LR")
    runs(tmp_path, "100307", "rfMRI_REST1_LR")
    rows = [
        ("100206", "27", "7"),
        ("100206", "27.0", "7"),
        ("100307", "30", "8"),
        ("100307", "31", "8"),
        ("", "9", "9"),
    ]
    path = table(tmp_path / "t.csv", ("Subject", "Age_in_Yrs", "Family_ID"), rows)
    found = read_hcp(tmp_path, "age", tables=[path])
    assert [(r["subject"], r["label"]) for r in found.records] == [("100206", "27")]
    assert found.faults == [
        f"{path}: two rows disagree about 100307: Age_in_Yrs is '30' and '31', expected one value; correct the table."
    ]


def test_links_whose_file_was_not_fetched_are_left_out(tmp_path: Path) -> None:
    runs(tmp_path, "100206", "rfMRI_REST1_LR")
    runs(tmp_path, "100307", "rfMRI_REST1_LR", ends=())
    link = results(tmp_path, "100307", "rfMRI_REST1_LR") / "rfMRI_REST1_LR.nii.gz"
    link.symlink_to(tmp_path / "annex" / "nothing")
    found = read_hcp(tmp_path, "sex", tables=tables(tmp_path))
    assert found.left_out["scans: a link whose file is not there"] == [link.relative_to(tmp_path).as_posix()]
    assert "100307" in found.left_out["subjects: no scan"]
    (results(tmp_path, "100206", "rfMRI_REST1_LR") / "rfMRI_REST1_LR.nii.gz").unlink()
    with pytest.raises(DatalistError, match="but 1 links whose file is not there, expected the tree of HCP S1200"):
        read_hcp(tmp_path, "sex", tables=tables(tmp_path))


def test_what_is_no_hcp_is_refused(tmp_path: Path) -> None:
    both = tables(tmp_path)
    with pytest.raises(DatalistError, match="absent: there is no such folder, expected the subjects' folders"):
        read_hcp(tmp_path / "absent", "sex", tables=both)
    with pytest.raises(
        DatalistError, match=r"found no <subject>/MNINonLinear/Results/rfMRI_REST1_LR/rfMRI_REST1_LR\.nii"
    ):
        read_hcp(tmp_path, "sex", tables=both)
    runs(tmp_path, "100206", "rfMRI_REST1_LR")
    with pytest.raises(DatalistError, match=r"no table was given, expected the unrestricted table .*--table"):
        read_hcp(tmp_path, "sex")
    with pytest.raises(DatalistError, match=r"has no column 'MMSE_Scor' among 11 \(MMSE_Score\); name a column"):
        read_hcp(tmp_path, "MMSE_Scor", tables=both)
    other = table(tmp_path / "participants.csv", ("participant_id", "Gender"), [("100206", "M")])
    with pytest.raises(DatalistError, match="has no column 'Subject', found participant_id, Gender; give a table"):
        read_hcp(tmp_path, "sex", tables=[*both, other])
    strangers = table(tmp_path / "s.csv", ("Subject", "Gender", "Family_ID"), [("1", "M", "1")])
    with pytest.raises(
        DatalistError, match=r"none of the 1 subjects with scans \(100206, \.\.\.\) has a row, found the IDs 1;"
    ):
        read_hcp(tmp_path, "sex", tables=[strangers])
    (results(tmp_path, "100206", "rfMRI_REST1_LR") / "rfMRI_REST1_LR.nii").touch()
    with pytest.raises(DatalistError, match=r"every run is there twice; 100206/.* are the same run"):
        read_hcp(tmp_path, "sex", tables=both)


def test_families_are_never_split_and_masks_are_found(tmp_path: Path) -> None:
    people: dict[str, Sequence[str]] = {}
    for number in range(24):
        subject, family = f"1{number:05d}", str(number // 3)
        people[subject] = ("FM"[number % 2], "26-30", str(25 + number % 9), "NotTwin", family, family, family)
        runs(tmp_path, subject, "rfMRI_REST1_LR", "rfMRI_REST2_RL")
    records = read_hcp(tmp_path, "sex", tables=tables(tmp_path, people)).records
    sections = split_records(records, kind="binary", ratios=(0.5, 0.25, 0.25), seed=0)
    groups = [{record["group"] for record in section} for section in sections.values()]
    assert [len(found) for found in groups] == [4, 2, 2]
    assert [len(section) for section in sections.values()] == [24, 12, 12]
    assert len(set.union(*groups)) == 8

    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    scan = tmp_path / records[0]["image"]
    image = nib.Nifti1Image(np.ones((7, 8, 9, 4), np.int16), affine)
    image.header.set_zooms((2.0, 2.0, 2.0, 0.72))
    nib.save(image, scan)
    nib.save(nib.Nifti1Image(np.ones((7, 8, 9), np.uint8), affine), scan.parent / "brainmask_fs.2.nii.gz")
    header = read_header(scan)
    assert header.repetition_time == pytest.approx(0.72)
    assert find_mask(scan, header) == scan.parent / "brainmask_fs.2.nii.gz"


@pytest.mark.parametrize("name", ["hcp.yaml", "hcp_paper.yaml"])
def test_the_crop_of_the_layer_holds_the_brain_of_the_template(name: str) -> None:
    contract = contract_of(read_dataset_layers([configs_folder() / "datasets" / name]))
    shape, origin = (91, 109, 91), np.array([-90.0, -126.0, -72.0])
    kept = [range(size)[slice(*crop)] for size, crop in zip(shape, contract.crop or [(None, None)] * 3, strict=True)]
    assert tuple(len(voxels) for voxels in kept) == tuple(contract.spatial_size)
    mask = load_mni152_brain_mask(resolution=2)
    millimetres = nib.affines.apply_affine(mask.affine, np.argwhere(mask.get_fdata() > 0))
    voxels = (millimetres - origin) / np.array([2.0, 2.0, 2.0])
    for axis in range(3):
        first, last = kept[axis][0], kept[axis][-1]
        assert first == 0 or first + 0.5 <= voxels[:, axis].min()
        assert voxels[:, axis].max() + 0.5 <= last
