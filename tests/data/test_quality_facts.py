"""Facts of one scan: header, both repetition times, mask, voxels; a broken scan gives its reason and no exception."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_tff.data.content import content_hash
from monai_tff.data.quality_facts import ScanJob, read_facts

AFFINE = np.diag([-2.0, 3.0, 4.0, 1.0])
GRID = (7, 8, 9)


def scan(path: Path, seconds: float = 2.0, unit: str = "sec", frames: int = 6) -> Path:
    values = np.random.default_rng(1).integers(100, 900, (*GRID, frames)).astype(np.int16)
    values[0] = 0
    image = nib.Nifti1Image(values, AFFINE)
    image.header.set_zooms((2, 3, 4, seconds))
    image.header.set_xyzt_units("mm", unit)
    image.to_filename(path)
    return path


def mask(path: Path, shape: tuple[int, ...] = GRID, filled: int = 4) -> Path:
    values = np.zeros(shape, np.uint8)
    values[:filled] = 1
    nib.Nifti1Image(values, AFFINE).to_filename(path)
    return path


@pytest.mark.parametrize(
    ("seconds", "unit", "sidecar", "header_time", "sidecar_time"),
    [
        (2.0, "sec", None, 2.0, None),
        (720.0, "msec", 0.72, 0.72, 0.72),
        (2000.0, "sec", 2.2, 2.0, 2.2),
        (0.0, "sec", 2, None, 2.0),
        (0.0, "sec", None, None, None),
    ],
)
def test_both_repetition_times_are_told_apart(
    tmp_path: Path,
    seconds: float,
    unit: str,
    sidecar: float | None,
    header_time: float | None,
    sidecar_time: float | None,
) -> None:
    path = scan(tmp_path / "sub-1_bold.nii.gz", seconds, unit)
    if sidecar is not None:
        (tmp_path / "sub-1_bold.json").write_text(json.dumps({"RepetitionTime": sidecar}))
    facts = read_facts(ScanJob(str(path)))
    assert (facts.header_repetition_time, facts.sidecar_repetition_time) == (header_time, sidecar_time)
    assert facts.error is None
    assert facts.content == content_hash(path)


@pytest.mark.parametrize("named", [True, False])
def test_the_mask_is_the_record_s_or_the_one_beside_the_scan(tmp_path: Path, named: bool) -> None:
    path = scan(tmp_path / "sub-1_bold.nii.gz")
    beside = mask(tmp_path / "sub-1_desc-brain_mask.nii.gz")
    other = mask(tmp_path / "own.nii.gz", filled=2)
    facts = read_facts(ScanJob(str(path), str(other) if named else None))
    assert facts.mask == (other if named else beside).name
    assert facts.mask_voxels == (2 if named else 4) * 8 * 9
    assert facts.mask_zero_voxels == 8 * 9
    assert read_facts(ScanJob(str(path), mask_policy="nonzero")).mask is None


@pytest.mark.parametrize(
    ("shape", "filled", "damage", "words"),
    [
        ((7, 8, 10), 4, False, r"the mask's shape is \(7, 8, 10\), expected \(7, 8, 9\)"),
        (GRID, 0, False, "the mask holds no voxel"),
        (GRID, 4, True, "the mask cannot be read"),
    ],
)
def test_a_mask_that_cannot_be_used_does_not_hide_the_scan(
    tmp_path: Path, shape: tuple[int, ...], filled: int, damage: bool, words: str
) -> None:
    path = scan(tmp_path / "sub-1_bold.nii.gz")
    broken = mask(tmp_path / "sub-1_desc-brain_mask.nii", shape, filled)
    if damage:
        broken.write_bytes(broken.read_bytes()[:-20])
    facts = read_facts(ScanJob(str(path)))
    assert facts.mask_error is not None
    assert facts.mask_error.startswith(f"{broken}: ")
    assert re.search(words, facts.mask_error)
    assert facts.content == content_hash(path)


def test_a_truncated_scan_keeps_its_header(tmp_path: Path) -> None:
    path = scan(tmp_path / "sub-1_bold.nii")
    path.write_bytes(path.read_bytes()[:-1000])
    facts = read_facts(ScanJob(str(path)))
    assert facts.error is not None
    assert facts.error.startswith("the voxels cannot be read after frame ")
    assert facts.header is not None
    assert facts.header.shape == (*GRID, 6)
    assert (facts.content, facts.mean) == (None, None)
    assert facts.to_dict()["shape"] == [*GRID, 6]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.nii", None, "there is no such file"),
        ("text.nii.gz", b"no scan at all", "the header cannot be read"),
        ("empty.nii", b"", "the header cannot be read"),
    ],
)
def test_what_is_no_scan_gives_its_reason(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    facts = read_facts(ScanJob(str(tmp_path / name)))
    assert facts.error is not None
    assert facts.error.startswith(words)
    assert facts.header is None
    assert facts.to_dict()["shape"] is None


def test_a_broken_sidecar_gives_its_reason(tmp_path: Path) -> None:
    path = scan(tmp_path / "sub-1_bold.nii")
    (tmp_path / "sub-1_bold.json").write_text("{")
    assert "is not readable as JSON" in (read_facts(ScanJob(str(path))).error or "")


def test_facts_travel_between_processes(tmp_path: Path) -> None:
    facts = read_facts(ScanJob(str(scan(tmp_path / "sub-1_bold.nii"))))
    assert pickle.loads(pickle.dumps(facts)) == facts
    assert json.loads(json.dumps(facts.to_dict()))["voxel_size"] == [2.0, 3.0, 4.0]
