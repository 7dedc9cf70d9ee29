"""What lies in the folder in which the commands of a document are run, under the names that the document uses."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from command_lines import ROOT, snippets

from monai_tff.networks import TFFPredictor
from monai_tff.networks.original import original_name

GRID = (8, 10, 9)
TINY = {"spatial_size": list(GRID), "crop": None, "trim": 0, "axis_codes": None, "mask": "nonzero", "voxel_size": None}
SMALL_WEIGHTS: dict[str, Any] = {"hidden_size": 32, "num_layers": 1, "feedforward_size": 64}
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

    @property
    def cohort(self) -> Any:
        """The shared simulated cohort."""
        return self.fixture("cohort")

    def command(self, *words: object) -> None:
        """Calls a command of monai_tff that makes material."""
        result = self.fixture("command")(*words)
        assert result.exit_code == 0, result.output

    def path(self, name: str) -> Path:
        """A path of the document, its folder made."""
        path = Path(OUTSIDE.sub(lambda match: f"{self.folder}/{match.group(1)}", name))
        path = path if path.is_absolute() else self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, name: str, text: str) -> None:
        """A file of the document."""
        self.path(name).write_text(text, encoding="utf-8")

    def outside(self, text: str) -> str:
        """A text with `/data/` and `/scratch/` in the folder."""
        return OUTSIDE.sub(lambda match: f"{self.folder}/{match.group(1)}", text)

    def study(self, folder: str, layer: str = "my_study.yaml") -> None:
        """The simulated cohort, and a dataset layer for it."""
        shutil.copytree(self.cohort.folder, self.path(folder), dirs_exist_ok=True)
        shutil.copy(self.cohort.datalists["sex"], self.path(f"{folder}/datalist.json"))
        values = {"dataset_dir": str(self.path(folder)), "datalist": str(self.path(f"{folder}/datalist.json"))}
        self.write(layer, yaml.safe_dump({**values, "spatial_size": list(GRID), "repetition_time": 2.0}))

    def new_scans(self, folder: str = "/data/new_scans", count: int = 2) -> None:
        """Scans without label."""
        for scan in sorted(self.cohort.folder.rglob("*_bold.nii.gz"))[:count]:
            shutil.copy(scan, self.path(f"{folder}/{scan.name}"))

    def run(self, folder: str, phase: str = "finetune") -> None:
        """A finished run of a phase."""
        shutil.copytree(getattr(self.fixture("runs"), phase), self.path(folder))

    def weights(self, name: str, network: torch.nn.Module) -> None:
        """A checkpoint in the published format."""
        state = {original_name(key): value for key, value in network.state_dict().items()}
        torch.save({"model_state_dict": state}, self.path(name))

    def tree(self, name: str, folder: str, layers: bool = True) -> Path:
        """A cohort's tree of real files, at the place that the document names; its tables beside."""
        made = Path(trees.TREES[name](self.path(f"made/{name}"))[0])
        made.rename(self.path(folder))
        return self.path(f"made/{name}")


def prepare(bench: Bench) -> Path:
    """Fills the folder for its document: its own layers and experiments, a tiny grid, and what `MATERIAL` says.

    Returns:
        Where the commands are run.
    """
    for name in ("bundles", "configs"):
        (bench.folder / name).symlink_to(ROOT / name)
    bench.write("tiny.yaml", yaml.safe_dump(TINY))
    name = bench.document.relative_to(ROOT).as_posix()
    working = MATERIAL[name](bench) or bench.folder
    for text in snippets(bench.document, "yaml"):
        named = re.match(r"# (\S+\.yaml)\n", text)
        if named and not (working / named.group(1)).exists():
            text = re.sub(r"monai_tff:configs/datasets/\w+\.yaml", "tiny.yaml", bench.outside(text))
            bench.write(named.group(1), text)
    return working


