from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_tff.contract import Target
from monai_tff.data.building import build_datalist
from monai_tff.data.cohorts import read_bids
from monai_tff.data.datalist import (
    load_datalist,
    load_records,
    refuse_existing,
    target_of,
    write_datalist,
)
from monai_tff.data.split_plan import SplitPlan
from monai_tff.data.splits import DEFAULT_RATIOS, SECTIONS, split_hash
from monai_tff.errors import DatalistError

REAL = Path(__file__).parents[2] / ".." / "shared" / "realdata"
needs_real_scans = pytest.mark.skipif(
    not REAL.exists(), reason="the real scans of ../shared/realdata are not beside the project"
)


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """A BIDS tree of 12 subjects, two sessions each; masks beside the first session's scans."""
    root = tmp_path / "my study"
    rows = ["participant_id\tsex\tage\tdiagnosis"]
    affine = np.diag([3.0, 3, 3, 1])
    mask = nib.Nifti1Image(np.ones((7, 8, 9), np.uint8), affine)
    for number in range(12):
        subject = f"{number:02d}"
        rows.append(f"sub-{subject}\t{'FM'[number % 2]}\t{20 + number}\t{('ADHD', 'CONTROL', 'SCHZ')[number % 3]}")
        for session in "12":
            stem = root / f"sub-{subject}" / f"ses-{session}" / "func" / f"sub-{subject}_ses-{session}_task-rest"
            stem.parent.mkdir(parents=True)
            scan = nib.Nifti1Image(np.full((7, 8, 9, 3), 10 * number + int(session), np.int16), affine)
            scan.header.set_zooms((3, 3, 3, 2.0))
            nib.save(scan, f"{stem}_bold.nii.gz")
            if session == "1":
                nib.save(mask, f"{stem}_desc-brain_mask.nii.gz")
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    return root


def build(cohort: Path, target: str = "sex", ratios: tuple[float, ...] = DEFAULT_RATIOS) -> dict[str, Any]:
    return build_datalist(read_bids(cohort, target), target, dataset_dir=cohort, plan=SplitPlan(ratios=ratios))


@pytest.fixture
def path(cohort: Path) -> Path:
    write_datalist(build(cohort), cohort.parent / "datalist.json")
    return cohort.parent / "datalist.json"


def edit(path: Path, change: Callable[[dict[str, Any]], object], *, rehash: bool = False) -> Path:
    content = json.loads(path.read_text())
    change(content)
    if rehash:
        content["split"]["hash"] = split_hash(content)
    path.write_text(json.dumps(content))
    return path


def test_writing_is_whole_and_never_silent(cohort: Path, tmp_path: Path) -> None:
    datalist = build(cohort)
    path = tmp_path / "new" / "folder" / "datalist.json"
    write_datalist(datalist, path)
    assert load_datalist(path) == datalist
    assert [entry.name for entry in path.parent.iterdir()] == ["datalist.json"]
    with pytest.raises(DatalistError, match=r"datalist\.json: exists already, expected a new file"):
        write_datalist(datalist, path)
    write_datalist({**datalist, "name": "other"}, path, overwrite=True)
    assert load_datalist(path)["name"] == "other"
    with pytest.raises(DatalistError, match="folder: is a folder, expected the name of a JSON file"):
        refuse_existing(path.parent, overwrite=True)


def test_a_failed_write_leaves_the_old_file_and_no_other(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(ValueError, match="Out of range float"):
        write_datalist({**json.loads(before), "name": float("nan")}, path, overwrite=True)
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".*"))


def test_a_place_that_cannot_be_written_to_is_named(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatalistError, match=r"file/datalist\.json: cannot be written \(.*\), expected a folder"):
        write_datalist({}, tmp_path / "file" / "datalist.json")


@pytest.mark.parametrize(
    ("target", "kind", "encoded"),
    [
        ("sex", "binary", lambda number: float(number % 2)),
        ("diagnosis", "multiclass", lambda number: (1, 0, 2)[number % 3]),
        ("age", "regression", lambda number: 20.0 + number),
    ],
)
def test_records_are_ready_for_a_dataset(
    cohort: Path, tmp_path: Path, target: str, kind: str, encoded: Callable[[int], float]
) -> None:
    path = tmp_path / "datalist.json"
    write_datalist(build(cohort, target), path)
    assert target_of(path).kind == kind
    found = [record for section in SECTIONS for record in load_records(path, cohort, section)]
    assert len(found) == 24
    for record in found:
        number = int(record["subject"])
        assert record["label"] == encoded(number)
        assert type(record["label"]) is type(encoded(number))
        assert record["image"] == str(cohort / record["scan"])
        assert os.path.isabs(record["image"])
        if record["session"] == "1":
            assert record["mask"] == record["image"].replace("_bold", "_desc-brain_mask")
        else:
            assert record["mask"] is None


