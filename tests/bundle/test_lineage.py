"""Which scans a set of weights has seen, and that a test set never holds one of their subjects."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_tff.bundle import Workflow, pretraining_overlap
from monai_tff.bundle.experiment import run_workflow
from monai_tff.bundle.lineage import (
    content_hashes_of,
    known_overlap,
    lineage_entry,
    read_lineage,
    refuse_overlap,
    write_content_hashes,
    write_lineage,
)
from monai_tff.data import SplitPlan, build_datalist, read_bids
from monai_tff.errors import DatalistError, user_error_in


def record(subject: str, group: str, content: str | None = None, run: int = 1) -> dict[str, Any]:
    image = f"sub-{subject}_run-{run}_bold.nii.gz"
    return {"image": image, "subject": subject, "group": group, "label": "F", "content": content}


def datalist(test: list[dict[str, Any]], name: str = "cohort", **sections: list[dict[str, Any]]) -> dict[str, Any]:
    training = [record("01", "a", "c01"), record("02", "a", "c02")]
    validation = [record("03", "b", "c03")]
    given = {"training": training, "validation": validation, "unlabelled": [], "others": [], **sections}
    return {"name": name, "split": {"hash": "x"}, **given, "test": test}


def other(subject: str, content: str | None, run: int = 2) -> dict[str, Any]:
    """A scan of a datalist's `others`."""
    return {key: record(subject, "", content, run)[key] for key in ("image", "subject", "content")}


def exported(folder: Path, phases: list[dict[str, Any]] | None) -> Path:
    """Weights of a bundle without a lineage."""
    (folder / "models").mkdir(parents=True)
    write_content_hashes(folder, phases)
    return folder / "models" / "model.pt"


def test_written_and_read_by_the_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "lineage.json").write_text("older")
    phases = [lineage_entry("autoencoder", datalist([record("04", "c")]))]
    write_lineage(tmp_path, phases)
    assert [path.name for path in tmp_path.iterdir()] == ["lineage.json"]
    assert os.stat(tmp_path / "lineage.json").st_mode & 0o777 == 0o600
    (phase,) = read_lineage(tmp_path / "models" / "model.pt") or []
    assert phase == phases[0]
    assert {key: phase[key] for key in ("phase", "cohort", "split", "others")} == {
        **{"phase": "autoencoder", "cohort": "cohort", "split": "x"},
        "others": [],
    }
    assert [scan["subject"] for scan in phase["scans"]] == ["01", "02", "03"]
    assert phase["scans"][2] == {"group": "b", "subject": "03", "image": "sub-03_run-1_bold.nii.gz", "content": "c03"}


def test_unknown_phases_are_not_written(tmp_path: Path) -> None:
    write_lineage(tmp_path, None)
    assert write_content_hashes(tmp_path, None) is None
    assert list(tmp_path.iterdir()) == []
    assert read_lineage(tmp_path / "models" / "model.pt") is None


@pytest.mark.parametrize("name", ["lineage.json", "content_hashes.json"])
@pytest.mark.parametrize("content", ["{", "[]", '{"something": 1}'])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(
        DatalistError, match=rf"{name}: cannot be read .*, expected .* in JSON; restore the file, or rem"
    ):
        read_lineage(tmp_path / "models" / "model.pt")


@pytest.mark.parametrize(("phase", "seen"), [("autoencoder", True), ("transformer", True), ("finetune", False)])
def test_unlabelled_scans_are_seen_by_the_phases_without_labels(phase: str, seen: bool) -> None:
    unlabelled = [record("01", "a", "u01", run=2), record("07", "g", "u07")]
    others = [other("01", "o01", run=3), other("07", "o07"), other("08", "o08"), other("04", "o04")]
    entry = lineage_entry(phase, datalist([record("04", "c", "c04")], unlabelled=unlabelled, others=others))
    assert [scan["content"] for scan in entry["scans"]] == ["c01", "c02", "c03", *(["u01", "u07"] if seen else [])]
    # of the subjects that the phase saw: 08 is in no section, 04 is tested
    assert [scan["content"] for scan in entry["others"]] == (["o01", "o07"] if seen else ["u01", "o01"])
    assert set(entry["others"][0]) == {"subject", "image", "content"}


def test_a_datalist_without_further_scans_will_do() -> None:
    content = datalist([record("04", "c")])
    for key in ("unlabelled", "others"):
        del content[key]
    entry = lineage_entry("transformer", content)
    assert (len(entry["scans"]), entry["others"]) == (3, [])
    refuse_overlap([entry], content, "w.pt")


