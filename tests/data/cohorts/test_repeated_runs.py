from __future__ import annotations

from pathlib import Path

import pytest

from monai_tff.data.cohorts.repeated_runs import runs_once
from monai_tff.errors import DatalistError


def test_runs_that_are_there_once_are_kept_and_the_others_named() -> None:
    once, faults = runs_once(Path("cohort"), [["a.nii"], ["b.nii", "b.nii.gz"], ["c.nii"]])
    assert once == ["a.nii", "c.nii"]
    assert faults == ["b.nii and b.nii.gz: are the same run, expected one file; remove the copy."]


def test_a_folder_that_holds_every_run_twice_is_refused() -> None:
    with pytest.raises(
        DatalistError, match=r"cohort: every run is there twice; b\.nii and b\.nii\.gz: are the same run"
    ):
        runs_once(Path("cohort"), [["b.nii", "b.nii.gz"]])
