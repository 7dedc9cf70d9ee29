"""Laws of the allow-lists: everything that the package ships passes, and nothing that it does not ship."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_tff.bundle import layout
from monai_tff.bundle.experiment import read_experiment
from monai_tff.bundle.verification.allowed import (
    AllowList,
    allow_list,
    inference_allowed,
    inference_templates,
    load,
    merge,
    training_allowed,
)
from monai_tff.bundle.verification.configs import config_findings
from monai_tff.resources import bundles_folder, configs_folder

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
BUNDLES = ("tff_fmri_prediction", "tff_fmri_reconstruction")
EXPERIMENTS = sorted((configs_folder() / "experiments").glob("*.yaml"))


def findings(config: dict[str, Any], folder: Path, name: str = layout.INFERENCE) -> list[str]:
    (folder / "configs").mkdir(exist_ok=True)
    (folder / name).write_text(yaml.dump(config, Dumper=DUMPER))
    return [finding.sentence for finding in config_findings(folder, name)]


def trained(bundle: str, *layers: str) -> dict[str, Any]:
    return merge(*(load(bundles_folder() / bundle / "configs" / f"{name}.yaml") for name in layers))


@pytest.mark.parametrize("number", range(2))
def test_the_shipped_inference_passes(number: int, tmp_path: Path) -> None:
    assert findings(inference_templates()[number], tmp_path) == []


@pytest.mark.parametrize("layers", [("train",), ("train", "train_paper"), ("train", "evaluate")])
@pytest.mark.parametrize("bundle", BUNDLES)
def test_the_shipped_training_passes(bundle: str, layers: tuple[str, ...], tmp_path: Path) -> None:
    assert findings(trained(bundle, *layers), tmp_path, layout.TRAIN) == []


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_the_shipped_experiments_pass(file: Path, tmp_path: Path) -> None:
    for phase in read_experiment(file).phases:
        layers = [load(Path(layer)) for layer in phase.config_files]
        evaluate = load(Path(phase.config_files[0]).with_name("evaluate.yaml"))
        assert findings(merge(*layers, phase.overrides, evaluate), tmp_path, layout.EVALUATE) == []


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a config holds a text."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from [(*path, key)] if isinstance(item, str) else paths(item, (*path, key))


def replaced(config: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    config = copy.deepcopy(config)
    place: Any = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return config


ATTACKS = st.one_of(
    st.sampled_from(
        [
            "$__import__('os').system('touch canary')",
            "$@bundle_root.__class__",
            "$monai_tff.bundle.bundle_root() or exit()",
            "os.abort",
            "os.system",
            "%/etc/passwd.json::x",
            "%../other.yaml",
            "@##x",
            "../models/model.pt",
            "/etc/passwd",
            "builtins.eval",
        ]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1).map(lambda text: f"${text}"),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1).map(lambda text: f"/{text}"),
)


def holds(allowed: AllowList, text: str) -> bool:
    """Whether a text stands anywhere in what is shipped; a generated one hardly ever does."""
    known = [*allowed.texts.values(), *allowed.targets.values()]
    return any(text.replace("#", "::") in texts or text in texts for texts in known)


@given(data=st.data())
@settings(max_examples=60)
def test_no_text_but_the_shipped_ones(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    number, attack = data.draw(st.integers(0, 1)), data.draw(ATTACKS)
    template = inference_templates()[number]
    path = data.draw(st.sampled_from(list(paths(template))))
    if not holds(inference_allowed(), attack) and path[:3] != ("contract", "target", "class_names"):
        assert findings(replaced(template, path, attack), tmp_path_factory.mktemp("config"))


TRAINING = trained("tff_fmri_prediction", "train", "evaluate")


@given(data=st.data())
@settings(max_examples=40)
def test_no_text_but_the_shipped_ones_in_training(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, attack = data.draw(st.sampled_from(list(paths(TRAINING)))), data.draw(ATTACKS)
    if not holds(training_allowed(), attack):
        assert findings(replaced(TRAINING, path, attack), tmp_path_factory.mktemp("config"), layout.EVALUATE)


@pytest.mark.parametrize(
    ("place", "value", "part"),
    [
        (("preprocessing", "transforms", 0, "_target_"), "monai_tff.transforms.OutputsToScoresd", "calls"),
        (("preprocessing", "transforms", 0, "_mode_"), "debug", "which no shipped bundle has there"),
        (("preprocessing", "transforms", 0, "_requires_"), "@network", "which no shipped bundle has there"),
        (("preprocessing", "transforms", 0, "encoding"), "int8", "which no shipped bundle has there"),
        (("reader",), "os.abort", "which no shipped bundle has there"),
        (("reader",), "abort", "which no shipped bundle has there"),
        (("device",), "$torch.device('cpu').__class__", "the expression"),
        (("weights",), "$@bundle_root + '/../model.pt'", "the expression"),
        (("network",), {"_target_": "monai_tff.networks.TFFPredictor"}, "calls"),
        (("run",), [["$@evaluator.run()"], {"x": 1}], "a mapping"),
        (("extra",), 1, "which no shipped bundle has there"),
        (("_meta_",), {}, "which no shipped bundle has there"),
        (("network_def#x",), 1, "the key 'network_def#x'"),
        (("+run",), ["$1"], "the key '+run'"),
        (("amp",), 1e300, "expected at most"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_stands_where_it_does_not_belong(place: tuple[Any, ...], value: Any, part: str, tmp_path: Path) -> None:
    assert part in " ".join(findings(replaced(inference_templates()[0], place, value), tmp_path))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("reader",), "ITKReader"),
        (("device",), "$torch.device('cuda:1')"),
        (("stride",), 3),
        (("amp",), True),
        (("weights",), "$@bundle_root + '/models/model.safetensors'"),
    ],
    ids=str,
)
def test_what_a_user_may_set(place: tuple[str, ...], value: Any, tmp_path: Path) -> None:
    assert findings(replaced(inference_templates()[0], place, value), tmp_path) == []


def test_a_reference_to_nothing(tmp_path: Path) -> None:
    config = {key: value for key, value in inference_templates()[0].items() if key != "device"}
    assert any("refers to 'device'" in sentence for sentence in findings(config, tmp_path))


def test_a_place_is_the_id_and_the_component() -> None:
    allowed = allow_list([{"a": [{"_target_": "T", "x": "@b#c", "y": 2}], "m": "%n", "n": ["$1"]}])
    assert allowed.targets == {"a": {"T"}}
    assert allowed.takes("a::<T>::x", "@b::c")
    assert allowed.knows("a::<T>::y")
    assert allowed.takes("m", "$1")
    assert not allowed.takes("n", "%n")
    assert not allowed.takes("a::<U>::x", "@b::c")
