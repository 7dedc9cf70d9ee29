"""What lies in the folder in which the commands of a document are run, under the names that the document uses."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
import yaml
from command_lines import ROOT, snippets

from monai_tff.networks import TFFPredictor
from monai_tff.networks.original import original_name

GRID = (8, 10, 9)
TINY: dict[str, Any] = {"spatial_size": list(GRID), "crop": None, "trim": 0, "voxel_size": None}
"""What layers of real grids of 2 or 3 mm get over them."""

OUTSIDE = re.compile(r"(?<![\w.])/(data|scratch)(?=/)")
"""Folders of a machine that documents name; they lie in the folder of the document."""


def load(path: str) -> Any:
    """A file of the tests as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / "tests" / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


trees = load("end_to_end/cohort_trees.py")
trees.SUBJECTS = 24
public = load("data/cohorts/test_public.py")


@dataclass(frozen=True)
class Bench:
    """A folder to fill, and what the fixtures of the tests offer.

    Attributes:
        folder: where the document's commands are run.
        document: whose layers and experiments are written.
        fixture: a shared fixture of the tests by its name, made when it is asked for.
    """

    folder: Path
    document: Path
    fixture: Callable[[str], Any]

    def outside(self, text: str) -> str:
        """A text with `/data/` and `/scratch/` in the folder."""
        return OUTSIDE.sub(lambda match: f"{self.folder}/{match.group(1)}", text)

    def path(self, name: str) -> Path:
        """A path of the document; the folder that it is in is made."""
        path = self.folder / self.outside(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, values: dict[str, Any]) -> None:
        """A YAML file of the document."""
        self.path(name).write_text(yaml.safe_dump(values), encoding="utf-8")

    def command(self, *words: object) -> None:
        """Calls a command of monai_tff that makes material."""
        result = self.fixture("command")(*words)
        assert result.exit_code == 0, result.output

    def study(self, folder: str, layer: str) -> None:
        """The shared simulated cohort, and a dataset layer for it."""
        cohort = self.fixture("cohort")
        shutil.copytree(cohort.folder, self.path(folder))
        shutil.copy(cohort.datalists["sex"], self.path(f"{folder}/datalist.json"))
        places = {"dataset_dir": str(self.path(folder)), "datalist": str(self.path(f"{folder}/datalist.json"))}
        self.write(layer, {**places, "spatial_size": list(GRID), "repetition_time": 2.0})

    def new_scans(self, folder: str) -> None:
        """Two scans without label."""
        for scan in sorted(self.fixture("cohort").folder.rglob("*_bold.nii.gz"))[:2]:
            shutil.copy(scan, self.path(f"{folder}/{scan.name}"))

    def run(self, folder: str, phase: str = "finetune") -> None:
        """A finished run of a phase of the shared cohort."""
        shutil.copytree(getattr(self.fixture("runs"), phase), self.path(folder))


def prepare(bench: Bench) -> Path:
    """Fills the folder for its document: what `MATERIAL` says, and the document's own layers and experiments.

    Returns:
        Where the commands are run.
    """
    for name in ("bundles", "configs"):
        (bench.folder / name).symlink_to(ROOT / name)
    bench.write("tiny.yaml", TINY)
    working = MATERIAL[bench.document.relative_to(ROOT).as_posix()](bench) or bench.folder
    for text in snippets(bench.document, "yaml"):
        named = re.match(r"# (\S+\.yaml)\n", text)
        if named and not (working / named.group(1)).exists():
            own_layer = "dataset_dir:" in text
            text = bench.outside(text) + (yaml.safe_dump(TINY) if own_layer else "")
            bench.path(named.group(1)).write_text(text, encoding="utf-8")
    return working


def nothing(bench: Bench) -> None:
    """Nothing: the commands make what they need, or the Python stands alone."""


