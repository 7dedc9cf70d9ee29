from __future__ import annotations

import pytest

from monai_tff.data.cohorts import Cohort
from monai_tff.data.cohorts.exclusion import REASON, exclude_by_hand
from monai_tff.data.records import make_record
from monai_tff.errors import DatalistError


def cohort() -> Cohort:
    records = [
        make_record(f"sub-{subject}/sub-{subject}_run-{run}_bold.nii", subject, f"sub-{subject}", label, run=run)
        for subject, label in (("01", "F"), ("02", "M"), ("03", None))
        for run in "12"
    ]
    labelled = [record for record in records if record["label"] is not None]
    unlabelled = [record for record in records if record["label"] is None]
    return Cohort(labelled, unlabelled=unlabelled, left_out={"subjects: no scan": ["sub-9"]})


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["01"], ["02/1", "02/2", "03/1", "03/2"]),
        (["sub-03"], ["01/1", "01/2", "02/1", "02/2"]),
        (["*run-2*"], ["01/1", "02/1", "03/1"]),
        (["sub-02/sub-02_run-1_bold.nii", "sub-03*"], ["01/1", "01/2", "02/2"]),
    ],
)
def test_subjects_and_paths_are_left_out_and_remembered(patterns: list[str], left: list[str]) -> None:
    before, after = cohort(), exclude_by_hand(cohort(), patterns)
    kept = [*after.records, *after.unlabelled]
    assert [f"{record['subject']}/{record['run']}" for record in kept] == left
    images = {record["image"] for record in (*before.records, *before.unlabelled)}
    dropped = images - {record["image"] for record in kept}
    assert after.left_out == {"subjects: no scan": ["sub-9"], REASON: sorted(dropped)}
    assert {scan["image"] for scan in after.others} == dropped


def test_a_pattern_that_fits_nothing_is_refused() -> None:
    with pytest.raises(DatalistError, match="exclude '04': fits no subject and no path of 6 scans"):
        exclude_by_hand(cohort(), ["01", "04"])


def test_something_must_be_left() -> None:
    with pytest.raises(DatalistError, match="none of 4 scans with a label is left"):
        exclude_by_hand(cohort(), ["*"])
