"""Real scans from datalist to test predictions, once from their files and once packed: the same numbers.

The scans of rest20 are integers, which packing keeps; the networks are tiny and predict nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from typer.testing import Result

from monai_tff.data.content import content_hash
from monai_tff.data.packed import open_packed, verify_packed

REST = (Path(__file__).parents[2] / ".." / "shared" / "realdata" / "rest20").resolve()
PHASES = ("autoencoder", "transformer", "finetune")
Command = Callable[..., Result]

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not REST.exists(), reason="the real scans of ../shared/realdata are not beside the project"),
]

SETTINGS = {
    "hidden_size": 32,
    "max_epochs": 1,
    "windows_per_scan": 1,
    "use_tensorboard": False,
    "autoencoder:use_perceptual": False,
    "transformer:use_perceptual": False,
    "autoencoder:max_validation_windows": 1,
    "transformer:max_validation_windows": 1,
    "finetune:batch_size": 4,
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, command: Command) -> Path:
    """A working folder with the datalist and the layer of the cohort, checked and packed."""
    folder = tmp_path_factory.mktemp("rest20")
    datalist = folder / "rest20.json"
    result = command("datalist", REST, "--target", "sex", "--ratios", "0.5,0.25,0.25", "--output", datalist)
    assert result.exit_code == 0, result.output
    layer = {
        "dataset_dir": str(REST),
        "datalist": str(datalist),
        "spatial_size": [17, 20, 17],
        "repetition_time": 2.0,
    }
    (folder / "rest20.yaml").write_text(yaml.safe_dump(layer))
    layers = ["--layer", folder / "rest20.yaml"]
    result = command("check", *layers, "--output", folder / "report")
    assert result.exit_code == 0, result.output
    result = command("prepare", *layers, "--output", folder / "packed", "--workers", 1)
    assert result.exit_code == 0, result.output
    return folder


def run(work: Path, command: Command, name: str, *options: str) -> Path:
    """Trains the three phases with the layer, and evaluates: the run's folder."""
    recommended = yaml.safe_load((Path(__file__).parents[2] / "configs/experiments/recommended.yaml").read_text())
    for phase in recommended["phases"].values():
        phase["config_file"].append("rest20.yaml")
    (work / "experiment.yaml").write_text(yaml.safe_dump(recommended, sort_keys=False))
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    alone = [part for step in ("control", "baselines", "explain", "report") for part in ("--without", step)]
    result = command("run", work / "experiment.yaml", "--run-dir", work / name, *settings, *options, *alone)
    assert result.exit_code == 0, result.output
    return work / name


@pytest.fixture(scope="module")
def plain(work: Path, command: Command) -> Path:
    """The run from the scans themselves."""
    return run(work, command, "from_files")


def test_the_datalist_knows_the_contents(work: Path) -> None:
    content = json.loads((work / "rest20.json").read_text())
    records = [record for section in ("training", "validation", "test") for record in content[section]]
    assert len({record["content"] for record in records}) == len(records) == 20
    assert records[0]["content"] == content_hash(REST / records[0]["image"])


def test_packed_scans_are_whole_and_keep_the_integers(work: Path) -> None:
    paths = sorted((work / "packed").rglob("*.safetensors"))
    assert len(paths) == 20
    for path in paths:
        verify_packed(path)
        scan = open_packed(path)
        assert scan.encoding == "integers"
        assert path.stat().st_size < 2.1 * scan.num_frames * scan.num_voxels + 2**14


@pytest.mark.parametrize("memory_map", [True, False])
def test_packed_scans_give_the_predictions_of_their_files(
    work: Path, plain: Path, command: Command, memory_map: bool
) -> None:
    options = ["--set", f"packed_dir={work / 'packed'}", "--set", f"memory_map={memory_map}"]
    packed = run(work, command, f"packed_{memory_map}", *options)
    for phase in PHASES:
        one, other = (
            torch.load(folder / phase / "models" / "model.pt", weights_only=True)["model"] for folder in (plain, packed)
        )
        assert [name for name in one if not torch.equal(one[name], other[name])] == []
    tables = [pd.read_csv(folder / "finetune" / "evaluation" / "windows.csv") for folder in (plain, packed)]
    assert len(tables[0]) == len(tables[1]) > 0
    pd.testing.assert_frame_equal(*tables, rtol=0, atol=1e-5)
    predictions = [pd.read_csv(folder / "finetune" / "evaluation" / "predictions.csv") for folder in (plain, packed)]
    pd.testing.assert_frame_equal(*predictions, rtol=0, atol=1e-5)
