"""What the facts of a scan mean: the level, the kind, and what to do."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from monai_tff.contract import InputContract
from monai_tff.data.header import ScanHeader
from monai_tff.data.quality_facts import ScanFacts
from monai_tff.data.quality_findings import MUST_FIX, NOTE, Expectations, scan_findings

HEADER = ScanHeader(
    shape=(7, 8, 9, 30),
    voxel_size=(2.0, 3.0, 4.0),
    axis_codes="LAS",
    repetition_time=2.0,
    slope=1.0,
    intercept=0.0,
    dtype=np.dtype("<i2"),
    affine=np.diag([-2.0, 3.0, 4.0, 1.0]),
)
GOOD = ScanFacts(
    header=HEADER,
    header_repetition_time=2.0,
    content="a" * 64,
    background_fraction=0.5,
    zero_voxels=252,
    constant_voxels=0,
    not_finite=0,
    minimum=100.0,
    maximum=900.0,
    mean=500.0,
    std=50.0,
    negative_fraction=0.0,
    saturated_fraction=0.0,
    empty_frames=0,
    repeated_frames=0,
    frames_before_steady_state=0,
)
MASKED = dataclasses.replace(GOOD, mask="m.nii", mask_voxels=200, mask_zero_voxels=0, mask_constant_voxels=0)
RECORD: dict[str, Any] = {"image": "sub-1_bold.nii", "tr": 2.0, "content": None}
CONTRACT = InputContract(spatial_size=(7, 6, 9), window_length=20, crop=(None, (1, -1), None), trim=3)


def said(facts: ScanFacts, record: dict[str, Any] | None = None, **expected: Any) -> dict[tuple[str, str], str]:
    found = scan_findings(RECORD | (record or {}), facts, Expectations(**expected))
    assert all(sentence.endswith(".") and "\n" not in sentence for _, _, sentence in found)
    return {(level, kind): sentence for level, kind, sentence in found}


@pytest.mark.parametrize("facts", [GOOD, MASKED])
def test_a_good_scan_gives_no_finding(facts: ScanFacts) -> None:
    assert said(facts) == {}
    assert said(facts, contract=CONTRACT, trim=3, window_length=20) == {}


@pytest.mark.parametrize("facts", [GOOD, MASKED])
def test_the_scale_of_intensities_is_no_finding(facts: ScanFacts) -> None:
    scaled = {name: 30 * getattr(facts, name) for name in ("minimum", "maximum", "mean", "std")}
    assert said(dataclasses.replace(facts, **scaled)) == {}


@pytest.mark.parametrize(
    ("changes", "record", "level", "kind", "words"),
    [
        ({"error": "there is no such file.", "header": None, "content": None}, {}, MUST_FIX, "unreadable", "no such"),
        ({"header_repetition_time": None}, {"tr": None}, MUST_FIX, "no TR", "write RepetitionTime"),
        ({"sidecar_repetition_time": 2.03}, {"tr": None}, MUST_FIX, "TR", "header says TR 2 s, the sidecar 2.03 s"),
        ({"header_repetition_time": 2.5}, {}, MUST_FIX, "TR", "the datalist notes TR 2 s, the scan says 2.5 s"),
        ({"header_repetition_time": None, "sidecar_repetition_time": 2.0}, {}, NOTE, "no TR in the header", "2 s, is"),
        ({"mask_error": "m.nii: the mask holds no voxel."}, {}, MUST_FIX, "mask", "no voxel"),
        ({}, {"content": "b" * 64}, MUST_FIX, "content", "not those that the datalist was built from"),
        (
            {"not_finite": 3, "first_not_finite_frame": 4},
            {},
            MUST_FIX,
            "NaN",
            "3 elements are NaN or infinite, the fir",
        ),
        ({"mean": None}, {}, MUST_FIX, "no signal", "all elements are 0"),
        ({"std": 0.0}, {}, MUST_FIX, "no signal", "all elements that are not 0 are 500"),
        ({"zero_voxels": 0}, {}, NOTE, "estimated mask", "100.0% of the voxels are not 0"),
        ({"zero_voxels": 460}, {}, NOTE, "estimated mask", "8.7% of the voxels are not 0"),
        ({"empty_frames": 2}, {}, NOTE, "empty frames", "2 frames are 0 everywhere"),
        ({"repeated_frames": 2}, {}, NOTE, "repeated frames", "2 frames equal the one before"),
        ({"frames_before_steady_state": 4}, {}, NOTE, "not steady state", "set trim to 4"),
        ({"negative_fraction": 0.4}, {}, NOTE, "negative values", "40.0% of the elements are negative"),
        ({"maximum": 30000.0}, {}, NOTE, "outlier", "lies 590 standard deviations off the mean"),
        ({"minimum": -30000.0}, {}, NOTE, "outlier", "lies 610 standard deviations off the mean"),
        ({"saturated_fraction": 0.02}, {}, NOTE, "saturated", "2.0% of the elements are at the largest value"),
    ],
)
def test_each_fault_is_one_finding(
    changes: dict[str, Any], record: dict[str, Any], level: str, kind: str, words: str
) -> None:
    found = said(dataclasses.replace(GOOD, **changes), record)
    assert list(found) == [(level, kind)]
    assert words in found[level, kind]


@pytest.mark.parametrize(
    ("changes", "level", "kind", "words"),
    [
        ({"not_finite": 3, "not_finite_in_mask": 0}, NOTE, "NaN outside the mask", "nothing needs to be done"),
        ({"not_finite": 3, "not_finite_in_mask": 1}, MUST_FIX, "NaN", "1 of them within the mask"),
        ({"mask_voxels": 5}, NOTE, "size of the mask", "covers 1.0% of the grid"),
        ({"mask_voxels": 500}, NOTE, "size of the mask", "covers 99.2% of the grid"),
        ({"mask_zero_voxels": 20, "mask_constant_voxels": 10}, NOTE, "mask without signal", "15.0% of the mask's"),
    ],
)
def test_masks_have_findings_of_their_own(changes: dict[str, Any], level: str, kind: str, words: str) -> None:
    found = said(dataclasses.replace(MASKED, **changes))
    assert list(found) == [(level, kind)]
    assert words in found[level, kind]


def test_a_policy_of_nonzero_voxels_needs_a_background() -> None:
    found = said(dataclasses.replace(GOOD, zero_voxels=0), mask="nonzero")
    assert "give a masked scan" in found[NOTE, "no background"]


def test_a_trim_takes_the_frames_before_steady_state() -> None:
    assert said(dataclasses.replace(GOOD, frames_before_steady_state=3), trim=3) == {}


@pytest.mark.parametrize(("trim", "length", "kinds"), [(0, 30, []), (10, 20, []), (11, 20, ["too few frames"])])
def test_a_window_must_fit_without_a_contract_too(trim: int, length: int, kinds: list[str]) -> None:
    assert [kind for _, kind in said(GOOD, trim=trim, window_length=length)] == kinds


def test_every_part_of_the_contract_is_reported() -> None:
    contract = InputContract(
        spatial_size=(7, 8, 8), window_length=25, voxel_size=(2, 3, 3), repetition_time=0.72, trim=10
    )
    found = said(GOOD, contract=contract, trim=10, window_length=25)
    assert {kind: sentence.split(";")[0] for (_, kind), sentence in found.items()} == {
        "grid": "the grid after the crop is 7 x 8 x 9, expected 7 x 8 x 8",
        "voxel size": "the voxel size is 2 x 3 x 4 mm, expected 2 x 3 x 3 mm",
        "too few frames": "20 frames are left after dropping 10, expected at least 25 for one window",
        "TR": "the repetition time is 2 s, expected 0.72 s within 1 %",
    }
    assert {level for level, _ in found} == {MUST_FIX}


@pytest.mark.parametrize("facts", [GOOD, MASKED])
def test_one_volume_repeated_is_no_scan(facts: ScanFacts) -> None:
    # 252 of the 504 voxels of the grid are not 0; the mask has 200 of them
    still = dataclasses.replace(facts, constant_voxels=252, mask_constant_voxels=facts.mask and 200)
    sentence = said(still)[MUST_FIX, "no signal"]
    assert sentence == "every voxel has the same value in all 30 frames: it is one volume, repeated; check the file."
    # a single frame has nothing to change
    one = dataclasses.replace(still, header=dataclasses.replace(HEADER, shape=(7, 8, 9, 1)))
    assert (MUST_FIX, "no signal") not in said(one)


def test_constant_voxels_are_noted_without_a_mask_too() -> None:
    sentence = said(dataclasses.replace(GOOD, constant_voxels=63))[NOTE, "constant voxels"]
    assert sentence.startswith("25.0% of the voxels that are not 0 have the same value in every frame; look whether")
    assert said(dataclasses.replace(GOOD, constant_voxels=12)) == {}
