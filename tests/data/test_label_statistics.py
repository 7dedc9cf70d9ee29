from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_tff.data.building import build_datalist
from monai_tff.data.cohorts import Cohort
from monai_tff.data.datalist import write_datalist
from monai_tff.data.label_statistics import class_weights, target_statistics
from monai_tff.data.records import make_record
from monai_tff.data.split_plan import SplitPlan
from monai_tff.data.splits import split_hash
from monai_tff.errors import DatalistError


def write(
    folder: Path, labels: dict[str, list[tuple[str, str, object]]], ratios: tuple[float, ...] = (1, 0, 0)
) -> Path:
    """A datalist from subject to (session, run, label); every image is the same file."""
    nib.save(nib.Nifti1Image(np.ones((3, 4, 5, 2), np.int16), np.eye(4)), folder / "template.nii")
    records: list[dict[str, Any]] = []
    for subject, scans in labels.items():
        for session, run, label in scans:
            image = f"sub-{subject}_ses-{session}_run-{run}_bold.nii"
            (folder / image).symlink_to(folder / "template.nii")
            records.append(make_record(image, subject, f"sub-{subject}", label, session=session, run=run))
    numeric = all(isinstance(record["label"], float) for record in records)
    kind = "regression" if numeric else None
    # the images are one file, which a comparison of contents would refuse
    options: dict[str, Any] = {"plan": SplitPlan(ratios=ratios), "kind": kind, "content": False}
    write_datalist(build_datalist(Cohort(records), "x", dataset_dir=folder, **options), folder / "datalist.json")
    return folder / "datalist.json"


def rewrite(path: Path, datalist: dict[str, Any]) -> None:
    """Writes an edited datalist with the hash of what it holds now."""
    datalist["split"]["hash"] = split_hash(datalist)
    path.write_text(json.dumps(datalist))


def test_every_subject_counts_once(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {
            "1": [("1", "1", 10.0)],
            "2": [("1", "1", 20.0), ("1", "2", 20.0), ("1", "3", 20.0), ("2", "1", 24.0)],  # sessions: 20 and 24
            "3": [("1", "1", 40.0), ("2", "1", 50.0)],
        },
    )
    mean, std = target_statistics(path)
    assert mean == pytest.approx((10 + 22 + 45) / 3)
    assert std == pytest.approx(np.std([10, 22, 45]))


def test_only_training_subjects_count(tmp_path: Path) -> None:
    labels = {str(number): [("1", "1", float(number))] for number in range(12)}
    path = write(tmp_path, labels, ratios=(0.5, 0.25, 0.25))
    before = target_statistics(path)
    datalist = json.loads(path.read_text())
    for section in ("validation", "test"):
        for record in datalist[section]:
            record["label"] = 1000.0
    rewrite(path, datalist)
    assert target_statistics(path) == before


def test_weight_of_the_positive_class(tmp_path: Path) -> None:
    labels = {str(number): [("1", "1", "F" if number < 6 else "M")] for number in range(8)}
    labels["0"] = [("1", str(run), "F") for run in range(5)]  # runs do not count
    assert class_weights(write(tmp_path, labels)) == pytest.approx(6 / 2)


def test_a_subject_of_two_classes_counts_in_parts(tmp_path: Path) -> None:
    labels = {"1": [("1", "1", "no")], "2": [("1", "1", "yes")], "3": [("1", "1", "no"), ("2", "1", "yes")]}
    labels["4"] = [("1", "1", "no")]
    assert class_weights(write(tmp_path, labels)) == pytest.approx(2.5 / 1.5)


def test_weights_of_several_classes(tmp_path: Path) -> None:
    labels = {str(number): [("1", "1", "AAABBC"[number])] for number in range(6)}
    weights = class_weights(write(tmp_path, labels))
    assert weights == pytest.approx([6 / 9, 6 / 6, 6 / 3])


def test_wrong_kind_of_target_is_refused(tmp_path: Path) -> None:
    for name in ("classes", "numbers"):
        (tmp_path / name).mkdir()
    classes = write(tmp_path / "classes", {"1": [("1", "1", "F")], "2": [("1", "1", "M")]})
    numbers = write(tmp_path / "numbers", {"1": [("1", "1", 3.0)], "2": [("1", "1", 4.0)]})
    with pytest.raises(DatalistError, match=r"datalist\.json: the target 'x' is binary, expected a regression"):
        target_statistics(classes)
    with pytest.raises(DatalistError, match=r"datalist\.json: the target 'x' is a regression, expected classes"):
        class_weights(numbers)


def test_training_labels_that_say_nothing_are_refused(tmp_path: Path) -> None:
    for name in ("constant", "empty", "absent"):
        (tmp_path / name).mkdir()
    constant = write(tmp_path / "constant", {str(number): [("1", "1", 3.5)] for number in range(3)})
    with pytest.raises(DatalistError, match=r"all 3 training subjects have the same x \(3\.5\)"):
        target_statistics(constant)
    empty = write(tmp_path / "empty", {"1": [("1", "1", "F")], "2": [("1", "1", "M")]}, ratios=(0, 0, 1))
    with pytest.raises(DatalistError, match="the section 'training' is empty"):
        class_weights(empty)
    absent = write(tmp_path / "absent", {str(number): [("1", "1", "ABC"[number])] for number in range(3)})
    rewrite(absent, json.loads(absent.read_text().replace('"label": "C"', '"label": "B"')))
    with pytest.raises(DatalistError, match="no training subject is of class 'C', expected each class"):
        class_weights(absent)
