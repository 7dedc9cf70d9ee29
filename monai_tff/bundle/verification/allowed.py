"""What a config may hold, and where: what the shipped bundles hold there. No second list is kept by hand."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser
from monai.bundle.utils import merge_kv

from monai_tff.bundle import layout
from monai_tff.resources import bundles_folder, configs_folder

TARGET = "_target_"
SEPARATOR = "::"
MACRO = "%"

RECONSTRUCTOR = "monai_tff.networks.TFFReconstructor"
WEIGHTS = tuple(f"$@bundle_root + '/{name}'" for name in (layout.SAFETENSORS, layout.STATE_DICT))
"""The ways in which a config may name the weights: those of its own bundle."""

READERS = ("NibabelReader", "ITKReader")
"""What the id `reader` may hold; MONAI would look up and call any other dotted name."""

DEVICE = re.compile(r"\$torch\.device\('(cpu|mps|cuda(:\d{1,3})?)'\)")
EVALUATION = "evaluation"
"""Where the evaluation of an exported bundle writes, in the working folder."""

CHOICES = (
    *("phase", "axis_codes", "mask", "tr_policy", "denoising", "encoding", "section"),
    *("selection_metric", "selection_mode"),
)
"""Ids that hold one of a few words, which the contract or a component of ours checks."""

WORD = re.compile(r"[A-Za-z][A-Za-z0-9_:-]{0,40}")
"""A choice such as `auto` or `clean_img:compcor`; no path, no dotted name."""


@dataclasses.dataclass(frozen=True)
class AllowList:
    """What a config may hold at a place.

    A place is the id of a value without the numbers of list entries, with the component that it is an argument of:
    `train::handlers::<LrScheduleHandler>::print_lr`.

    Attributes:
        texts: place -> texts, expressions and references; empty where there are numbers alone.
        targets: place -> components.
    """

    texts: Mapping[str, frozenset[str]]
    targets: Mapping[str, frozenset[str]]

    def takes(self, place: str, text: str) -> bool:
        """Whether a text, expression or reference may stand at a place."""
        if text in self.texts.get(place, ()):
            return True
        if place == "device":
            return DEVICE.fullmatch(text) is not None
        if place == "reader":
            return text in READERS
        return place in CHOICES and place in self.texts and WORD.fullmatch(text) is not None

    def knows(self, place: str) -> bool:
        """Whether anything may stand at a place."""
        return place in self.texts


def normalised(text: str) -> str:
    """An id, expression or reference as MONAI compares it: `#` and `::` are the same separator."""
    return text.replace("#", SEPARATOR) if text.startswith(("$", "@", MACRO)) else text


def below(place: str, key: str, target: str | None = None) -> str:
    """The place of a key, or of a component's argument."""
    return SEPARATOR.join(part for part in (place, f"<{target}>" if target else "", key) if part)


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every place of a config with what stands there: a component's name, a text or a number."""
    if isinstance(value, Mapping):
        target = value.get(TARGET)
        for key, item in value.items():
            yield from leaves(item, below(place, str(key), None if key == TARGET else target))
    elif isinstance(value, (list, tuple)):
        yield place, None  # an empty list is a place too
        for item in value:
            yield from leaves(item, place)
    else:
        yield place, value


@functools.cache
def inference_templates() -> tuple[dict[str, Any], ...]:
    """The inference configs of the shipped bundles."""
    return tuple(load(file) for file in sorted(bundles_folder().glob(f"*/{layout.INFERENCE}")))


@functools.cache
def inference_allowed() -> AllowList:
    """What an inference config may hold."""
    return allow_list(inference_templates())


@functools.cache
def training_allowed() -> AllowList:
    """What a training or evaluation config may hold: any merge of shipped layers, and how an export closes it."""
    merged = (config for folder in _bundles() for config in _merges(folder))
    closed = {"weights": WEIGHTS[0], "output_dir": EVALUATION}
    return allow_list([*merged, *_layers(), *_overrides(), closed])


@functools.cache
def training_template(network: str, evaluates: bool) -> dict[str, Any]:
    """The shipped training, or evaluation of it, of a network; the autoencoder has that of the reconstructor.

    Args:
        network: name of its class in a config.
        evaluates: the evaluation.
    """
    bases = [load(folder / layout.TRAIN) for folder in _bundles()]
    names = [base["network_def"][TARGET] for base in bases]
    number = names.index(network) if network in names else names.index(RECONSTRUCTOR)
    return merge(bases[number], load(_bundles()[number] / layout.EVALUATE)) if evaluates else bases[number]


def _bundles() -> list[Path]:
    return sorted(file.parents[1] for file in bundles_folder().glob(f"*/{layout.TRAIN}"))


def _merges(folder: Path) -> Iterator[dict[str, Any]]:
    base, evaluate = load(folder / layout.TRAIN), load(folder / layout.EVALUATE)
    phases = [{}, *(load(file) for file in sorted((folder / "configs").glob("train_*.yaml")))]
    for phase in phases:
        yield merge(base, phase)
        yield merge(base, phase, evaluate)


def _layers() -> Iterator[dict[str, Any]]:
    for kind in ("datasets", "hardware"):
        yield from map(load, sorted((configs_folder() / kind).glob("*")))


def _overrides() -> Iterator[dict[str, Any]]:
    """What the shipped experiments set besides, such as the paper's learning rate of phase 2."""
    for file in sorted((configs_folder() / "experiments").glob("*")):
        experiment = load(file)
        for part in (experiment, *experiment["phases"].values()):
            yield dict(part.get("overrides") or {})


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Merges configs as MONAI does; the layers stay as they are."""
    parser = ConfigParser({})
    for layer in layers:
        for key, value in deepcopy(dict(layer)).items():
            merge_kv(parser, key, value)
    return dict(parser.get())


def load(file: Path) -> dict[str, Any]:
    """Reads a shipped config, which is trusted."""
    return dict(yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def allow_list(configs: Iterable[Mapping[str, Any]]) -> AllowList:
    """What a set of configs holds, by place.

    Args:
        configs: merged, so that no key has a separator.
    """
    texts: dict[str, set[str]] = {}
    targets: dict[str, set[str]] = {}
    for config in configs:
        for place, value in leaves(config):
            if place.rpartition(SEPARATOR)[2] == TARGET or place == TARGET:
                targets.setdefault(place.removesuffix(TARGET).removesuffix(SEPARATOR), set()).add(value)
                continue
            known = texts.setdefault(place, set())
            if isinstance(value, str):
                known.add(normalised(value))
    _add_macros(texts)
    return AllowList(
        {place: frozenset(known) for place, known in texts.items()},
        {place: frozenset(known) for place, known in targets.items()},
    )


def _add_macros(texts: dict[str, set[str]]) -> None:
    """A merged config holds what a macro stood for."""
    for known in texts.values():
        for macro in [text for text in known if text.startswith(MACRO)]:
            known |= texts.get(macro.removeprefix(MACRO), set())


def is_sequence(value: Any) -> bool:
    """Whether a value is a list."""
    return isinstance(value, Sequence) and not isinstance(value, str)
