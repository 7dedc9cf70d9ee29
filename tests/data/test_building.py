from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_tff.data.building import NO_SECTION, NOT_PRETRAINED, build_datalist, build_datalists
from monai_tff.data.cohorts import Cohort, read_bids
from monai_tff.data.content import content_hash
from monai_tff.data.datalist import KEYS, load_datalist, load_records, write_datalist
from monai_tff.data.records import RECORD_KEYS
from monai_tff.data.split_plan import SplitPlan
from monai_tff.data.splits import SECTIONS, split_hash
from monai_tff.errors import DatalistError

NUM_SUBJECTS = 12


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A BIDS tree of 12 subjects, two sessions each; masks beside the first session's scans."""
    root = tmp_path / "my study"
    rows = ["participant_id\tsex\tage\tdiagnosis\tsite"]
    affine = np.diag([3.0, 3, 3, 1])
    mask = nib.Nifti1Image(np.ones((7, 8, 9), np.uint8), affine)
    for number in range(NUM_SUBJECTS):
        subject = f"{number:02d}"
        diagnosis = ("ADHD", "CONTROL", "SCHZ")[number % 3]
        rows.append(f"sub-{subject}\t{'FM'[number % 2]}\t{20 + number}\t{diagnosis}\t{'ABC'[number // 4]}")
        for session in "12":
            stem = root / f"sub-{subject}" / f"ses-{session}" / "func" / f"sub-{subject}_ses-{session}_task-rest"
            stem.parent.mkdir(parents=True)
            values = np.full((7, 8, 9, 3), 10 * number + int(session), np.int16)
            image = nib.Nifti1Image(values, affine)
            image.header.set_zooms((3, 3, 3, 2.0))
            nib.save(image, f"{stem}_bold.nii.gz")
            if session == "1":
                nib.save(mask, f"{stem}_desc-brain_mask.nii.gz")
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    return root


def build(root: Path, target: str = "sex", *, plan: SplitPlan | None = None, **options: Any) -> dict[str, Any]:
    return build_datalist(read_bids(root, target), target, dataset_dir=root, plan=plan, **options)


def everything(datalist: dict[str, Any]) -> list[dict[str, Any]]:
    return [record for section in SECTIONS for record in datalist[section]]


def scan_of(root: Path, subject: str, session: str) -> Path:
    return next(root.glob(f"sub-{subject}/ses-{session}/func/*_bold.nii.gz"))


def test_a_derivative_has_the_name_of_its_dataset(root: Path) -> None:
    # subjects are compared between cohorts of one name, and every pipeline is called alike
    derivative = root / "derivatives" / "fmriprep"
    shutil.copytree(root, derivative, ignore=shutil.ignore_patterns("derivatives"))
    assert build(derivative)["name"] == "my study"
    assert build(derivative, name="mine")["name"] == "mine"


def test_a_datalist_has_its_facts(root: Path) -> None:
    datalist = build(root, plan=SplitPlan(seed=3, ratios=(0.5, 0.25, 0.25)))
    assert tuple(datalist) == KEYS
    assert datalist["name"] == "my study"
    assert datalist["target"] == {"name": "sex", "kind": "binary", "class_names": ["F", "M"]}
    assert datalist["grid"] == {
        "shape": [7, 8, 9],
        "voxel_size": [3.0, 3.0, 3.0],
        "axis_codes": "RAS",
        "repetition_time": 2.0,
        "frames": [3, 3],
        "counts": {},
    }
    assert datalist["split"] == {
        "scheme": "single",
        "seed": 3,
        "ratios": [0.5, 0.25, 0.25],
        "stratified_by": "sex",
        "groups": {"training": 6, "validation": 3, "test": 3},
        "hash": split_hash(datalist),
    }
    assert (datalist["denoising"], datalist["allowed"], datalist["excluded"], datalist["faults"]) == (
        "none",
        [],
        {},
        [],
    )
    assert [len(datalist[section]) for section in SECTIONS] == [12, 6, 6]
    assert datalist["unlabelled"] == datalist["others"] == []
    first, second = datalist["test"][:2]
    assert tuple(first) == RECORD_KEYS
    stem = f"sub-{first['subject']}/ses-1/func/sub-{first['subject']}_ses-1_task-rest"
    assert (first["image"], first["mask"]) == (f"{stem}_bold.nii.gz", f"{stem}_desc-brain_mask.nii.gz")
    assert (first["tr"], first["label"]) == (2.0, "FM"[int(first["subject"]) % 2])
    assert first["content"] == content_hash(root / first["image"])
    assert (second["subject"], second["session"], second["mask"]) == (first["subject"], "2", None)


