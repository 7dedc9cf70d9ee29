from __future__ import annotations

import dataclasses

import pytest
import torch

from monai_tff.data.scan import CompactScan
from monai_tff.errors import DatalistError
from monai_tff.explain.explained_run import check_grid, choose_subjects

RECORDS = [
    {"subject": f"{number:02}", "scan": f"{number:02}_{run}.nii", "label": float(number % 3 == 0)}
    for number in range(12)
    for run in (1, 2)
]


def test_subjects_are_drawn_evenly_from_the_classes_in_an_order_that_grows():
    chosen = choose_subjects(RECORDS, 6, seed=1, by_class=True)
    assert [subject.label for subject in chosen] == [0, 1, 0, 1, 0, 1]
    assert all(len(subject.records) == 2 for subject in chosen)
    assert choose_subjects(RECORDS[::-1], 6, seed=1, by_class=True) == chosen
    assert choose_subjects(RECORDS, 9, seed=1, by_class=True)[:6] == chosen
    assert choose_subjects(RECORDS, 6, seed=2, by_class=True) != chosen
    everyone = choose_subjects(RECORDS, 99, seed=1, by_class=True)
    assert sorted(subject.subject for subject in everyone) == [f"{number:02}" for number in range(12)]
    assert sum(subject.label for subject in everyone[:8]) == 4


def test_scans_that_lie_elsewhere_are_refused():
    frames = torch.randint(1, 900, (5, 7, 8, 9)).float()
    first = CompactScan.from_frames(frames, torch.ones(7, 8, 9, dtype=torch.bool), affine=torch.eye(4), source="a.nii")
    check_grid(first, first)
    moved = torch.eye(4, dtype=torch.float64)
    moved[0, 3] = 2.5
    with pytest.raises(DatalistError, match=r"b.nii: its grid lies elsewhere than that of a.nii .* 2.5 mm"):
        check_grid(first, dataclasses.replace(first, affine=moved, source="b.nii"))