@pytest.mark.parametrize(
    ("tested", "named"),
    [
        (record("03", "z"), r"subject 03 \(group z\) of the test set was seen"),
        (record("09", "a"), "group a of subject 09 of the test set was seen"),
        (
            record("09", "z", "c02"),
            "sub-09_run-1_bold.nii.gz of subject 09 of the test set has the same content as sub-02_run-1_bold.nii.gz "
            "of subject 02, which was seen",
        ),
    ],
    ids=["subject", "group", "content"],
)
def test_what_was_seen_is_named(tested: dict[str, Any], named: str) -> None:
    lineage = [lineage_entry("transformer", datalist([]))]
    with pytest.raises(
        DatalistError, match=rf"^w.pt: {named} in the phase 'transformer' of these weights, expected no"
    ):
        refuse_overlap(lineage, datalist([record("05", "d", "c05"), tested]), "w.pt")


def test_the_way_out_of_two_cohorts_with_one_name_is_named() -> None:
    lineage = [lineage_entry("transformer", datalist([]))]
    with pytest.raises(DatalistError, match=r"another cohort named cohort, build its datalist with --name\.$"):
        refuse_overlap(lineage, datalist([record("03", "z", "c77")]), "w.pt")
    # the same voxels are the same scan, whatever the cohort is called
    with pytest.raises(DatalistError, match=r"never saw the test subjects\.$"):
        refuse_overlap(lineage, datalist([record("09", "z", "c02")]), "w.pt")


def test_run_2_of_a_subject_is_refused_where_run_1_was_seen() -> None:
    """In a cohort of the same name by the subject; under any other name and ID by content."""
    lineage = [lineage_entry("autoencoder", datalist([], others=[other("01", "c01-2"), other("03", "c03-2")]))]
    with pytest.raises(DatalistError, match=r"subject 01 \(group a\) of the test set was seen"):
        refuse_overlap(lineage, datalist([record("01", "a", "c01-2", run=2)]), "w.pt")
    renamed = datalist([record("X7", "x", "c01-2", run=2)], name="another")
    not_used = r"subject X7 .* same content as sub-01_run-2_bold.nii.gz, not used itself, of subject 01, which was seen"
    with pytest.raises(DatalistError, match=not_used):
        refuse_overlap(lineage, renamed, "w.pt")
    # the lineage does not know run 2, but the tested subject's run 1 is known not to be used
    lineage = [lineage_entry("autoencoder", datalist([]))]
    renamed = datalist([record("X7", "x", "c01-2", run=2)], name="another", others=[other("X7", "c01", run=1)])
    with pytest.raises(DatalistError, match=r"sub-X7_run-1_bold.nii.gz of subject X7 .* of subject 01, which was seen"):
        refuse_overlap(lineage, renamed, "w.pt")


def scans(folder: Path, runs: tuple[int, ...], prefix: str) -> Path:
    """A BIDS dataset of eight subjects; the voxels depend on subject and run, not on the subject's name."""
    rows = ["participant_id\tsex"]
    for number in range(8):
        subject = f"sub-{prefix}{number}"
        rows.append(f"{subject}\t{'FM'[number % 2]}")
        (folder / subject / "func").mkdir(parents=True)
        for run in runs:
            voxels = np.random.default_rng([number, run]).integers(1, 900, (7, 8, 9, 4)).astype(np.int16)
            image = nib.Nifti1Image(voxels, np.diag([3.0, 3, 3, 1]))
            image.header.set_zooms((3, 3, 3, 2.0))
            image.to_filename(folder / subject / "func" / f"{subject}_task-rest_run-{run}_bold.nii.gz")
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n")
    return folder


def test_pretrained_on_run_1_and_tested_on_run_2_of_the_same_subjects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    both, again = scans(tmp_path / "study", (1, 2), "A"), scans(tmp_path / "elsewhere", (2,), "B")
    pretrain = build_datalist(
        read_bids(both, "sex", run="1"), "sex", dataset_dir=both, plan=SplitPlan(ratios=(0.5, 0.5, 0))
    )
    lineage = [lineage_entry("autoencoder", pretrain)]
    assert len(lineage[0]["scans"]) == len(lineage[0]["others"]) == 8
    tested = SplitPlan(ratios=(0, 0, 1))
    same = build_datalist(read_bids(both, "sex", run="2"), "sex", dataset_dir=both, plan=tested)
    with pytest.raises(
        DatalistError, match=r"subject A0 \(group .*A0\) of the test set was seen in the phase 'autoenc"
    ):
        refuse_overlap(lineage, same, "w.pt")
    renamed = build_datalist(read_bids(again, "sex"), "sex", dataset_dir=again, plan=tested)
    with pytest.raises(
        DatalistError, match=r"run-2_bold.nii.gz of subject B0 .* not used itself, of subject A0, which"
    ):
        refuse_overlap(lineage, renamed, "w.pt")
    exported = [{"phase": "before the export", "contents": content_hashes_of(lineage), "complete": True}]
    with pytest.raises(
        DatalistError, match=r"run-2_bold.nii.gz of subject B0 .* has the same content as a scan, which"
    ):
        refuse_overlap(exported, renamed, "w.pt")