def readme(bench: Bench) -> None:
    """A study after fMRIPrep with a diagnosis, and HCP's plain runs."""
    bench.tree("bids", "/data/my_study")
    table = bench.path("/data/my_study/participants.tsv")
    header, *rows = table.read_text(encoding="utf-8").splitlines()
    rows = [f"{row}\t{('CONTROL', 'SCHZ')[number // 2 % 2]}" for number, row in enumerate(rows)]
    table.write_text("\n".join([f"{header}\tdiagnosis", *rows]) + "\n", encoding="utf-8")
    bench.write("my_study.yaml", yaml.safe_dump({"spatial_size": list(GRID), "repetition_time": 2.0}))
    bench.new_scans()
    hcp(bench, "/data/hcp")
    for scan in bench.path("/data/hcp").rglob("*_hp2000_clean.nii.gz"):
        scan.rename(scan.with_name(scan.name.replace("_hp2000_clean", "")))
    tables = [part for name in ("unrestricted", "restricted") for part in ("--table", bench.path(f"{name}.csv"))]
    made = bench.path("hcp_sex.json")
    bench.command("datalist", bench.path("/data/hcp"), "--cohort", "hcp", "--target", "sex", *tables, "-o", made)


def hcp(bench: Bench, folder: str = "/data/HCP_1200") -> None:
    """HCP's runs after ICA-FIX, and its two tables."""
    beside = bench.tree("hcp", folder)
    for table in ("unrestricted", "restricted"):
        (beside / f"{table}_1.csv").rename(bench.path(f"{table}.csv"))


def ucla(bench: Bench) -> None:
    """UCLA with its derivative."""
    bench.tree("ucla", "/data/ds000030")


def ds000030(bench: Bench) -> None:
    """The same beside, and a datalist and a layer of it."""
    bench.tree("ucla", "ds000030")
    bench.command(
        "datalist",
        bench.path("ds000030"),
        "--cohort",
        "ucla",
        "--target",
        "diagnosis",
        "-o",
        bench.path("datalist.json"),
    )
    values = {"dataset_dir": "ds000030", "datalist": "datalist.json", "spatial_size": list(GRID)}
    bench.write("my_dataset.yaml", yaml.safe_dump({**values, "repetition_time": 2.0}))


def oasis3(bench: Bench) -> None:
    """OASIS-3 after fMRIPrep, and its three tables."""
    beside = bench.tree("oasis3", "FMRIPREP")
    for table in beside.glob("*.csv"):
        table.rename(bench.path(table.name))
    days = [(number, day + number) for number in range(trees.SUBJECTS) for day in (100, 800)]
    rows = [[f"OAS3{number + 1:04d}_MR_d{day:04d}", "TrioTim", 35248] for number, day in days]
    trees.write_table(bench.path("OASIS3_MR_json.csv"), ["label", "ManufacturersModelName", "DeviceSerialNumber"], rows)


def bids(bench: Bench) -> None:
    """A folder of scans with participants.tsv, and a table of its own."""
    shutil.copytree(bench.cohort.folder, bench.path("FOLDER"))
    scans = sorted(bench.path("FOLDER").rglob("*_bold.nii.gz"))
    names = [re.match(r"sub-([^_]+)", scan.name) for scan in scans]
    rows = [
        [name.group(1), ("ill", "well")[number % 2], scan.relative_to(bench.path("FOLDER"))]
        for number, (name, scan) in enumerate(zip(names, scans, strict=True))
        if name is not None
    ]
    trees.write_table(bench.path("labels.csv"), ["ID", "dx", "file"], rows)


def public_cohorts(bench: Bench) -> None:
    """What nilearn's downloaders leave."""
    trees.TREES["development_fmri"](bench.path("nilearn_data/x").parent)
    public.adhd(bench.path("nilearn_data/x").parent)
    public.abide(bench.path("nilearn_data/x").parent)


def published(bench: Bench) -> None:
    """Tensors of the published code, and a table of its cohort."""
    trees.TREES["published"](bench.path("made/published"))
    bench.path("made/tensors").rename(bench.path("MNI_to_TRs"))
    bench.path("made/subjects.csv").rename(bench.path("hcp.csv"))


