"""The configurations of an exported bundle: the shipped templates with what is special to these weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

from monai_tff.bundle import layout
from monai_tff.bundle.export.details import ExportSource
from monai_tff.bundle.merged import PATH_IDS
from monai_tff.bundle.run_folder import MAY_CHANGE
from monai_tff.contract import InputContract
from monai_tff.handlers.files import replaced_file
from monai_tff.resources import bundles_folder

WEIGHTS = f"$@bundle_root + '/{layout.SAFETENSORS}'"
"""Where the configurations of an exported bundle find their weights."""

EVALUATION = "evaluation"
"""Folder that an evaluation writes to, in the working folder: a bundle stays as it is."""

PLACE_IDS = tuple(dict.fromkeys((*PATH_IDS, *MAY_CHANGE, "run_dir", "resume")))
"""Ids that say where a training ran: an export has the template's values of them."""

_REFERENCE = re.compile(r"(?<=\w)::(?=\w)")


def template_folder(template: str) -> Path:
    """The shipped bundle of a name."""
    return bundles_folder() / template


def write_configs(folder: Path, source: ExportSource) -> None:
    """Writes `inference.yaml` and, where the source has a training, `train.yaml` and `evaluate.yaml`.

    Args:
        folder: of the bundle.
        source: what is exported.
    """
    configs = template_folder(source.template) / "configs"
    inference = ConfigParser.load_config_file(configs / "inference.yaml")
    inference |= {"weights": WEIGHTS, **source.inference, "contract": _contract(source.contract)}
    inference |= {"network_def": dict(source.network)}
    _write(folder / layout.INFERENCE, inference, "inferring")
    if source.train is None or source.evaluate is None:
        return
    places = _places(configs, source.train)
    _write(folder / layout.TRAIN, {**source.train, **places}, "training")
    # the contract is that of the weights, whatever datalist they are evaluated with
    evaluate = {**source.evaluate, **places, "weights": WEIGHTS, "output_dir": EVALUATION}
    _write(folder / layout.EVALUATE, {**evaluate, "contract": _contract(source.contract)}, "evaluating")


def _contract(contract: InputContract) -> dict[str, Any]:
    return {"_target_": f"{InputContract.__module__}.{InputContract.__qualname__}", **contract.to_dict()}


def _places(configs: Path, train: Mapping[str, Any]) -> dict[str, Any]:
    """The template's values of the ids that say where a training ran."""
    layer = configs / f"train_{train.get('phase')}.yaml"
    files = [configs / "train.yaml", *([layer] if layer.is_file() else [])]
    template = ConfigParser.load_config_files(files)
    return {name: template[name] for name in PLACE_IDS if name in template}


def _write(path: Path, config: Mapping[str, Any], run_id: str) -> None:
    text = f"# python -m monai.bundle run {run_id} --config_file <bundle>/configs/{path.name}\n\n"
    text += yaml.safe_dump(_with_hashes(dict(config)), sort_keys=False, width=80)
    with replaced_file(path) as file:
        file.write(text.encode())


def _with_hashes(value: Any) -> Any:
    """Ids written as the shipped bundles write them: MONAI turns `#` into `::` when it reads a file."""
    if isinstance(value, Mapping):
        return {key: _with_hashes(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_hashes(item) for item in value]
    if isinstance(value, str) and value.startswith(("$", "@", "%")):
        return _REFERENCE.sub("#", value)
    return value