def test_new_subjects_and_other_cohorts_pass() -> None:
    lineage = [lineage_entry("transformer", datalist([], others=[other("01", None)]))]
    refuse_overlap(lineage, datalist([record("05", "d")]), "w.pt")
    refuse_overlap(lineage, datalist([record("01", "a")], name="another"), "w.pt")
    refuse_overlap(lineage, datalist([record("05", "d", "c05")], others=[other("06", "c01")]), "w.pt")


@pytest.mark.parametrize(
    ("seen", "tested", "cohort", "known"),
    [
        ("c01", "c05", "cohort", "none"),
        (None, None, "cohort", "none"),
        ("c01", "c05", "another", "none (by content)"),
        (None, "c05", "another", "unknown"),
        ("c01", None, "another", "unknown"),
    ],
)
def test_what_names_and_contents_leave_open(seen: str | None, tested: str | None, cohort: str, known: str) -> None:
    training = [record("01", "a", seen)]
    lineage = [lineage_entry("transformer", datalist([], training=training))]
    test = [record("05", "d", "c04"), record("06", "d", tested)]
    assert known_overlap(lineage, datalist(test, name=cohort)) == known
    assert known_overlap(None, datalist(test, name=cohort)) == "unknown"


def test_an_export_carries_contents_alone(tmp_path: Path) -> None:
    first = lineage_entry("autoencoder", datalist([], others=[other("01", "o01"), other("02", None)]))
    second = lineage_entry("finetune", datalist([], training=[record("08", "h", "a08")]))
    assert content_hashes_of([first, second]) == ["a08", "c01", "c02", "c03", "o01"]
    weights = exported(tmp_path / "bundle", [first, second])
    text = (tmp_path / "bundle" / "content_hashes.json").read_text()
    assert json.loads(text) == {"complete": True, "hashes": ["a08", "c01", "c02", "c03", "o01"]}
    assert not any(secret in text for secret in ("sub-", "cohort", "bold"))
    again = read_lineage(weights)
    assert again is not None
    assert content_hashes_of(again) == ["a08", "c01", "c02", "c03", "o01"]
    # what is trained further on them carries them on
    write_lineage(tmp_path, [*again, lineage_entry("finetune", datalist([], training=[record("09", "i", "a09")]))])
    carried = read_lineage(tmp_path / "models" / "model.pt") or []
    assert content_hashes_of(carried) == ["a08", "a09", "c01", "c02", "c03", "o01"]


def test_exported_weights_refuse_what_they_have_seen_by_content(tmp_path: Path) -> None:
    phases = [lineage_entry("autoencoder", datalist([], others=[other("01", "o01")]))]
    lineage = read_lineage(exported(tmp_path / "bundle", phases)) or []
    refuse_overlap(lineage, datalist([record("01", "a", "c05")]), "w.pt")
    message = (
        "w.pt: sub-05_run-1_bold.nii.gz of subject 05 of the test set has the same content as a scan, which was seen"
    )
    for content in ("c02", "o01"):
        with pytest.raises(DatalistError, match=message + " in the phase 'before the export' of these weights"):
            refuse_overlap(lineage, datalist([record("06", "d", "c06"), record("05", "d", content)]), "w.pt")


@pytest.mark.parametrize(
    ("seen", "tested", "known"),
    [("c01", "c05", "none (by content)"), ("c01", None, "unknown"), (None, "c05", "unknown")],
)
def test_exported_weights_say_what_they_know(tmp_path: Path, seen: str | None, tested: str | None, known: str) -> None:
    phases = [lineage_entry("autoencoder", datalist([], training=[record("01", "a", seen)]))]
    lineage = read_lineage(exported(tmp_path / "bundle", phases))
    assert known_overlap(lineage, datalist([record("05", "d", tested)])) == known
    # trained further on the cohort itself, whose names can be compared
    further = [*(lineage or []), lineage_entry("finetune", datalist([]))]
    assert known_overlap(further, datalist([record("05", "d", tested)])) == known


def test_the_lineage_grows_with_the_phases(runs: Any, cohort: Any) -> None:
    phases = read_lineage(runs.finetune / "models" / "model.pt") or []
    assert [phase["phase"] for phase in phases] == ["autoencoder", "transformer", "finetune"]
    content = json.loads(cohort.datalists["sex"].read_text())
    expected = [entry["subject"] for section in ("training", "validation") for entry in content[section]]
    assert all([scan["subject"] for scan in phase["scans"]] == expected for phase in phases)
    assert os.stat(runs.finetune / "lineage.json").st_mode & 0o777 == 0o600


