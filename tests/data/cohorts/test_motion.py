from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monai_tff.data.cohorts import Cohort
from monai_tff.data.cohorts.motion import (
    exclude_by_motion,
    find_confounds,
    mean_framewise_displacement,
    relative_rms,
)
from monai_tff.data.records import MEAN_FD, RELATIVE_RMS, make_record
from monai_tff.errors import DatalistError

NEW = "sub-1_ses-2_task-rest_run-1_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz"
OLD = "sub-1_ses-2_task-rest_run-1_bold_space-MNI152NLin2009cAsym_preproc.nii.gz"
ECHO = "sub-1_ses-2_task-rest_run-1_echo-2_part-mag_desc-preproc_bold.nii"
STEM = "sub-1_ses-2_task-rest_run-1"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("image", [NEW, OLD, ECHO])
@pytest.mark.parametrize(
    "table",
    [
        f"{STEM}_desc-confounds_timeseries.tsv",
        f"{STEM}_desc-confounds_regressors.tsv",
        f"{STEM}_bold_confounds.tsv",
    ],
)
def test_confounds_of_both_namings_are_found(tmp_path: Path, image: str, table: str) -> None:
    folder = tmp_path / "a folder" / "func"
    folder.mkdir(parents=True)
    for other in (
        "sub-1_ses-2_task-rest_run-2_desc-confounds_timeseries.tsv",
        "sub-1_ses-2_task-nback_run-1_desc-confounds_timeseries.tsv",
        "sub-1_ses-2_task-rest_run-1_acq-b_bold_confounds.tsv",
        f"{STEM}_desc-MELODIC_mixing.tsv",
        f"{STEM}_desc-aroma_timeseries.tsv",
        f"{STEM}_events.tsv",
        f"{STEM}_desc-confounds_timeseries.json",
    ):
        (folder / other).touch()
    assert find_confounds(folder / image) is None
    (folder / table).touch()
    assert find_confounds(folder / image) == folder / table


def test_the_newest_naming_comes_first_and_links_need_their_file(tmp_path: Path) -> None:
    newest, newer, old = (
        tmp_path / f"{STEM}_{end}.tsv"
        for end in ("desc-confounds_timeseries", "desc-confounds_regressors", "confounds")
    )
    old.touch()
    newer.touch()
    newest.symlink_to(tmp_path / "not downloaded")
    assert find_confounds(tmp_path / NEW) == newer
    (tmp_path / "not downloaded").touch()
    assert find_confounds(tmp_path / NEW) == newest


@pytest.mark.parametrize(
    ("lines", "mean"),
    [
        (["rot_x\tframewise_displacement\ttrans_x", "0\tn/a\t0", "0\t0.1\t0", "0\t0.4\t1"], 0.25),
        # old fMRIPrep before 1.2
        (["FramewiseDisplacement\tX\tRotX", "n/a\t0\t0", "0.3\t0\t0"], 0.3),
        # a frame without a value does not count as 0, neither does a short row
        (["a\tframewise_displacement", "1\tn/a", "1\t0.2", "1\t", "1", "1\t0.4"], 0.3),
        (["framewise_displacement", "n/a", "0", "0.0"], 0.0),
        (["\ufeffframewise_displacement", "1e-1"], 0.1),
        (["framewise_displacement", "n/a"], None),
        (["framewise_displacement"], None),
        (["trans_x\ttrans_y", "0\t0"], None),
        ([""], None),
    ],
)
def test_mean_framewise_displacement(tmp_path: Path, lines: list[str], mean: float | None) -> None:
    found = mean_framewise_displacement(write(tmp_path / "confounds.tsv", *lines))
    assert found == (None if mean is None else pytest.approx(mean, abs=1e-12))


@pytest.mark.parametrize("cell", ["0,2", "fast", "inf", "-0.1"])
def test_a_displacement_that_is_no_number_is_named(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path / "confounds.tsv", "framewise_displacement", "n/a", cell)
    with pytest.raises(DatalistError, match=rf"confounds\.tsv: row 2 of framewise_displacement is '{cell}', expected"):
        mean_framewise_displacement(path)


def test_confounds_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=r"absent\.tsv: cannot be read .*expected the confounds table of fMRIPrep"):
        mean_framewise_displacement(tmp_path / "absent.tsv")
    (tmp_path / "confounds.tsv").write_bytes(b"framewise_displacement\n\xff\xfe\n")
    with pytest.raises(DatalistError, match=r"confounds\.tsv: cannot be read"):
        mean_framewise_displacement(tmp_path / "confounds.tsv")