def test_building_twice_gives_the_same_and_leaves_the_records_alone(root: Path) -> None:
    cohort = read_bids(root, "age")
    before = json.dumps(list(cohort.records))
    first = build_datalist(cohort, "age", dataset_dir=root)
    reversed_ = dataclasses.replace(cohort, records=cohort.records[::-1])
    assert first == build_datalist(reversed_, "age", dataset_dir=root)
    assert json.dumps(list(cohort.records)) == before
    assert first["target"] == {"name": "age", "kind": "regression", "class_names": []}
    assert sorted({record["label"] for record in everything(first)}) == [20.0 + n for n in range(NUM_SUBJECTS)]


def test_other_classes_are_left_out_and_counted(root: Path) -> None:
    datalist = build(root, "diagnosis", classes=["SCHZ", "CONTROL"])
    assert datalist["target"]["class_names"] == ["SCHZ", "CONTROL"]
    assert datalist["excluded"] == {"scans: other classes": 8}
    assert len(everything(datalist)) == 16
    assert datalist["unlabelled"] == []
    # their subjects take no part, so that no weights will have seen them
    assert datalist["others"] == []


def test_scans_of_other_classes_and_without_label_may_join_the_pretraining(root: Path, tmp_path: Path) -> None:
    table = root / "participants.tsv"
    table.write_text(table.read_text().replace("sub-01\tM\t21\tCONTROL", "sub-01\tM\t21\tn/a"))
    datalist = build(root, "diagnosis", classes=["SCHZ", "CONTROL"], pretrain_unlabelled=True)
    joined = {record["subject"] for record in datalist["unlabelled"]}
    assert joined == {"00", "03", "06", "09", "01"}
    assert {record["label"] for record in datalist["unlabelled"]} == {None}
    path = tmp_path / "datalist.json"
    write_datalist(datalist, path)
    labelled = load_records(path, root, "training")
    both = load_records(path, root, "training", with_unlabelled=True)
    assert [record["label"] for record in both[len(labelled) :]] == [None] * 10
    assert both[: len(labelled)] == labelled
    assert len(load_records(path, root, "test", with_unlabelled=False)) == len(datalist["test"])


def test_a_session_without_label_of_a_test_subject_stays_out_of_the_pretraining(root: Path) -> None:
    (root / "participants.tsv").unlink()
    rows = ["participant_id\tsession_id\tcdr"]
    rows += [f"{n:02d}\t{s}\t{n % 2 if s == 1 else 'n/a'}" for n in range(NUM_SUBJECTS) for s in (1, 2)]
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    datalist = build(root, "cdr", pretrain_unlabelled=True, plan=SplitPlan(ratios=(0.5, 0.25, 0.25)))
    held_out = {record["subject"] for section in ("validation", "test") for record in datalist[section]}
    assert {record["subject"] for record in datalist["unlabelled"]} == {
        f"{n:02d}" for n in range(NUM_SUBJECTS)
    } - held_out
    assert datalist["excluded"][NOT_PRETRAINED] == len(held_out) == 6
    # nobody trains on them, but they are scans of subjects that take part
    assert {scan["subject"] for scan in datalist["others"]} == held_out
    assert all(len(scan["content"]) == 64 for scan in datalist["others"])


def test_scans_that_are_not_asked_for_are_hashed_too(root: Path) -> None:
    datalist = build_datalist(read_bids(root, "sex", session="1"), "sex", dataset_dir=root)
    assert {scan["subject"] for scan in datalist["others"]} == {f"{n:02d}" for n in range(NUM_SUBJECTS)}
    for scan in datalist["others"]:
        assert "_ses-2_" in scan["image"]
        assert scan["content"] == content_hash(root / scan["image"])


def test_what_the_reader_left_out_is_counted(root: Path) -> None:
    with open(root / "participants.tsv", "a") as table:
        table.write("sub-77\tF\t40\tADHD\tA\nsub-78\tM\t41\tADHD\tA\n")
    assert build(root)["excluded"] == {"subjects: no scan": 2}


def test_a_cohort_of_one_class_is_refused(root: Path) -> None:
    text = (root / "participants.tsv").read_text()
    (root / "participants.tsv").write_text(text.replace("\tM\t", "\tF\t"))
    with pytest.raises(DatalistError, match=r"target 'sex': all scans that can be used are of one class \(F: 24\)"):
        build(root)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: nib.save(nib.Nifti1Image(np.ones((7, 8, 9), np.int16), np.eye(4)), path), "is 3D with shape"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "truncated or damaged"),
        (lambda path: path.write_bytes(b"no scan"), "the header cannot be read"),
    ],
)
def test_a_scan_that_cannot_be_used_is_left_out_with_its_reason(root: Path, damage: Any, message: str) -> None:
    damage(scan_of(root, "04", "2"))
    datalist = build(root)
    assert len(everything(datalist)) == 2 * NUM_SUBJECTS - 1
    (fault,) = datalist["faults"]
    assert "sub-04_ses-2_task-rest_bold.nii.gz" in fault
    assert message in fault