def readme(bench: Bench) -> None:
    """A study after fMRIPrep with a diagnosis, HCP's plain runs with a datalist, and new scans."""
    trees.TREES["bids"](bench.path("/data/my_study"))
    table = bench.path("/data/my_study/participants.tsv")
    header, *rows = table.read_text(encoding="utf-8").splitlines()
    rows = [f"{row}\t{('CONTROL', 'SCHZ')[number // 2 % 2]}" for number, row in enumerate(rows)]
    table.write_text("\n".join([f"{header}\tdiagnosis", *rows]) + "\n", encoding="utf-8")
    bench.write("my_study.yaml", {"spatial_size": list(GRID), "repetition_time": 2.0})
    for number in range(2):
        trees.write_scan(bench.path(f"/data/new_scans/sub-{number}_task-rest_bold.nii.gz"), number)
    hcp_with_datalist(bench, "/data/hcp", cleaned=False)


def hcp(bench: Bench, folder: str = "/data/HCP_1200", cleaned: bool = True) -> None:
    """HCP's runs, after ICA-FIX or plain, and its two tables."""
    made = Path(trees.TREES["hcp"](bench.path("made/hcp"))[0])
    made.rename(bench.path(folder))
    for table in ("unrestricted", "restricted"):
        bench.path(f"made/hcp/{table}_1.csv").rename(bench.path(f"{table}.csv"))
    for scan in [] if cleaned else list(bench.path(folder).rglob("*_hp2000_clean.nii.gz")):
        scan.rename(scan.with_name(scan.name.replace("_hp2000_clean", "")))


def hcp_with_datalist(bench: Bench, folder: str = "/data/HCP_1200", cleaned: bool = True) -> None:
    """The same with a datalist of the sex."""
    hcp(bench, folder, cleaned)
    tables = [part for name in ("unrestricted", "restricted") for part in ("--table", bench.path(f"{name}.csv"))]
    options = ["--cohort", "hcp", "--target", "sex", *tables, "--output", bench.path("hcp_sex.json")]
    bench.command("datalist", bench.path(folder), *options)


def plain_hcp(bench: Bench) -> None:
    """Plain runs with a datalist, and a layer of them."""
    hcp_with_datalist(bench, cleaned=False)


def ucla(bench: Bench) -> None:
    """UCLA with its derivative."""
    trees.TREES["ucla"](bench.path("/data/ds000030"))


def ds000030(bench: Bench) -> None:
    """The same beside, and a datalist of it."""
    trees.TREES["ucla"](bench.path("ds000030"))
    options = ["--cohort", "ucla", "--target", "diagnosis", "--output", bench.path("datalist.json")]
    bench.command("datalist", bench.path("ds000030"), *options)


def derivative(bench: Bench) -> None:
    """A derivative with its datalist, and a layer of both."""
    trees.TREES["bids"](bench.path("ds000030"))
    folder, made = bench.path("ds000030/derivatives/fmriprep"), bench.path("datalist.json")
    bench.command("datalist", folder, "--raw", bench.path("ds000030"), "--target", "age", "--output", made)
    places = {"dataset_dir": str(folder), "datalist": str(made)}
    bench.write("my_dataset.yaml", {**places, "spatial_size": list(GRID), "repetition_time": 2.0})


def oasis3(bench: Bench) -> None:
    """OASIS-3 after fMRIPrep, and its three tables."""
    made = Path(trees.TREES["oasis3"](bench.path("made/oasis3"))[0])
    made.rename(bench.path("FMRIPREP"))
    for table in bench.path("made/oasis3").glob("*.csv"):
        table.rename(bench.path(table.name))
    days = [(number, day + number) for number in range(trees.SUBJECTS) for day in (100, 800)]
    rows = [[f"OAS3{number + 1:04d}_MR_d{day:04d}", "TrioTim", 35248] for number, day in days]
    trees.write_table(bench.path("OASIS3_MR_json.csv"), ["label", "ManufacturersModelName", "DeviceSerialNumber"], rows)


def bids(bench: Bench) -> None:
    """A folder of scans with participants.tsv, and a table of its own."""
    folder = bench.path("FOLDER")
    shutil.copytree(bench.fixture("cohort").folder, folder)
    scans = sorted(folder.rglob("*_bold.nii.gz"))
    rows = [
        [scan.name.split("_")[0].removeprefix("sub-"), ("ill", "well")[number % 2], scan.relative_to(folder)]
        for number, scan in enumerate(scans)
    ]
    trees.write_table(bench.path("labels.csv"), ["ID", "dx", "file"], rows)