def test_words_that_are_also_names_of_files_stay_words(
    cohort: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = json.loads(path.read_text())["training"][0]
    for name in (record["subject"], record["task"], "F", "M"):
        (cohort / name).mkdir()
    monkeypatch.chdir(cohort.parent)
    loaded = load_records(path.name, cohort.name)[0]
    assert {key: loaded[key] for key in ("group", "subject", "task")} == {
        "group": f"sub-{record['subject']}",  # a folder of that name is there too
        "subject": record["subject"],
        "task": "rest",
    }
    assert os.path.isfile(loaded["image"])
    assert os.path.isabs(loaded["image"])


def test_target_of_a_datalist(path: Path) -> None:
    assert target_of(path) == Target("sex", "binary", ("F", "M"))


def test_missing_files_are_named_and_counted(cohort: Path, path: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DatalistError, match=r"datalist\.json: 24 of 24 files do not exist, the first is .*set dataset_dir"
    ):
        load_records(path, tmp_path / "elsewhere", "training")
    record = json.loads(path.read_text())["test"][1]
    (cohort / record["image"]).unlink()
    with pytest.raises(DatalistError, match=rf"1 of 6 files do not exist, the first is .*/{record['image']}, expected"):
        load_records(path, cohort, "test")
    load_records(path, cohort, "validation")


def test_sections_that_are_missing_or_empty_are_refused(cohort: Path, tmp_path: Path) -> None:
    path = tmp_path / "datalist.json"
    write_datalist(build(cohort, ratios=(0, 0, 1)), path)
    with pytest.raises(DatalistError, match=r"datalist\.json: the section 'training' is empty, expected records"):
        load_records(path, cohort, "training")
    with pytest.raises(DatalistError, match=r"has no section 'valid', expected one of training, validation, test"):
        load_records(path, cohort, "valid")
    assert len(load_records(path, cohort, "test")) == 24


def test_a_file_that_is_no_datalist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "datalist.json"
    with pytest.raises(DatalistError, match=r"datalist\.json: cannot be read \(No such file .*\), expected a datalist"):
        load_datalist(path)
    path.write_text('{"name": "a"')
    with pytest.raises(DatalistError, match=r"datalist\.json: is not JSON \(.*\), expected a datalist"):
        load_datalist(path)
    path.write_bytes(bytes(range(128, 256)))
    with pytest.raises(DatalistError, match=r"datalist\.json: is not JSON"):
        load_datalist(path)
    path.write_text("[]")
    with pytest.raises(DatalistError, match="holds a JSON list, expected the object of a datalist"):
        load_datalist(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("split"), "has no key 'split', expected name, target"),
        (lambda c: c.pop("test"), "has no key 'test'"),
        (lambda c: c.update(target="sex"), "'target' is str, expected an object"),
        (lambda c: c["target"].update(kind="ordinal"), "'target' is .*ordinal.* expected name, kind and class_names"),
        (lambda c: c["target"].update(unit="years"), "'target' is .*unit.* expected name, kind and class_names"),
        (lambda c: c.update(test={}), "record 0 of 'test' has no 'image', expected the keys image, subject"),
        (lambda c: c["test"][1].pop("group"), "record 1 of 'test' has no 'group'"),
        (
            lambda c: c["test"][0].update(subject=7),
            "record 0 of 'test' has an image, subject or group that is not text",
        ),
        (lambda c: c["training"].pop(), "was edited: the records do not match the hash of the split"),
        (lambda c: c["training"][0].update(group="sub-other"), "was edited"),
        (lambda c: c["split"].pop("hash"), "was edited"),
        (lambda c: c["training"][0].update(label={"F": "M", "M": "F"}[c["training"][0]["label"]]), "was edited"),
        (lambda c: c["training"][0].update(content="0" * 64), "was edited"),
        (lambda c: c.pop("unlabelled"), "has no key 'unlabelled'"),
        (lambda c: c["test"][0].pop("label"), r"'sub-.*_bold\.nii\.gz' in 'test' has no label, expected one of F, M"),
        (lambda c: c["test"][0].update(label=None), "in 'test' has no label, expected one of F, M"),
        (lambda c: c["validation"][2].update(label="X"), "in 'validation' has the label 'X', expected one of F, M"),
        (
            lambda c: [r.update(label="M") for r in c["training"]],
            "all training records are of class 'M', expected each of",
        ),
    ],
)
def test_damaged_datalists_are_refused(path: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    with pytest.raises(DatalistError, match=rf"datalist\.json: .*{message}"):
        load_datalist(edit(path, change))


@pytest.mark.parametrize("label", [None, "36+", float("nan"), True])
def test_a_number_is_wanted_for_a_regression(cohort: Path, tmp_path: Path, label: object) -> None:
    path = tmp_path / "datalist.json"
    write_datalist(build(cohort, "age"), path)
    with pytest.raises(DatalistError, match=r"in 'training' has (no|the) label.*expected a number"):
        load_datalist(edit(path, lambda content: content["training"][0].update(label=label)))


def test_overlap_is_refused_on_load_even_with_a_right_hash(path: Path) -> None:
    edit(path, lambda content: content["test"].append(content["training"][0]), rehash=True)
    with pytest.raises(DatalistError, match=r"datalist\.json: image '\S+' is in both training and test"):
        load_datalist(path)


@needs_real_scans
def test_real_cohort(tmp_path: Path) -> None:
    for target, kind in (("sex", "binary"), ("age", "regression")):
        path = tmp_path / f"{target}.json"
        write_datalist(build(REAL / "rest20", target), path)
        datalist = load_datalist(path)
        assert datalist["target"]["kind"] == kind
        assert datalist["grid"]["shape"] == [17, 20, 17]
        assert datalist["grid"]["repetition_time"] == 2.0
        assert datalist["grid"]["frames"] == [148, 148]
        assert [len(load_records(path, REAL / "rest20", section)) for section in SECTIONS] == [14, 3, 3]


@needs_real_scans
def test_real_cohort_of_one_subject_is_refused() -> None:
    with pytest.raises(DatalistError, match=r"target 'sex': all scans that can be used are of one class \(M: 1\)"):
        build(REAL / "ds005_truncated")
