"""The whole explanation of tiny runs: which files, which numbers, and what is not done twice."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from monai_tff.errors import ConfigError
from monai_tff.explain import ExplainSettings, explain_run
from monai_tff.explain.volumes import read_map

FEW = ExplainSettings(occluded_subjects=1, cube_mm=80.0, checked_subjects=1, training_scans=6)


def explained(folder, **options):
    lines = []
    place = explain_run(folder, **{"subjects": 4, "steps": 16, "settings": FEW, "say": lines.append, **options})
    return SimpleNamespace(folder=place, lines=lines, content=json.loads((place / "explain.json").read_text()))


@pytest.fixture(scope="module")
def copied(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained") / "finetune"
    shutil.copytree(runs.finetune, folder)
    return folder


@pytest.fixture(scope="module")
def first(copied):
    return explained(copied)


def test_every_file_is_there(first):
    assert first.folder.name == "explain"
    assert [name for name in first.content["files"] if not (first.folder / name).is_file()] == []
    names = {check["name"]: check["passed"] for check in first.content["checks"]}
    assert set(names) == {"completeness", "parameter_randomisation", "label_randomisation", "planted_region"}
    assert names["label_randomisation"] is not None
    failed = [name for name, passed in names.items() if passed is False]
    assert len(first.content["warnings"]) == len(failed)
    told = [line for line in first.lines if line.startswith("check ")]
    assert [": WARNING, failed: " in line for line in told] == [True] * len(failed) + [False] * (4 - len(failed))
    assert first.content["counts"]["subjects_of_class"] == {"F": 2, "M": 2}


def test_maps_lie_on_the_scan_and_add_up(first, cohort):
    signed, affine = read_map(first.folder / "maps" / "integrated_gradients_signed_sum.nii.gz")
    channels = [
        read_map(first.folder / "maps" / f"integrated_gradients_signed_{name}.nii.gz")[0]
        for name in ("global", "voxel")
    ]
    np.testing.assert_allclose(sum(channels), signed, atol=1e-6)
    scan = nib.loadsave.load(next(cohort.folder.glob("sub-*/func/*_bold.nii.gz")))
    np.testing.assert_allclose(affine, scan.affine, atol=1e-4)
    assert signed.shape == scan.shape[:3]
    mask, _ = read_map(first.folder / "maps" / "mask.nii.gz")
    assert (signed[mask == 0] == 0).all()
    of_class = [
        read_map(first.folder / "maps" / f"integrated_gradients_signed_sum_class-{name}.nii.gz")[0] for name in "FM"
    ]
    np.testing.assert_allclose(np.mean(of_class, axis=0), signed, atol=1e-6)


def test_frames_and_regions(first):
    frames = pd.read_csv(first.folder / "frames.csv")
    assert frames["frame"].tolist() == [0, 1, 2, 3, 4]
    assert frames["attention_rollout"].sum() == pytest.approx(1, abs=1e-5)
    assert (frames["occlusion_absolute"] >= frames["occlusion_signed"].abs() - 1e-7).all()
    regions = pd.read_csv(first.folder / "regions.csv")
    assert regions["mean_absolute"].is_monotonic_decreasing
    absolute, affine = read_map(first.folder / "maps" / "integrated_gradients_absolute_sum.nii.gz")
    top = np.linalg.inv(affine) @ [*regions.loc[regions["voxels"].idxmax(), ["peak_x", "peak_y", "peak_z"]], 1.0]
    assert absolute[tuple(np.round(top[:3].astype(float)).astype(int))] > np.quantile(absolute[absolute > 0], 0.9)


def test_again_nothing_is_computed_and_the_files_are_the_same(copied, first):
    before = {path: path.read_bytes() for path in sorted(first.folder.glob("maps/*"))}
    times = {path: path.stat().st_mtime_ns for path in first.folder.glob("subjects/*.npz")}
    assert len(times) == 4
    again = explained(copied)
    assert "maps of 4 of 4 subjects are there already" in again.lines
    assert {path: path.stat().st_mtime_ns for path in first.folder.glob("subjects/*.npz")} == times
    assert {path: path.read_bytes() for path in sorted(first.folder.glob("maps/*"))} == before
    assert again.content == first.content


def test_other_settings_or_lost_initial_weights(runs, tmp_path):
    folder = tmp_path / "finetune"
    shutil.copytree(runs.finetune, folder)
    config = folder / "configs" / "train.yaml"
    config.write_text(config.read_text().replace(f"{runs.transformer}/models/model.pt", str(tmp_path / "lost.pt")))
    found = explained(folder, subjects=1)
    (check,) = [check for check in found.content["checks"] if check["name"] == "label_randomisation"]
    assert check["passed"] is None
    assert "lost.pt: the run began with these weights, but they are not there any more" in check["text"]
    more = explained(folder, subjects=2, label_check=False)
    assert "maps of 1 of 2 subjects are there already" in more.lines
    other = explained(folder, subjects=1, steps=18, label_check=False)
    assert not any("there already" in line for line in other.lines)


def test_an_atlas_that_is_none_is_refused_before_the_work(copied, tmp_path):
    with pytest.raises(ConfigError, match=r"none.nii.gz: cannot be read"):
        explain_run(copied, atlas=tmp_path / "none.nii.gz", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["age", "site"])
def test_numbers_and_several_classes(finetuned, tmp_path, target):
    found = explained(finetuned[target], subjects=2, output=tmp_path / "out", label_check=False)
    assert (found.folder, found.content["target"]["name"]) == (tmp_path / "out", target)
    names = [name for name in found.content["files"] if "class-" in name]
    assert bool(names) == (target == "site")


def test_folds_are_averaged_over_all_their_subjects(copied, first, tmp_path):
    for split in ("fold-1", "fold-2"):
        shutil.copytree(copied, tmp_path / split / "seed-0" / "finetune")
    members = [
        {"split": split, "seed": 0, "folder": f"{split}/seed-0", "datalist": "x"} for split in ("fold-1", "fold-2")
    ]
    study = {"experiment": "x", "phases": ["autoencoder", "finetune"], "plan": {}, "splits": 2, "members": members}
    (tmp_path / "folds.json").write_text(json.dumps(study))
    found = explained(tmp_path, subjects=8)
    assert found.folder == tmp_path / "explain"
    assert found.content["counts"] | {"windows": 0} == first.content["counts"] | {
        "runs": 2,
        "subjects": 8,
        "windows": 0,
        "subjects_occluded": 2,
        "subjects_of_class": {"F": 4, "M": 4},
    }
    name = "maps/integrated_gradients_absolute_sum.nii.gz"
    np.testing.assert_allclose(read_map(found.folder / name)[0], read_map(first.folder / name)[0], atol=1e-6)
