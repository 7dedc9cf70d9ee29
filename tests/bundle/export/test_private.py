"""Fifty strings planted all over a run folder: none of them is anywhere in its export."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from monai_tff.bundle.export import Details, export_run
from monai_tff.bundle.export.private import private_strings
from monai_tff.bundle.export.run_source import read_run
from monai_tff.data.overlap import UNLABELLED, split_hash
from monai_tff.data.splits import SECTIONS
from monai_tff.errors import BundleError

SUBJECTS = [f"{100307 + 4711 * number}" for number in range(12)] + [f"NDARPLANT{number:03d}" for number in range(12)]
GROUPS = [f"family-Planted{number:02d}" for number in range(8)]
SITES = {"site1": "Kilmarnock", "site2": "Ouagadougou", "site3": "Trondheim"}
COHORT = "penguin_cohort"
PLACES = ("ada_lovelace", "secret_project_x17", "zwerg_runs")


def planted(datalist: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A datalist with other names for everybody, and these names."""
    new: dict[str, str] = {}
    files = []
    for section in (*SECTIONS, UNLABELLED):
        for record in datalist[section]:
            number = len(new)
            name = new.setdefault(record["subject"], SUBJECTS[number % len(SUBJECTS)])
            record |= {
                "subject": name,
                "group": f"{GROUPS[number % len(GROUPS)]}n{number}",
                "site": SITES[record["site"]],
            }
            record |= {"session": f"visit{name}", "image": f"sub-{name}/planted_{name}_bold.nii.gz"}
            record |= {"mask": f"sub-{name}/planted_{name}_mask.nii.gz"}
            files += [record["group"], record["session"], record["image"], f"planted_{name}_mask"]
    datalist["name"] = COHORT
    datalist["split"]["hash"] = split_hash({section: datalist[section] for section in (*SECTIONS, UNLABELLED)})
    return datalist, [*new.values(), *files, *SITES.values(), COHORT]


