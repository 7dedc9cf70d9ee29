"""A converted bundle: it verifies, predicts what the network gives, evaluates, and says what is not known."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_tff.bundle import layout
from monai_tff.bundle.experiment import run_workflow
from monai_tff.bundle.export import Details
from monai_tff.bundle.export.published_source import convert_published
from monai_tff.bundle.predictor import Predictor
from monai_tff.bundle.verification import opened_bundle, verify_bundle
from monai_tff.contract import Target
from monai_tff.data.find_scans import find_scans
from monai_tff.errors import BundleError, WeightsError
from monai_tff.networks import TFFAutoEncoder, TFFPredictor, TFFReconstructor
from monai_tff.networks.original import original_name

SIZE, WINDOW, TRIM = (8, 10, 9), 5, 1
SIZES = {"num_layers": 1, "feedforward_size": 64}
SECRET = "ward_seven_of_st_elsewhere"
KINDS: dict[str, Callable[[], torch.nn.Module]] = {
    "autoencoder": lambda: TFFAutoEncoder(SIZE, hidden_size=32),
    "transformer": lambda: TFFReconstructor(SIZE, hidden_size=32, **SIZES),
    "binary": lambda: TFFPredictor(SIZE, hidden_size=32, **SIZES, paper_head="binary"),
    "regression": lambda: TFFPredictor(SIZE, hidden_size=32, **SIZES, paper_head="regression"),
}
COHORTS = {"binary": "HCP S1200"}
AXIS_CODES = {"transformer": "RAS"}  # as the simulated scans are stored, but not what the published code does
TARGETS = {"binary": Target("sex", "binary", ("F", "M")), "regression": Target("age", "regression")}


def network_of(kind: str) -> torch.nn.Module:
    """A network whose head says something: the initial one gives nearly the same for all scans."""
    torch.manual_seed(0)
    network = KINDS[kind]().eval()
    if kind in TARGETS:
        torch.nn.init.normal_(network.get_parameter("head.weight"))
        torch.nn.init.constant_(network.get_parameter("head.bias"), 30.0 if kind == "regression" else 0.0)
    return network


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SimpleNamespace]:
    """Converts once per kind: the exported bundle, the file it came from, and what was said."""
    made: dict[str, SimpleNamespace] = {}

    def convert(kind: str) -> SimpleNamespace:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind) / SECRET / "conv"  # a word that tensors are named by, too
            folder.mkdir(parents=True)
            layer, weights = folder / "layer.yaml", folder / "weights.pth"
            layer.write_text(
                f"spatial_size: {list(SIZE)}\naxis_codes: {AXIS_CODES.get(kind, 'null')}\nmask: nonzero\n"
                f"trim: {TRIM}\nrepetition_time: 2.0\ndataset_dir: {folder}\n"
            )
            state = {original_name(name): tensor for name, tensor in network_of(kind).state_dict().items()}
            torch.save({"model_state_dict": state, "loss_value": np.float64(0.5), "note": str(folder)}, weights)
            said: list[str] = []
            exported = convert_published(
                weights,
                tmp_path_factory.mktemp("out"),
                Details(name=f"published_{kind}", cohort_name=COHORTS.get(kind)),
                layers=[layer],
                target=TARGETS.get(kind),
                window_length=None if kind == "autoencoder" else WINDOW,
                say=said.append,
            )
            made[kind] = SimpleNamespace(**vars(exported), weights=weights, layer=layer, said=said)
        return made[kind]

    return convert


@pytest.fixture(scope="module")
def scan(cohort: Any) -> str:
    return find_scans(cohort.folder)[0]["image"]


def published_input(path: str) -> torch.Tensor:
    """The two channels [1, 2, H, W, D, T] of a scan by the published arithmetic, in double precision."""
    frames = nib.load(path).get_fdata()[..., TRIM:]
    background = frames == 0
    by_scan = (frames - frames[~background].mean()) / frames[~background].std(ddof=1)
    by_scan[background] = by_scan.min()
    by_voxel = (frames - frames.mean(-1, keepdims=True)) / np.maximum(frames.std(-1, ddof=1, keepdims=True), 1e-12)
    by_voxel[background] = 0
    return torch.from_numpy(np.stack([by_scan, by_voxel])[None])


def test_it_passes_verification_as_a_stranger_s(converted: Callable[[str], SimpleNamespace]) -> None:
    """Every conversion verifies its result itself; here it is read again, from the zip file."""
    with opened_bundle(converted("regression").archive) as folder:
        assert verify_bundle(folder) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_there(kind: str, converted: Callable[[str], SimpleNamespace]) -> None:
    folder = converted(kind).folder
    assert {*layout.REQUIRED, layout.TRAIN, layout.EVALUATE} == set(files_of(folder))


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", TARGETS)
def test_predictions_are_the_network_s_own(kind: str, converted: Callable[[str], SimpleNamespace], scan: str) -> None:
    image = published_input(scan)
    with torch.no_grad():
        outputs = [network_of(kind).double()(image[..., start : start + WINDOW]).item() for start in (0, 5, 6)]
    prediction = Predictor(converted(kind).folder, device="cpu").predict(scan)
    assert [window["start"] for window in prediction.windows] == [0, 5, 6]
    name = TARGETS[kind].class_names[-1] if kind == "binary" else "age"
    assert [window["scores"][name] for window in prediction.windows] == pytest.approx(outputs, abs=1e-4)
    assert prediction.scores[name] == pytest.approx(np.mean(outputs), abs=1e-4)


@pytest.mark.parametrize("kind", ["autoencoder", "transformer"])
def test_reconstructions_are_the_network_s_own(
    kind: str, converted: Callable[[str], SimpleNamespace], scan: str, command: Callable[..., Any], tmp_path: Path
) -> None:
    result = command("predict", converted(kind).folder, scan, "--output-dir", tmp_path)
    assert result.exit_code == 0, result.output
    (written,) = tmp_path.rglob("*.nii.gz")
    found, frames = nib.load(written).get_fdata(), nib.load(scan).get_fdata()[..., TRIM:]
    with torch.no_grad():
        first = network_of(kind).double()(published_input(scan)[..., :WINDOW])[0, 0].numpy()
    inside, values = (frames != 0).any(-1), frames[frames != 0]
    expected = first * values.std(ddof=1) + values.mean()
    np.testing.assert_allclose(found[inside][:, :WINDOW], expected[inside], rtol=1e-3, atol=1e-3 * values.std())
    assert (found[~inside] == 0).all()


@pytest.mark.parametrize("kind", TARGETS)
def test_the_command_predicts_the_same(
    kind: str, converted: Callable[[str], SimpleNamespace], scan: str, command: Callable[..., Any], tmp_path: Path
) -> None:
    result = command("predict", converted(kind).folder, scan, "--output-dir", tmp_path, "--device", "cpu")
    assert result.exit_code == 0, result.output
    (row,) = json.loads((tmp_path / "predictions.json").read_text())
    prediction = Predictor(converted(kind).folder, device="cpu").predict(scan)
    assert row["score"] == [*prediction.scores.values()][-1]


def test_an_evaluation_says_that_the_overlap_is_unknown(
    converted: Callable[[str], SimpleNamespace], cohort: Any, tmp_path: Path
) -> None:
    places = {"dataset_dir": str(cohort.folder), "datalist": str(cohort.datalists["sex"]), "output_dir": str(tmp_path)}
    before = files_of(converted("binary").folder)
    overrides = {**places, "bootstrap_samples": 20, "use_tensorboard": False}
    run_workflow([str(converted("binary").folder / layout.EVALUATE)], "eval", overrides)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["pretraining_overlap"] == "unknown"
    assert found["flat"] is True
    assert files_of(converted("binary").folder) == before


@pytest.mark.parametrize("kind", ["binary", "transformer"])
def test_another_preparation_than_the_published_one_is_noted(
    kind: str, converted: Callable[[str], SimpleNamespace]
) -> None:
    notes = [line for line in converted(kind).said if line.startswith("note: ")]
    assert len(notes) == (kind in AXIS_CODES)
    assert all("axis_codes is RAS, with the published code it is None" in note for note in notes)


def contents(path: Path) -> list[bytes]:
    """Bytes of a file, and of what is inside where it is a zip archive."""
    found = [path.read_bytes()]
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            found += [archive.read(name) for name in archive.namelist()]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_tells_where_the_weights_lay(kind: str, converted: Callable[[str], SimpleNamespace]) -> None:
    files = [path for path in (*converted(kind).folder.rglob("*"), converted(kind).archive) if path.is_file()]
    assert len(files) > len(layout.REQUIRED)
    assert [path for path in files if any(SECRET.encode() in content for content in contents(path))] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_says_what_is_known_and_what_is_not(kind: str, converted: Callable[[str], SimpleNamespace]) -> None:
    card = (converted(kind).folder / layout.MODEL_CARD).read_text()
    words = " ".join(card.split())
    digest = hashlib.sha256(converted(kind).weights.read_bytes()).hexdigest()
    phase = "finetune" if kind in TARGETS else kind
    outputs = {
        "binary": "one probability (the published sigmoid) of the positive class of sex, which is M",
        "regression": "age in its own units, behind the published LeakyReLU",
    }
    for sentence in (
        outputs.get(kind, "the reconstruction of channel 0"),
        "converted from a file in the format of the published TFF code",
        f"SHA-256 of the file: `{digest}`",
        "Pretraining overlap: unknown",
        "monai_tff knows no numbers of these weights.",
        f"| phase | {phase} |",
        "| grid | 8 x 10 x 9 |",
        "| length of a frame code | 32 |",
    ):
        assert sentence in words
    assert ("According to the person who converted them, it was HCP S1200." in words) == (kind in COHORTS)
    assert max(map(len, card[card.index("## Data") : card.index("Input\n")].splitlines())) <= 120
    assert not (converted(kind).folder / layout.CONTENT_HASHES).exists()


def test_the_contract_travels_with_the_weights(converted: Callable[[str], SimpleNamespace]) -> None:
    from safetensors import safe_open

    folder = converted("regression").folder
    with safe_open(folder / layout.SAFETENSORS, "pt") as file:
        contract = json.loads(file.metadata()[layout.CONTRACT_KEY])
    inference = ConfigParser.load_config_file(folder / layout.INFERENCE)
    assert {key: value for key, value in inference["contract"].items() if key != "_target_"} == contract
    assert (contract["axis_codes"], contract["mask"], contract["trim"]) == (None, "nonzero", TRIM)
    assert (contract["target_mean"], contract["target_std"]) == (None, None)
    assert inference["network_def"]["paper_head"] == "regression"


def test_the_file_of_another_phase(converted: Callable[[str], SimpleNamespace], tmp_path: Path) -> None:
    source = converted("autoencoder")
    with pytest.raises(WeightsError, match="holds weights of phase 'autoencoder', expected 'finetune'; give --phase"):
        convert_published(source.weights, tmp_path, Details(name="other"), layers=[source.layer], phase="finetune")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_exists_is_not_replaced(converted: Callable[[str], SimpleNamespace]) -> None:
    source = converted("autoencoder")
    with pytest.raises(BundleError, match="exists already"):
        convert_published(source.weights, source.folder.parent, Details(name=source.folder.name), layers=[source.layer])
