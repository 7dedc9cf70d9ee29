"""The simulated cohort as a whole: tree, reproducibility, folders that are refused."""

from __future__ import annotations

import hashlib
import json

import nibabel
import numpy as np
import pandas
import pytest

from monai_tff.data.simulate import PlantedEffect, simulate_cohort
from monai_tff.data.simulation.options import SimulationOptions
from monai_tff.data.simulation.subjects import simulate_subject
from monai_tff.data.simulation.template import brain_template
from monai_tff.errors import ConfigError, DatalistError

TINY = {"num_subjects": 4, "voxel_size": 20.0, "num_frames": 6}


def hashes(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_tree(tmp_path):
    cohort = simulate_cohort(tmp_path / "cohort", **TINY)
    assert (cohort.folder, cohort.num_scans) == (tmp_path / "cohort", 4)
    assert cohort.spatial_size == (8, 10, 9)
    prefix = "sub-0003/func/sub-0003_task-rest"
    expected = {
        f"{prefix}_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz",
        f"{prefix}_space-MNI152NLin2009cAsym_desc-preproc_bold.json",
        f"{prefix}_space-MNI152NLin2009cAsym_desc-brain_mask.nii.gz",
        f"{prefix}_desc-confounds_timeseries.tsv",
        "participants.tsv",
        "participants.json",
        "dataset_description.json",
        "simulation.json",
    }
    found = set(hashes(cohort.folder))
    assert expected <= found
    assert len(found) == 4 * 4 + 4
    assert list(tmp_path.iterdir()) == [cohort.folder]  # nothing partial is left


def test_scan_and_mask_read_back(tmp_path):
    folder = simulate_cohort(tmp_path / "cohort", repetition_time=0.8, **TINY).folder
    template = brain_template(20.0)
    (scan,) = folder.glob("sub-0001/func/*_bold.nii.gz")
    (mask,) = folder.glob("sub-0001/func/*_mask.nii.gz")
    image, mask_image = nibabel.load(scan), nibabel.load(mask)
    assert image.shape == (8, 10, 9, 6)
    assert image.get_data_dtype() == np.int16
    assert image.header.get_zooms()[3] == pytest.approx(0.8)
    assert json.loads(scan.with_suffix("").with_suffix(".json").read_text())["RepetitionTime"] == 0.8
    np.testing.assert_array_equal(image.affine, mask_image.affine)
    np.testing.assert_array_equal(np.asarray(mask_image.dataobj) > 0, template.mask)
    np.testing.assert_array_equal((np.asarray(image.dataobj) != 0).all(axis=-1), template.mask)


def test_participants(tmp_path):
    folder = simulate_cohort(tmp_path / "cohort", family_size=2, num_sites=2, **{**TINY, "num_subjects": 12}).folder
    table = pandas.read_csv(folder / "participants.tsv", sep="\t")
    assert list(table) == ["participant_id", "sex", "age", "diagnosis", "site", "family_id"]
    assert list(table.participant_id) == [f"sub-{number:04d}" for number in range(1, 13)]
    assert table.sex.value_counts().to_dict() == {"F": 6, "M": 6}
    assert table.diagnosis.value_counts().to_dict() == {"CONTROL": 6, "PATIENT": 6}
    assert table.age.between(18, 80).all()
    assert sorted(table.site.unique()) == ["site1", "site2"]
    assert (table.family_id.value_counts() == 2).all()
    assert list(json.loads((folder / "participants.json").read_text())) == list(table)[1:]


def test_says_that_it_is_simulated(tmp_path):
    folder = simulate_cohort(tmp_path / "cohort", **TINY).folder
    description = json.loads((folder / "dataset_description.json").read_text())
    assert "SIMULATED DATA" in description["GeneratedBy"][0]["Description"]
    assert description["DatasetType"] == "derivative"
    assert "SIMULATED DATA" in json.loads((folder / "simulation.json").read_text())["note"]


def test_simulation_json_tells_what_was_planted(tmp_path):
    effects = {"sex": [PlantedEffect("regional_mean", relative_size=0.3)], "age": [{"kind": "network_coupling"}]}
    folder = simulate_cohort(tmp_path / "cohort", effects=effects, num_sessions=2, spike_rate=0.3, **TINY).folder
    simulation = json.loads((folder / "simulation.json").read_text())
    first, second = simulation["planted"]
    assert first == {"target": "sex", "kind": "regional_mean", "network": "default_mode", "cohens_d": first["cohens_d"]}
    assert first["cohens_d"] == pytest.approx(3.0, abs=0.01)
    assert (second["kind"], second["network"], second["cohens_d"]) == ("network_coupling", "auditory", 0.0)
    subject = simulate_subject(SimulationOptions(effects=effects, **TINY), 2, 63)
    row = simulation["subjects"][2]
    assert row["participant_id"] == "sub-0003"
    assert list(row["log_regional_mean"].values()) == pytest.approx(list(subject.regional_mean), abs=1e-6)
    assert list(row["network_correlation"].values()) == pytest.approx(list(np.tanh(subject.network_coupling)), abs=1e-6)
    confounds = pandas.read_csv(next(folder.glob("sub-0003/ses-2/func/*_timeseries.tsv")), sep="\t", na_values="n/a")
    assert list(np.flatnonzero(confounds.framewise_displacement > 0.4)) == row["sessions"][1]["spikes"]


def test_sessions_have_folders(tmp_path):
    cohort = simulate_cohort(tmp_path / "cohort", num_sessions=2, masks=False, **TINY)
    assert cohort.num_scans == 8
    scans = sorted(cohort.folder.rglob("*_bold.nii.gz"))
    assert len(scans) == 8
    assert scans[1].parent == cohort.folder / "sub-0001" / "ses-2" / "func"
    assert scans[1].name.startswith("sub-0001_ses-2_task-rest_space-")
    assert not list(cohort.folder.rglob("*_mask.nii.gz"))


def test_same_options_give_the_same_bytes(tmp_path):
    options = {"effects": {"sex": [PlantedEffect("network_amplitude", 2.0)]}, "num_sites": 2, **TINY}
    first = simulate_cohort(tmp_path / "first", seed=5, **options).folder
    second = simulate_cohort(tmp_path / "second", seed=5, **options).folder
    other = simulate_cohort(tmp_path / "other", seed=6, **options).folder
    assert hashes(first) == hashes(second)
    scans = [hashes(folder)[name] for folder in (first, other) for name in hashes(folder) if "_bold.nii" in name]
    assert len(set(scans)) == 8


def test_a_smaller_cohort_is_the_start_of_a_larger_one(tmp_path):
    small = hashes(simulate_cohort(tmp_path / "small", **TINY).folder)
    large = hashes(simulate_cohort(tmp_path / "large", **{**TINY, "num_subjects": 6}).folder)
    subjects = {name for name in small if name.startswith("sub-")}
    assert subjects < {name for name in large if name.startswith("sub-")}
    assert {name: small[name] for name in subjects} == {name: large[name] for name in subjects}


def test_progress_is_told(tmp_path):
    labels: list[str] = []
    simulate_cohort(tmp_path / "cohort", on_subject=labels.append, **TINY)
    assert labels == ["0001", "0002", "0003", "0004"]


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "cohort").mkdir()
    assert (simulate_cohort(tmp_path / "cohort", **TINY).folder / "participants.tsv").is_file()


