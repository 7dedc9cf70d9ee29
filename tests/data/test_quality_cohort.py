"""Findings that only a cohort shows: other grids, places, orientations, lengths and times, and the same data twice."""

from __future__ import annotations

import dataclasses
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_tff.contract import InputContract
from monai_tff.data.header import ScanHeader, voxel_size_of
from monai_tff.data.quality_cohort import CheckedScan, find_all
from monai_tff.data.quality_facts import ScanFacts
from monai_tff.data.quality_findings import MUST_FIX, NOTE, Expectations, Finding

AFFINE = np.array([[-2.0, 0, 0, 6], [0, 3.0, 0, -12], [0, 0, 4.0, -16], [0, 0, 0, 1]])
CONTRACT = InputContract(spatial_size=(7, 8, 9), window_length=5)


def header(affine: np.ndarray = AFFINE, shape: tuple[int, ...] = (7, 8, 9), frames: int = 30) -> ScanHeader:
    codes = "".join(nib.orientations.aff2axcodes(affine))
    dtype = np.dtype("<i2")
    return ScanHeader((*shape, frames), voxel_size_of(affine), codes, 2.0, 1.0, 0.0, dtype, affine)  # type: ignore[arg-type]


def cohort(changes: dict[int, dict[str, Any]] | None = None, count: int = 6) -> list[CheckedScan]:
    """Scans of as many subjects, alternately in training and test; changes by number: record, facts or section."""
    scans = []
    for number in range(count):
        change = (changes or {}).get(number, {})
        facts = ScanFacts(
            header=change.get("header", header()),
            header_repetition_time=change.get("seconds", 2.0),
            content=change.get("content", f"{number:064d}"),
            mean=500.0,
            std=50.0,
            minimum=1.0,
            maximum=900.0,
            zero_voxels=252,
        )
        record = {"image": f"sub-{number}_bold.nii", "subject": change.get("subject", str(number)), "tr": None}
        scans.append(CheckedScan(change.get("section", ("training", "test")[number % 2]), record, facts))
    return scans


def found(scans: list[CheckedScan], **expected: Any) -> list[tuple[str, str, str]]:
    return [(f.level, f.kind, f.image) for f in find_all(scans, Expectations(**expected))]


def shifted(millimetres: float) -> np.ndarray:
    affine = AFFINE.copy()
    affine[0, 3] += millimetres
    return affine


def reordered(codes: str) -> ScanHeader:
    """The same grid at the same place, stored in another order of axes."""
    wanted = nib.orientations.axcodes2ornt(codes)
    transform = nib.orientations.ornt_transform(nib.orientations.io_orientation(AFFINE), wanted)
    image = nib.Nifti1Image(np.zeros((7, 8, 9), np.uint8), AFFINE).as_reoriented(transform)
    return header(image.affine, image.shape)


def test_a_cohort_of_one_kind_has_no_finding() -> None:
    assert found(cohort()) == []
    assert found(cohort(), contract=CONTRACT) == []
    assert found(cohort({number: {"header": None, "content": None} for number in range(6)})) == []


@pytest.mark.parametrize(
    "other", [header(shape=(7, 8, 10)), header(np.diag([-2.0, 3.0, 4.5, 1.0])), header(shape=(8, 7, 9))]
)
def test_another_grid_than_the_majority_s_must_be_fixed(other: ScanHeader) -> None:
    assert found(cohort({4: {"header": other}})) == [(MUST_FIX, "other grid", "sub-4_bold.nii")]


def test_a_contract_that_states_the_grid_speaks_alone() -> None:
    scans = cohort({4: {"header": header(shape=(7, 8, 10))}})
    whole = dataclasses.replace(CONTRACT, voxel_size=(2.0, 3.0, 4.0))
    assert found(scans, contract=whole) == [(MUST_FIX, "grid", "sub-4_bold.nii")]
    larger = cohort({4: {"header": header(np.diag([-2.0, 3.0, 4.5, 1.0]))}})
    assert found(larger, contract=CONTRACT) == [(NOTE, "other grid", "sub-4_bold.nii")]


@pytest.mark.parametrize("codes", ["RAS", "PSR", "LPI"])
def test_another_order_of_axes_is_the_same_grid(codes: str) -> None:
    scans = cohort({1: {"header": reordered(codes)}})
    assert found(scans) == [(NOTE, "orientation", "sub-1_bold.nii")]
    assert found(scans, contract=CONTRACT) == [(NOTE, "orientation", "sub-1_bold.nii")]


def test_another_order_of_axes_must_be_fixed_where_the_stored_order_is_kept() -> None:
    stored = dataclasses.replace(CONTRACT, axis_codes=None)
    assert found(cohort({1: {"header": reordered("RAS")}}), contract=stored) == [
        (MUST_FIX, "orientation", "sub-1_bold.nii")
    ]


def test_a_grid_at_another_place_is_noted() -> None:
    assert found(cohort({2: {"header": header(shifted(1.5))}})) == []
    assert found(cohort({2: {"header": header(shifted(5.0))}})) == [(NOTE, "other place", "sub-2_bold.nii")]


def test_scans_in_no_common_space_are_one_finding() -> None:
    scans = cohort({number: {"header": header(shifted(10.0 * number))} for number in range(6)})
    assert found(scans) == [(NOTE, "no common space", "")]


@pytest.mark.parametrize(("frames", "kinds"), [(24, []), (23, ["unusual length"]), (37, []), (38, ["unusual length"])])
def test_unusual_lengths_are_noted(frames: int, kinds: list[str]) -> None:
    assert [kind for _, kind, _ in found(cohort({3: {"header": header(frames=frames)}}))] == kinds


def test_another_repetition_time_is_noted_unless_a_contract_speaks() -> None:
    scans = cohort({3: {"seconds": 2.2}})
    assert found(scans) == [(NOTE, "other TR", "sub-3_bold.nii")]
    assert [kind for _, kind, _ in found(scans, contract=CONTRACT)] == ["other TR"]
    timed = dataclasses.replace(CONTRACT, repetition_time=2.0, tr_policy="allow")
    assert found(scans, contract=timed) == []
    assert found(cohort({number: {"seconds": 2 + number / 10} for number in range(6)})) == [(NOTE, "several TRs", "")]


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({0: {"content": "c"}, 1: {"content": "c", "subject": "0"}}, MUST_FIX),  # one subject, two sections
        ({0: {"content": "c"}, 2: {"content": "c"}}, MUST_FIX),  # two subjects, one section
        ({0: {"content": "c"}, 1: {"content": "c", "section": "unlabelled"}}, MUST_FIX),
        ({0: {"content": "c"}, 2: {"content": "c", "subject": "0"}}, NOTE),
    ],
)
def test_the_same_voxels_twice(changes: dict[int, dict[str, Any]], level: str) -> None:
    numbers = sorted(changes)
    assert found(cohort(changes)) == [(level, "duplicate", f"sub-{number}_bold.nii") for number in numbers]


def test_a_duplicate_names_its_twin() -> None:
    findings: list[Finding] = find_all(cohort({1: {"content": "c"}, 4: {"content": "c"}}), Expectations())
    assert findings[1].sentence == (
        "holds the same voxels as sub-1_bold.nii (test, subject 1); remove one of the two and build the datalist again."
    )


def test_what_must_be_fixed_comes_first() -> None:
    scans = cohort({0: {"header": header(frames=9)}, 5: {"header": header(shape=(7, 8, 10))}})
    assert [level for level, _, _ in found(scans)] == [MUST_FIX, NOTE]