def cluster(bench: Bench) -> None:
    """HCP with a datalist."""
    hcp(bench)
    tables = [part for name in ("unrestricted", "restricted") for part in ("--table", bench.path(f"{name}.csv"))]
    made, scans = bench.path("hcp_sex.json"), bench.path("/data/HCP_1200")
    bench.command("datalist", scans, "--cohort", "hcp", "--target", "sex", *tables, "-o", made)


def convert(bench: Bench) -> None:
    """A checkpoint of the published code, and scans."""
    bench.weights("finetune.pth", TFFPredictor(GRID, **SMALL_WEIGHTS))
    for number in range(2):
        trees.write_scan(bench.path(f"/data/hcp/sub-{number}_task-rest_bold.nii.gz"), number, seconds=0.72)


def share(bench: Bench) -> None:
    """Two runs, the terms of the data, and a bundle that was downloaded."""
    bench.run("runs/hcp_sex/finetune")
    bench.run("runs/hcp_sex_longer/finetune")
    bench.write("hcp_terms.txt", "Open access terms of the cohort.\n")
    bench.new_scans("new_scans")
    shutil.copytree(bench.fixture("exports")("sex").folder, bench.path("bundles_got/hcp_sex_classification"))


def verify(bench: Bench) -> None:
    """A bundle as a zip file."""
    shutil.copy(bench.fixture("exports")("sex").archive, bench.path("hcp_sex_classification_v0.1.0.zip"))


def serve(bench: Bench) -> None:
    """Nothing: the token alone is made here."""


def long_windows(bench: Bench) -> None:
    """A study and its layer."""
    bench.study("my_study")


def several_gpus(bench: Bench) -> None:
    """A study with its experiment, and a run of phase 2."""
    bench.study("study", "study/my_dataset.yaml")
    shutil.copy(bench.path("study/my_dataset.yaml"), bench.path("my_dataset.yaml"))
    recipe = yaml.safe_load((ROOT / "configs/experiments/recommended.yaml").read_text(encoding="utf-8"))
    for phase in recipe["phases"].values():
        phase["config_file"].append("my_dataset.yaml")
    bench.write("study/my_experiment.yaml", yaml.safe_dump(recipe))
    bench.run("runs/transformer", "transformer")


def hardware(bench: Bench) -> None:
    """A cohort in place of the demo's, which is larger."""
    bench.study("cohort")


def bundle(bench: Bench) -> Path:
    """The bundle beside the other one, a study, and runs of phases 1 and 2."""
    for path in sorted((ROOT / "bundles").glob("tff_*")):
        shutil.copytree(path, bench.path(f"copied/{path.name}"), ignore=shutil.ignore_patterns("runs", "models"))
    bench.run("copied/tff_fmri_reconstruction/runs/transformer_before", "transformer")
    name = bench.document.parents[1].name
    bench.study("my_study", f"copied/{name}/my_dataset.yaml")
    bench.new_scans()
    return bench.path(f"copied/{name}/x").parent


MATERIAL: dict[str, Callable[[Bench], Path | None]] = {
    "README.md": readme,
    "docs/explanation/packed_scans.md": ds000030,
    "docs/how_to/check_a_cohort.md": ds000030,
    "docs/how_to/choose_hardware_options.md": hardware,
    "docs/how_to/cohort_bids.md": bids,
    "docs/how_to/cohort_hcp.md": hcp,
    "docs/how_to/cohort_oasis3.md": oasis3,
    "docs/how_to/cohort_public.md": public_cohorts,
    "docs/how_to/cohort_ucla.md": ucla,
    "docs/how_to/convert_published_weights.md": convert,
    "docs/how_to/prepare_on_a_cluster.md": cluster,
    "docs/how_to/published_material.md": published,
    "docs/how_to/serve.md": serve,
    "docs/how_to/share_a_bundle.md": share,
    "docs/how_to/start_a_study.md": ds000030,
    "docs/how_to/train_on_long_windows.md": long_windows,
    "docs/how_to/train_on_several_gpus.md": several_gpus,
    "docs/how_to/verify_a_bundle.md": verify,
    "bundles/tff_fmri_prediction/docs/README.md": bundle,
    "bundles/tff_fmri_reconstruction/docs/README.md": bundle,
}
"""What each document with commands needs, by its path."""