def test_a_cohort_without_a_readable_scan_is_refused(root: Path) -> None:
    for path in root.rglob("*_bold.nii.gz"):
        path.write_bytes(b"")
    with pytest.raises(DatalistError, match=r"none of 24 scans can be used; the first: .*_bold\.nii\.gz"):
        build(root)


def test_the_same_voxels_under_two_subjects_are_refused_by_name(root: Path) -> None:
    shutil.copy(scan_of(root, "03", "1"), scan_of(root, "08", "2"))
    with pytest.raises(DatalistError, match=r"same content, '\S*sub-03\S*' of subject '03' and '\S*sub-08\S*'"):
        build(root)
    assert len(everything(build(root, content=False))) == 2 * NUM_SUBJECTS


def test_a_copy_in_a_scan_that_is_not_used_is_refused_too(root: Path) -> None:
    shutil.copy(scan_of(root, "03", "1"), scan_of(root, "08", "2"))
    cohort = read_bids(root, "sex", session="1")
    with pytest.raises(DatalistError, match=r"sub-03\S* of subject 03 and \S*sub-08\S* of subject 08: have the same"):
        build_datalist(cohort, "sex", dataset_dir=root)


def test_two_names_in_one_family_are_refused(root: Path) -> None:
    shutil.copy(scan_of(root, "03", "1"), scan_of(root, "08", "2"))
    records = [
        {**record, "group": "family" if record["subject"] in ("03", "08") else record["group"]}
        for record in read_bids(root, "sex").records
    ]
    with pytest.raises(DatalistError, match=r"of subject 03 and .* of subject 08: have the same voxels"):
        build_datalist(Cohort(records), "sex", dataset_dir=root)


def test_unlabelled_scans_of_the_held_out_site_stay_out(root: Path) -> None:
    cohort = read_bids(root, "diagnosis")
    plan = SplitPlan(leave_one_site_out=True)
    options = {"classes": ["SCHZ", "CONTROL"], "pretrain_unlabelled": True}
    for datalist in build_datalists(cohort, "diagnosis", dataset_dir=root, plan=plan, **options):
        site = datalist["split"]["held_out_site"]
        assert datalist["unlabelled"]
        assert site not in {record["site"] for record in datalist["unlabelled"]}


def test_without_reading_voxels_no_content_is_known(root: Path) -> None:
    assert {record["content"] for record in everything(build(root, content=False))} == {None}


@pytest.mark.parametrize(
    ("plan", "number"), [(SplitPlan(folds=3, repeats=2), 6), (SplitPlan(folds=4), 4), (SplitPlan(folds=3, seed=5), 3)]
)
def test_each_fold_is_a_datalist(root: Path, tmp_path: Path, plan: SplitPlan, number: int) -> None:
    datalists = build_datalists(read_bids(root, "sex"), "sex", dataset_dir=root, plan=plan)
    assert len(datalists) == number
    tested = [record["image"] for datalist in datalists for record in datalist["test"]]
    assert len(tested) == 2 * NUM_SUBJECTS * plan.repeats
    assert len({datalist["split"]["hash"] for datalist in datalists}) == number
    for index, datalist in enumerate(datalists):
        write_datalist(datalist, tmp_path / f"{index}.json")
        assert load_datalist(tmp_path / f"{index}.json") == datalist


def test_one_site_is_left_out_at_a_time(root: Path) -> None:
    cohort = read_bids(root, "sex")
    for record in cohort.records:
        if record["subject"] == "11" and record["session"] == "2":
            record["site"] = "A"
    plan = SplitPlan(leave_one_site_out=True)
    datalists = build_datalists(cohort, "sex", dataset_dir=root, plan=plan)
    assert [{record["site"] for record in datalist["test"]} for datalist in datalists] == [{"A"}, {"B"}, {"C"}]
    assert datalists[0]["excluded"] == {NO_SECTION: 1}
    assert [scan["image"] for scan in datalists[0]["others"]] == [str(scan_of(root, "11", "1").relative_to(root))]


def test_a_published_split_is_kept(root: Path) -> None:
    assignment = {f"{n:02d}": ("training", "validation", "test")[min(n // 4, 2)] for n in range(NUM_SUBJECTS - 1)}
    datalist = build(root, plan=SplitPlan(assignment=assignment))
    assert {record["subject"]: section for section in SECTIONS for record in datalist[section]} == assignment
    assert datalist["excluded"] == {NO_SECTION: 2}
    assert datalist["split"]["scheme"] == "given"


def test_sessions_of_one_subject_in_two_groups_are_refused(root: Path) -> None:
    records = [{**record, "group": f"group-{i}"} for i, record in enumerate(read_bids(root, "sex").records)]
    with pytest.raises(DatalistError, match=r"subject '00' is in both group 'group-0' and group 'group-1'"):
        build_datalist(Cohort(records), "sex", dataset_dir=root)
