"""The check of a datalist, from files to findings."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_tff.data import build_datalist, read_bids, simulate_cohort, write_datalist
from monai_tff.data.cohorts import Cohort
from monai_tff.data.quality import check_datalist, scans_of
from monai_tff.data.quality_report import QualityReport
from monai_tff.data.records import make_record
from monai_tff.data.split_plan import SplitPlan
from monai_tff.errors import ContractError, DatalistError


def listed(cohort: Cohort, folder: Path, **options: bool) -> None:
    plan = SplitPlan(ratios=(0.5, 0.25, 0.25))
    content = build_datalist(cohort, "sex", dataset_dir=folder, plan=plan, workers=1, **options)
    write_datalist(content, folder / "datalist.json", overwrite=True)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 subjects at 20 mm with 8 frames, their masks, and the datalist."""
    folder = tmp_path_factory.mktemp("quality") / "cohort"
    simulate_cohort(folder, num_subjects=12, voxel_size=20.0, num_frames=8, seed=1)
    listed(read_bids(folder, "sex"), folder, content=False)
    return folder


@pytest.fixture
def folder(simulated: Path, tmp_path: Path) -> Path:
    """A copy of the cohort to break."""
    shutil.copytree(simulated, tmp_path / "cohort")
    return tmp_path / "cohort"


def images(folder: Path) -> list[Path]:
    return [folder / record["image"] for _, record in scans_of(folder / "datalist.json")]


def kinds(report: QualityReport) -> list[tuple[str, str, str]]:
    return [(f.level, f.kind, f.image.rsplit("/", 1)[-1]) for f in report.findings]


def rewritten(path: Path, change: dict[str, object]) -> None:
    image = nib.load(path)
    values = np.asarray(image.dataobj).astype(change.get("dtype", np.int16))
    for place, value in change.get("elements", {}).items():  # type: ignore[attr-defined]
        values[place] = value
    values = values[..., : change.get("frames", values.shape[-1])]  # type: ignore[misc]
    new = nib.Nifti1Image(values, image.affine)
    new.header.set_zooms((*image.header.get_zooms()[:3], 2.0))
    new.header.set_xyzt_units("mm", "sec")
    new.to_filename(path)


def test_a_simulated_cohort_has_no_finding(simulated: Path) -> None:
    report = check_datalist(simulated / "datalist.json", simulated, workers=1, window_length=8)
    assert report.findings == []
    assert report.summary()["sections"] == {"training": 6, "validation": 3, "test": 3}
    assert all(scan.facts.mask for scan in report.scans)


def test_broken_scans_stop_no_other(folder: Path) -> None:
    first, second, third, fourth, *rest = images(folder)
    first.unlink()
    second.write_bytes(second.read_bytes()[:-200])
    rewritten(third, {"dtype": np.float32, "elements": {(3, 4, 3, 2): np.nan, (3, 4, 3, 3): np.inf}})
    shutil.copyfile(rest[0], rest[-1])
    rewritten(fourth, {"frames": 4})
    told: list[int] = []
    report = check_datalist(
        folder / "datalist.json", folder, workers=1, window_length=5, on_scan=lambda number, _: told.append(number)
    )
    assert sorted(told) == list(range(12))
    assert kinds(report) == [
        ("must fix", "unreadable", first.name),
        ("must fix", "unreadable", second.name),
        ("must fix", "NaN", third.name),
        ("must fix", "too few frames", fourth.name),
        ("must fix", "duplicate", rest[0].name),
        ("must fix", "duplicate", rest[-1].name),
        ("note", "unusual length", fourth.name),
    ]


def test_a_layer_brings_the_contract(simulated: Path) -> None:
    shape = nib.load(images(simulated)[0]).shape[:3]
    layer = {"spatial_size": [shape[0], shape[1] - 2, shape[2]], "crop": [None, [1, -1], None], "trim": 4}
    good = check_datalist(simulated / "datalist.json", simulated, workers=1, layer=layer)
    assert good.findings == []
    wrong = {**layer, "repetition_time": 0.72, "spatial_size": list(shape)}
    report = check_datalist(simulated / "datalist.json", simulated, workers=1, layer=wrong, window_length=5)
    assert report.summary()["findings"]["must fix"] == {"grid": 12, "too few frames": 12, "TR": 12}


def test_scans_without_a_label_are_read_too(folder: Path) -> None:
    cohort = read_bids(folder, "sex")
    extra = folder / "extra_bold.nii.gz"
    shutil.copyfile(images(folder)[-1], extra)
    unlabelled = [make_record(extra.name, "x", "x", None)]
    listed(dataclasses.replace(cohort, unlabelled=unlabelled), folder, pretrain_unlabelled=True, content=False)
    report = check_datalist(folder / "datalist.json", folder, workers=1)
    assert ("must fix", "duplicate", extra.name) in kinds(report)
    assert report.summary()["sections"]["unlabelled"] == 1


def test_the_recorded_content_is_compared(folder: Path) -> None:
    listed(read_bids(folder, "sex"), folder)
    assert check_datalist(folder / "datalist.json", folder, workers=1).findings == []
    changed = images(folder)[2]
    rewritten(changed, {"elements": {(3, 4, 3, 2): 77}})
    report = check_datalist(folder / "datalist.json", folder, workers=1)
    assert kinds(report) == [("must fix", "content", changed.name)]


def test_what_cannot_be_checked_is_refused(simulated: Path, tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=r"none\.json: cannot be read"):
        check_datalist(tmp_path / "none.json", simulated)
    with pytest.raises(ContractError, match="spatial_size is 7, expected 3 whole numbers"):
        check_datalist(simulated / "datalist.json", simulated, layer={"spatial_size": 7})