@pytest.fixture(scope="module")
def run(runs: Any, cohort: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run folder in which strings are planted wherever a run has names, and these strings."""
    home = tmp_path_factory.mktemp("plants") / PLACES[0] / PLACES[1]
    folder = home / PLACES[2] / "finetune"
    shutil.copytree(runs.finetune, folder)
    content, strings = planted(json.loads(cohort.datalists["sex"].read_text(encoding="utf-8")))
    path = home / "datalist_planted.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    for name in ("train", "evaluate"):
        config = yaml.safe_load((folder / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
        config |= {"datalist": str(path), "dataset_dir": str(home), "packed_dir": str(home / "packed_planted")}
        config |= {"initial_weights": str(home / "earlier_planted" / "models" / "model.pt")}
        assert config["mlflow_uri"] is None
        config |= {"mlflow_uri": "https://ada:planted-secret@planted-server.org/mlflow"}
        (folder / "configs" / f"{name}.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    scans = [record for section in ("training", "validation") for record in content[section]]
    entry = {"phase": "finetune", "cohort": COHORT, "split": content["split"]["hash"], "scans": scans, "others": []}
    (folder / "lineage.json").write_text(json.dumps({"phases": [entry]}), encoding="utf-8")
    strings += [*PLACES, str(home), "datalist_planted", "packed_planted", "earlier_planted"]
    return folder, strings + planted_elsewhere(folder, content)


def planted_elsewhere(folder: Path, content: dict[str, Any]) -> list[str]:
    """Plants in the files of a run that hold no names of subjects today, or only in a column."""
    versions = json.loads((folder / "versions.json").read_text(encoding="utf-8"))
    versions |= {"datalist": COHORT, "split": content["split"]["hash"], "hostname": "node-planted-01"}
    (folder / "versions.json").write_text(json.dumps(versions | {"nilearn": "of planted-user"}), encoding="utf-8")
    for name in ("model.pt", "last.pt"):
        checkpoint = torch.load(folder / "models" / name, weights_only=True)
        checkpoint["planted_note"] = {"planted-scanner": "of planted-radiologist"}
        torch.save(checkpoint, folder / "models" / name)
    report = json.loads((folder / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
    report["values"] |= {"auroc_planted_site": 0.5, f"mae_{SUBJECTS[0]}": 0.25}
    report |= {"split": "planted-section", "comment": "by planted-student", "pretraining_overlap": "planted-overlap"}
    (folder / "evaluation" / "metrics.json").write_text(json.dumps(report), encoding="utf-8")
    for name in ("predictions.csv", "windows.csv"):
        with open(folder / "evaluation" / name, "a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(["PLANTEDROW1", "visitPLANTEDROW1"])
    (folder / "metrics.csv").open("a", encoding="utf-8").write("3,9,validation,planted_metric,0.5\n")
    (folder / "tensorboard").mkdir(exist_ok=True)
    (folder / "tensorboard" / "events.planted-host").write_bytes(b"planted-event")
    (folder / "mlflow_run.json").write_text(json.dumps({"run_id": "planted-id"}), encoding="utf-8")
    names = ["node-planted-01", "planted-user", "planted_note", "planted-scanner", "planted-radiologist"]
    names += ["auroc_planted_site", "planted-section", "planted-student", "planted-overlap", "PLANTEDROW1"]
    names += ["planted-secret", "planted-server", "planted-id"]
    return [*names, "planted_metric", "planted-host", "planted-event"]


def contents(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of a file, and of everything that it packs."""
    yield name, data
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                yield from contents(f"{name}/{member}", archive.read(member))


def test_none_of_fifty_planted_strings_leaves(run: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, strings = run
    assert len(set(strings)) >= 50
    exported = export_run(folder, tmp_path / "out", Details("small"), say=lambda line: None)
    found = [
        (name, string)
        for path in (exported.folder, exported.archive)
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file()
        for name, data in contents(file.relative_to(tmp_path).as_posix(), file.read_bytes())
        for string in set(strings)
        if string.encode() in data or string in name
    ]
    assert found == []
    card = (exported.folder / "docs" / "README.md").read_text(encoding="utf-8")
    assert "| training | 12 | 12 | 12 | 3 |" in card
    assert "The cohort is not named." in card
    assert not list(exported.folder.rglob("lineage.json"))
    assert not list(exported.folder.rglob("mlflow_run.json"))
    for name in ("train", "evaluate"):
        config = yaml.safe_load((exported.folder / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
        assert config["mlflow_uri"] is None


def test_the_strings_of_a_run_are_known(run: tuple[Path, list[str]]) -> None:
    folder, _ = run
    train = yaml.safe_load((folder / "configs" / "train.yaml").read_text(encoding="utf-8"))
    private = private_strings(folder, [train])
    assert {*SUBJECTS, f"visit{SUBJECTS[0]}", f"{GROUPS[0]}n0", "PLANTEDROW1"} <= private.ids
    assert {f"planted_{SUBJECTS[3]}_bold", f"planted_{SUBJECTS[3]}_mask"} <= private.places
    assert any(str(folder).startswith(place) for place in private.places)
    assert {*SITES.values(), *PLACES, COHORT, "datalist_planted.json"} <= private.names


def test_a_cohort_is_named_where_that_is_asked_for(run: tuple[Path, list[str]]) -> None:
    source = read_run(run[0], cohort_name="Penguins of Trondheim")
    assert source.sections["Data"].startswith("The cohort is Penguins of Trondheim.")


@pytest.mark.parametrize(
    ("name", "content"),
    [("datalist.json", b'{"training": '), ("datalist.json", b"\xff"), ("evaluation/windows.csv", b"subject\n\xff\n")],
    ids=["half a datalist", "no text", "damaged table"],
)
def test_names_that_cannot_be_read_stop_the_export(name: str, content: bytes, tmp_path: Path) -> None:
    """Whom a damaged file names is not known, so it cannot be searched."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(BundleError, match=rf"{name}: cannot be read .*expected the subjects"):
        private_strings(tmp_path, [{"datalist": str(tmp_path / "datalist.json")}])