def public_cohorts(bench: Bench) -> None:
    """What nilearn's downloaders leave; no two scans are the same."""
    folder = bench.path("nilearn_data/development_fmri").parent
    trees.TREES["development_fmri"](folder)
    public.adhd(folder)
    public.abide(folder)
    for number, scan in enumerate(sorted(folder.rglob("*.nii.gz"))):
        scan.unlink()  # one file under many names
        trees.write_scan(scan, number)


def published(bench: Bench) -> None:
    """Tensors of the published code, and a table of its cohort."""
    trees.TREES["published"](bench.path("made/published"))
    bench.path("made/tensors").rename(bench.path("MNI_to_TRs"))
    bench.path("made/subjects.csv").rename(bench.path("hcp.csv"))


def convert(bench: Bench) -> None:
    """A checkpoint of the published code, and scans."""
    network = TFFPredictor(GRID, hidden_size=32, num_layers=1, feedforward_size=64)
    state = {original_name(key): value for key, value in network.state_dict().items()}
    torch.save({"model_state_dict": state}, bench.path("finetune.pth"))
    for number in range(2):
        trees.write_scan(bench.path(f"/data/hcp/sub-{number}_task-rest_bold.nii.gz"), number, seconds=0.72)


def share(bench: Bench) -> None:
    """A run, the terms of the data, and new scans."""
    bench.run("runs/hcp_sex/finetune")
    bench.path("hcp_terms.txt").write_text("Open access terms of the cohort.\n", encoding="utf-8")
    bench.new_scans("new_scans")


def study(bench: Bench) -> None:
    """A study with its layer and datalist."""
    bench.study("my_cohort", "study/my_dataset.yaml")
    shutil.copy(bench.path("my_cohort/datalist.json"), bench.path("study/datalist.json"))


def finished(bench: Bench) -> None:
    """A run, an earlier one, and an atlas of two regions in the space of the scans."""
    bench.run("runs/my_study/finetune")
    bench.run("runs/earlier/finetune")
    mask = nib.load(next(bench.fixture("cohort").folder.rglob("*_mask.nii.gz")))
    regions = np.asanyarray(mask.dataobj).astype(np.int16)
    regions[: regions.shape[0] // 2] *= 2
    nib.save(nib.Nifti1Image(regions, mask.affine), bench.path("atlas.nii.gz"))
    trees.write_table(bench.path("atlas.tsv"), ["index", "name"], [[1, "right"], [2, "left"]])


def bundle(bench: Bench) -> Path:
    """The bundle beside the other one with its run of phase 2, a study, and new scans."""
    for path in sorted((ROOT / "bundles").glob("tff_*")):
        shutil.copytree(path, bench.path(f"copied/{path.name}"), ignore=shutil.ignore_patterns("runs", "models"))
    bench.run("copied/tff_fmri_reconstruction/runs/transformer", "transformer")
    folder = bench.path(f"copied/{bench.document.parents[1].name}")
    bench.study("my_study", f"{folder}/my_dataset.yaml")
    bench.new_scans("/data/new_scans")
    return folder


MATERIAL: dict[str, Callable[[Bench], Path | None]] = {
    "README.md": readme,
    "bundles/tff_fmri_prediction/docs/README.md": bundle,
    "docs/explanation/model.md": nothing,
    "docs/explanation/packed_scans.md": ds000030,
    "docs/how_to/check_a_cohort.md": derivative,
    "docs/how_to/cohort_bids.md": bids,
    "docs/how_to/cohort_hcp.md": hcp,
    "docs/how_to/cohort_oasis3.md": oasis3,
    "docs/how_to/cohort_public.md": public_cohorts,
    "docs/how_to/cohort_ucla.md": ucla,
    "docs/how_to/compare_with_baselines.md": finished,
    "docs/how_to/convert_published_weights.md": convert,
    "docs/how_to/prepare_on_a_cluster.md": plain_hcp,
    "docs/how_to/published_material.md": published,
    "docs/how_to/resume_a_run.md": study,
    "docs/how_to/run_folds_and_seeds.md": study,
    "docs/how_to/serve.md": nothing,
    "docs/how_to/share_a_bundle.md": share,
    "docs/how_to/start_a_study.md": ds000030,
    "docs/how_to/train_on_several_gpus.md": study,
    "docs/tutorial/demo.md": nothing,
}
"""What each document with commands needs, by its path."""