def test_an_earlier_cohort_is_replaced_only_when_asked(tmp_path):
    folder = simulate_cohort(tmp_path / "cohort", **TINY).folder
    before = hashes(folder)
    with pytest.raises(DatalistError, match=r"cohort: the folder holds a simulated cohort already.*--overwrite"):
        simulate_cohort(folder, seed=1, **TINY)
    assert hashes(folder) == before
    simulate_cohort(folder, seed=1, overwrite=True, **{**TINY, "num_subjects": 2})
    assert len(list(folder.glob("sub-*"))) == 2
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_of_anything_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(DatalistError, match="files that are not of a simulated cohort; choose an empty or new folder"):
        simulate_cohort(tmp_path, overwrite=True, **TINY)
    with pytest.raises(DatalistError, match=r"thesis.txt: this is a file, expected a folder"):
        simulate_cohort(tmp_path / "thesis.txt", overwrite=True, **TINY)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatalistError, match=r"cohort: the simulated cohort cannot be written \(Not a directory\)"):
        simulate_cohort(tmp_path / "file" / "cohort", **TINY)


def test_an_interrupted_run_leaves_nothing(tmp_path):
    def interrupt(label):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_cohort(tmp_path / "cohort", on_subject=interrupt, **TINY)
    assert list(tmp_path.iterdir()) == []


def test_unknown_options_are_named(tmp_path):
    with pytest.raises(ConfigError, match="unknown option subjects; expected num_subjects, seed"):
        simulate_cohort(tmp_path / "cohort", subjects=4)
    with pytest.raises(ConfigError, match="voxel_size is -1"):
        simulate_cohort(tmp_path / "cohort", voxel_size=-1)
    assert list(tmp_path.iterdir()) == []