def test_relative_rms(tmp_path: Path) -> None:
    path = tmp_path / "Movement_RelativeRMS_mean.txt"
    assert relative_rms(tmp_path) is None
    for text, value in (("0.0853122\n", 0.0853122), (" 0 \n", 0.0), ("\n", None), ("nan", None)):
        path.write_text(text)
        assert relative_rms(tmp_path) == value
    for text in ("0.1 0.2", "-1", "?"):
        path.write_text(text)
        with pytest.raises(DatalistError, match=r"Movement_RelativeRMS_mean\.txt: the file is '.*', expected a displ"):
            relative_rms(tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatalistError, match=r"Movement_RelativeRMS_mean\.txt: cannot be read"):
        relative_rms(tmp_path)


def scan(subject: str, motion: float | None, label: str | None, kind: str = MEAN_FD) -> dict[str, Any]:
    known = {} if motion is None else {"motion": motion, "motion_kind": kind}
    return make_record(f"sub-{subject}.nii", subject, f"sub-{subject}", label, **known)


def test_scans_that_moved_are_left_out_by_class() -> None:
    cohort = Cohort(
        [
            scan("1", 0.5, "CONTROL"),
            scan("2", 0.51, "CONTROL"),
            scan("3", None, "SCHZ"),
            scan("4", 2.0, "SCHZ"),
            scan("5", 0.0, "SCHZ"),
            scan("6", 0.7, "CONTROL"),
            scan("7", 0.9, "SCHZ", RELATIVE_RMS),
        ],
        unlabelled=[scan("8", 0.9, None), scan("9", 0.1, None)],
        left_out={"subjects: no scan": ["sub-10"]},
        faults=["a fault"],
        others=[{"image": "sub-1_other.nii", "subject": "1"}],
        allowed=["unregistered scans"],
        denoising="fix",
    )
    found = exclude_by_motion(cohort, 0.5)
    assert [record["subject"] for record in found.records] == ["1", "3", "5"]
    assert [record["subject"] for record in found.unlabelled] == ["9"]
    assert found.left_out == {
        "subjects: no scan": ["sub-10"],
        "scans: mean FD above 0.5 mm, class CONTROL": ["sub-2.nii", "sub-6.nii"],
        "scans: mean FD above 0.5 mm, class SCHZ": ["sub-4.nii"],
        "scans: mean relative RMS above 0.5 mm, class SCHZ": ["sub-7.nii"],
        "scans: mean FD above 0.5 mm, without label": ["sub-8.nii"],
    }
    assert found.others == [
        {"image": "sub-1_other.nii", "subject": "1"},
        *({"image": f"sub-{subject}.nii", "subject": subject} for subject in ("2", "4", "6", "7", "8")),
    ]
    assert (found.faults, found.allowed, found.denoising) == (["a fault"], ["unregistered scans"], "fix")
    # the cohort that was given is as it was
    assert len(cohort.records) == 7
    assert cohort.left_out == {"subjects: no scan": ["sub-10"]}


@pytest.mark.parametrize(
    ("count", "reason"), [(10, "scans: mean FD above 1 mm, class 0"), (11, "scans: mean FD above 1 mm")]
)
def test_numbers_of_a_regression_are_not_named(count: int, reason: str) -> None:
    cohort = Cohort([scan(str(n), 2.0 if n == 0 else 0.5, f"{n}.0") for n in range(count)])
    assert exclude_by_motion(cohort, 1.0).left_out == {reason: ["sub-0.nii"]}


@pytest.mark.parametrize(
    ("motions", "limit", "message"),
    [
        ([0.1], 0.0, "--max-mean-fd: found 0, expected a number of mm above 0"),
        ([0.1], float("nan"), "--max-mean-fd: found nan, expected"),
        ([None, None], 0.5, "the motion of none of 2 scans is known, expected confounds tables of fMRIPrep"),
        ([0.61234, 0.9], 0.5, r"all 2 scans with a label moved more than 0\.5 mm, the smallest motion is 0\.612 mm"),
    ],
)
def test_limits_that_make_no_sense_are_refused(motions: list[float | None], limit: float, message: str) -> None:
    cohort = Cohort([scan(str(number), motion, "F") for number, motion in enumerate(motions)])
    with pytest.raises(DatalistError, match=message):
        exclude_by_motion(cohort, limit)
