"""A converted bundle gives the published network's numbers, from its weights, its programs and a scan."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_tff.bundle import layout
from monai_tff.bundle.export import Details
from monai_tff.bundle.export.published_source import convert_published
from monai_tff.bundle.predictor import Predictor
from monai_tff.contract import Target
from monai_tff.networks import TFFPredictor, load_finished
from monai_tff.networks.original import original_name

TARGETS = {"ftb": Target("sex", "binary", ("F", "M")), "ftr": Target("age", "regression")}
PHASES = {"ae": "autoencoder", "etd": "transformer", "ftb": "finetune", "ftr": "finetune"}
TOLERANCE = {"ae": 1.3e-5, "etd": 1.3e-5, "ftb": 4.5e-7, "ftr": 1.9e-6}
"""Largest difference in float32, as in test_networks."""

CROP, TRIM, SHAPE, WINDOW = [[8, -8], [8, -8], [0, -10]], 10, (25, 27, 18, 22), 4
CASES = ["etd/h160/16x18x14", "ftr/h160/16x18x14"]
HEAVY = ["ae/h160/16x18x14", "ftb/h160/16x18x14", "ftb/h2640/75x93x81"]
TABLES = {name: Path(__file__).with_name(f"{name}.json") for name in ("keys", "expected")}
INPUTS = list(json.loads(TABLES["expected"].read_text())["model_tolerance"])


def sizes_of(word: str) -> tuple[int, ...]:
    return tuple(int(size) for size in word.split("x"))


def convert(folder: Path, kind: str, state: dict[str, torch.Tensor], **layer: object) -> Path:
    """Writes a checkpoint as the published code does, and converts it."""
    settings = folder / "layer.yaml"
    settings.write_text(json.dumps({"axis_codes": None, "mask": "nonzero", **layer}))
    content = {"model_state_dict": state, "optimizer_state_dict": {"state": {}}, "loss_value": np.float64(0.5)}
    torch.save(content, folder / "weights.pth")
    exported = convert_published(
        folder / "weights.pth",
        folder,
        Details(name=kind),
        layers=[settings],
        phase=PHASES[kind],
        target=TARGETS.get(kind),
        window_length=None if kind == "ae" else WINDOW,
        say=lambda _: None,
    )
    (folder / "weights.pth").unlink()
    return exported.folder


@pytest.fixture(scope="module")
def seeded(recipe) -> Callable[[dict], dict[str, torch.Tensor]]:
    """The weights of the reference, by their published names."""
    return lambda rows: {key: torch.from_numpy(recipe.weight(key, row["shape"])) for key, row in rows.items()}


@pytest.mark.parametrize("model", [*CASES, *(pytest.param(model, marks=pytest.mark.heavy) for model in HEAVY)])
def test_outputs_are_the_reference_s(model, recipe, keys, reference, seeded, tmp_path):
    kind, _, size = model.split("/")
    state = seeded(keys["models"][model]["parameters"])
    bundle = convert(tmp_path, kind, state, spatial_size=sizes_of(size))
    network, program = Predictor(bundle, device="cpu").network, torch.jit.load(str(bundle / layout.TORCHSCRIPT))
    assert sum(tensor.numel() for tensor in network.parameters()) == keys["models"][model]["count"]
    inputs = [name for name in INPUTS if name.startswith(f"{model}/")]
    assert inputs
    for name in inputs:
        frames, batch = (int(word[1:]) for word in name.split("/")[3:])
        image = torch.from_numpy(recipe.sequence("model", sizes_of(size), frames, batch))
        step, wanted = int(reference[f"model/{name}/output#stride"]), reference[f"model/{name}/output"].reshape(-1)
        for form in (network, program):
            with torch.no_grad():
                found = form(image).numpy()
            assert list(found.shape) == reference[f"model/{name}/output#shape"].tolist()
            assert np.abs(found.reshape(-1)[::step] - wanted).max() <= TOLERANCE[kind], name


def test_a_scan_gives_what_the_published_channels_give(recipe, reference, tmp_path):
    """From NIfTI, in stored order with the paper's crop and trim, to the outputs for the published channels."""
    channels = [np.nan_to_num(reference[f"prep/int16/{name}"], nan=0.0) for name in ("global", "per_voxel")]
    image = torch.from_numpy(np.stack(channels)[None]).float()
    size = tuple(image.shape[2:5])
    network = TFFPredictor(size, hidden_size=32, paper_head="binary").eval()
    shapes = {original_name(name): value.shape for name, value in network.named_parameters()}
    state = {name: torch.from_numpy(recipe.weight(name, shape)) for name, shape in shapes.items()}
    load_finished(network, {"model_state_dict": state})
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])  # stored as LAS, as HCP's scans are
    scan = nib.Nifti1Image(recipe.scan_int16(SHAPE), affine)
    scan.header.set_zooms((2.0, 2.0, 2.0, 0.72))
    nib.save(scan, tmp_path / "sub-01_bold.nii.gz")
    layer = {"spatial_size": size, "crop": CROP, "trim": TRIM, "repetition_time": 0.72, "voxel_size": [2, 2, 2]}
    bundle = convert(tmp_path, "ftb", state, **layer)
    prediction = Predictor(bundle, device="cpu").predict(tmp_path / "sub-01_bold.nii.gz")
    starts = [window["start"] for window in prediction.windows]
    assert starts == [0, 4, 8]
    with torch.no_grad():
        expected = [network(image[..., start : start + WINDOW]).item() for start in starts]
    assert len(set(expected)) == 3
    found = [window["scores"]["M"] for window in prediction.windows]
    assert found == pytest.approx(expected, abs=1e-6)
