"""Guesses for a study, each a value and its reason."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from monai_tff.contract import InputContract
from monai_tff.data.cohorts import Cohort
from monai_tff.data.layers import contract_of, read_dataset_layers
from monai_tff.data.records import make_record
from monai_tff.data.study import Guess, Study, guess_study, hidden_size, unsteady_frames
from monai_tff.data.study_cohort import usable_cohort
from monai_tff.data.study_layers import dataset_text, experiment_text

AFFINE = np.diag([-3.0, 3.0, 4.0, 1.0])
GRID = (14, 15, 17)


def cohort_of(
    folder: Path,
    frames: tuple[int, ...] = (40, 40, 30),
    seconds: tuple[float, ...] = (2.0, 2.0, 2.0),
    unsteady: int = 0,
) -> Cohort:
    """Scans with a background of 0, and confounds where frames are not in steady state."""
    records = []
    for number, (count, time) in enumerate(zip(frames, seconds, strict=True)):
        values = np.zeros((*GRID, count), np.int16)
        values[2:8, 4:11, 3:12] = 500 + np.arange(count) % 7
        image = nib.Nifti1Image(values, AFFINE)
        image.header.set_zooms((3, 3, 4, time))
        image.header.set_xyzt_units("mm", "sec")
        image.to_filename(folder / f"sub-{number}_bold.nii.gz")
        confounds = f"sub-{number}_confounds.tsv" if unsteady else None
        if confounds is not None:
            columns = ["csf", *(f"non_steady_state_outlier{index:02d}" for index in range(unsteady))]
            (folder / confounds).write_text("\t".join(columns) + "\n" + "\t".join(["0"] * len(columns)) + "\n")
        image_name, subject = f"sub-{number}_bold.nii.gz", str(number)
        records.append(make_record(image_name, subject, subject, "F", confounds=confounds))
    return Cohort(records, denoising="fix")


def guessed(folder: Path, cohort: Cohort, **options: int) -> Study:
    return guess_study(usable_cohort(cohort, folder), folder, training_scans=options.get("training_scans", 2))


def test_the_dataset_layer_is_the_contract_of_every_scan(tmp_path: Path) -> None:
    study = guessed(tmp_path, cohort_of(tmp_path, unsteady=2))
    values = {key: guess.value for key, guess in study.dataset.items()}
    assert values == {
        "spatial_size": [10, 11, 13],
        "crop": [[4, 14], [2, 13], [1, 14]],
        "trim": 2,
        "axis_codes": "RAS",
        "mask": "auto",
        "voxel_size": [3.0, 3.0, 4.0],
        "repetition_time": 2.0,
        "tr_policy": "refuse",
        "denoising": "fix",
    }
    assert study.spatial_size == (10, 11, 13)
    assert study.frames == [38, 38, 28]
    assert study.mask_voxels == 6 * 7 * 9
    assert all(guess.why for guess in {**study.dataset, **study.network}.values())


@pytest.mark.parametrize(
    ("seconds", "shortest", "length", "words"),
    [
        (0.72, 40, 20, "14.4 s"),
        (0.4, 40, 29, "11.6 s"),
        (2.0, 40, 8, "16.0 s"),
        (0.72, 15, 15, "the shortest scan has 15 frames"),
        (0.0, 40, 20, "the repetition time is unknown"),
    ],
)
def test_windows_are_as_long_as_the_paper_s(
    tmp_path: Path, seconds: float, shortest: int, length: int, words: str
) -> None:
    study = guessed(tmp_path, cohort_of(tmp_path, (40, shortest), (seconds, seconds)))
    assert study.network["window_length"].value == length
    assert words in study.network["window_length"].why
    assert study.dataset["repetition_time"].value == (seconds or None)


def test_other_repetition_times_are_allowed(tmp_path: Path) -> None:
    study = guessed(tmp_path, cohort_of(tmp_path, seconds=(2.2, 2.2, 2.5)))
    assert study.dataset["repetition_time"] == Guess(2.2, "s, of 2 of 3 scans")
    assert study.dataset["tr_policy"] == Guess("allow", "1 of 3 scans have another repetition time")


def test_a_trim_leaves_the_shortest_scan_a_window(tmp_path: Path) -> None:
    study = guessed(tmp_path, cohort_of(tmp_path, (40, 10), (0.72, 0.72), unsteady=4))
    assert study.dataset["trim"].value == 2
    assert study.network["window_length"].value == 8


@pytest.mark.parametrize(
    ("names", "count"),
    [
        ("csf\tnon_steady_state_outlier00\tnon_steady_state_outlier01", 2),
        ("NonSteadyStateOutlier00\tX", 1),
        ("csf\tmotion_outlier00", 0),
        ("", 0),
    ],
)
def test_unsteady_frames_are_counted_from_the_column_names(tmp_path: Path, names: str, count: int) -> None:
    (tmp_path / "confounds.tsv").write_text(f"{names}\n0\t1\n")
    assert unsteady_frames(tmp_path / "confounds.tsv") == count


@pytest.mark.parametrize(
    ("grid", "scans", "size"),
    [
        ((75, 93, 81), 4000, 2640),  # the paper's
        ((75, 93, 81), 250, 1328),
        ((65, 77, 49), 1000, 1264),
        ((10, 11, 13), 20, 160),
        ((182, 218, 182), 40000, 2640),
    ],
)
def test_hidden_sizes_follow_grid_and_cohort(grid: tuple[int, int, int], scans: int, size: int) -> None:
    assert hidden_size(grid, scans).value == size
    assert size % 16 == 0


def test_the_files_say_what_was_guessed(tmp_path: Path) -> None:
    study = guessed(tmp_path, cohort_of(tmp_path))
    odd = tmp_path / "a cohort: #1 é"
    layer = tmp_path / "x_dataset.yaml"
    layer.write_text(dataset_text("x", study, odd, odd / "datalist.json"), encoding="utf-8")
    values = read_dataset_layers([layer])
    assert values["dataset_dir"] == str(odd)
    assert values["datalist"] == str(odd / "datalist.json")
    assert contract_of(values, 8) == InputContract(
        spatial_size=(10, 11, 13),
        window_length=8,
        voxel_size=(3.0, 3.0, 4.0),
        crop=((4, 14), (2, 13), (1, 14)),
        repetition_time=2.0,
        denoising="fix",
    )
    text = experiment_text(
        "x", study, layer.name, {"one": ["a.yaml", "b.yaml"], "two": ["c.yaml"]}, {"one": 4, "two": 2}
    )
    assert yaml.safe_load(text) == {
        "name": "x",
        "overrides": {"hidden_size": 160},
        "phases": {
            "one": {"config_file": ["a.yaml", "b.yaml", layer.name], "overrides": {"batch_size": 4}},
            "two": {"config_file": ["c.yaml", layer.name], "overrides": {"batch_size": 2, "window_length": 8}},
        },
    }


def test_reasons_with_line_breaks_stay_comments(tmp_path: Path) -> None:
    study = guessed(tmp_path, cohort_of(tmp_path))
    crop = Guess(None, "no crop: first line\nspatial_size: [1, 1, 1]")
    text = dataset_text("x", Study({**study.dataset, "crop": crop}, {}, [], None), tmp_path, tmp_path / "d.json")
    assert yaml.safe_load(text)["spatial_size"] == [10, 11, 13]