def test_what_is_known_of_the_overlap(runs: Any, cohort: Any, tmp_path: Path) -> None:
    weights = runs.finetune / "models" / "model.pt"
    assert pretraining_overlap(weights, cohort.datalists["sex"]) == "none"
    assert pretraining_overlap(weights, cohort.datalists["sex"], "validation") == "yes"
    assert pretraining_overlap(tmp_path / "models" / "model.pt", cohort.datalists["sex"]) == "unknown"
    with pytest.raises(DatalistError, match=r"of the test set was seen in the phase"):
        pretraining_overlap(weights, cohort.datalists["age"])


def test_what_an_exported_bundle_knows_of_the_overlap(runs: Any, cohort: Any, tmp_path: Path) -> None:
    weights = exported(tmp_path / "bundle", read_lineage(runs.finetune / "models" / "model.pt"))
    assert pretraining_overlap(weights, cohort.datalists["sex"]) == "none (by content)"
    with pytest.raises(DatalistError, match=r"of the test set has the same content as a scan, which was seen in the"):
        pretraining_overlap(weights, cohort.datalists["age"])


def test_a_phase_refuses_weights_that_saw_its_test_subjects(
    runs: Any, cohort: Any, phases: dict[str, Any], small: dict[str, Any], tmp_path: Path
) -> None:
    """The split of the target age puts subjects into the test set that the split of sex trained on."""
    places = {"dataset_dir": str(cohort.folder), "datalist": str(cohort.datalists["age"])}
    overrides = {**phases["finetune"].overrides, **small, **places, "run_dir": str(tmp_path / "run")}
    weights = str(runs.transformer / "models" / "model.pt")
    files = list(phases["finetune"].config_files)
    workflow = Workflow(files, logging_file=False, initial_weights=weights, **overrides)
    with pytest.raises(RuntimeError) as caught:
        workflow.initialize()
    message = str(user_error_in(caught.value))
    content = json.loads(cohort.datalists["age"].read_text())
    assert any(f"subject {entry['subject']} " in message for entry in content["test"])
    assert "was seen in the phase 'autoencoder' of these weights" in message
    assert not (tmp_path / "run").exists()


def test_a_phase_goes_on_from_exported_weights(
    runs: Any, cohort: Any, phases: dict[str, Any], small: dict[str, Any], tmp_path: Path
) -> None:
    weights = exported(tmp_path / "bundle", read_lineage(runs.transformer / "models" / "model.pt"))
    shutil.copy(runs.transformer / "models" / "model.pt", weights)
    overrides = {**phases["finetune"].overrides, **small, "dataset_dir": str(cohort.folder)}
    files = list(phases["finetune"].config_files)

    def begin(target: str) -> Path:
        places = {"datalist": str(cohort.datalists[target]), "run_dir": str(tmp_path / target)}
        workflow = Workflow(files, logging_file=False, initial_weights=str(weights), **{**overrides, **places})
        workflow.initialize()
        return tmp_path / target / "models" / "model.pt"

    lineage = read_lineage(begin("sex")) or []
    assert [phase["phase"] for phase in lineage] == ["before the export", "finetune"]
    assert pretraining_overlap(tmp_path / "sex" / "models" / "model.pt", cohort.datalists["sex"]) == "none (by content)"
    with pytest.raises(RuntimeError) as caught:
        begin("age")
    assert "of the test set has the same content as a scan, which was seen" in str(user_error_in(caught.value))


def test_weights_without_lineage_are_said_to_be_unknown(
    runs: Any,
    cohort: Any,
    phases: dict[str, Any],
    small: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    foreign = tmp_path / "foreign.pt"
    shutil.copy(runs.transformer / "models" / "model.pt", foreign)
    places = {"dataset_dir": str(cohort.folder), "datalist": str(cohort.datalists["sex"])}
    overrides = {**phases["finetune"].overrides, **small, **places, "run_dir": str(tmp_path / "run")}
    with caplog.at_level(logging.WARNING):
        run_workflow(list(phases["finetune"].config_files), "train", {**overrides, "initial_weights": str(foreign)})
    assert "comes without a lineage: pretraining overlap: unknown" in caplog.text
    assert not (tmp_path / "run" / "lineage.json").exists()
    run_workflow([str(tmp_path / "run" / "configs" / "evaluate.yaml")], "eval", {"bootstrap_samples": 20})
    assert "\npretraining overlap: unknown\n" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "run" / "evaluation" / "metrics.json").read_text())
    assert metrics["pretraining_overlap"] == "unknown"
