"""The run folder: a bundle that a training run makes of itself, from its first minute on.

    configs/   train.yaml (merged), evaluate.yaml, inference.yaml (standalone), metadata.json, logging.conf
    models/    model.pt (best), last.pt (everything to resume)
    metrics.csv, versions.json, lineage.json
"""

from __future__ import annotations

import json
import logging
import platform
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

from monai_tff.bundle.caller import bundle_root, calling_parser
from monai_tff.bundle.checks import merged_config
from monai_tff.bundle.lineage import lineage_entry, read_lineage, refuse_overlap, write_lineage
from monai_tff.contract import InputContract
from monai_tff.data.datalist import load_datalist
from monai_tff.errors import ConfigError
from monai_tff.handlers.files import replaced_file

PATH_IDS = ("dataset_dir", "datalist", "initial_weights")
"""Ids whose relative paths are of the working folder; the run folder keeps them absolute."""

PACKAGES = ("monai_tff", "monai", "torch", "pytorch-ignite", "transformers", "nibabel", "nilearn", "numpy")

logger = logging.getLogger(__name__)


def open_run(
    run_dir: str, resume: bool, phase: str, datalist: str, contract: InputContract, initial_weights: str | None = None
) -> Path:
    """Makes the run folder of a training run, or opens one to resume it.

    Args:
        run_dir: the folder.
        resume: continue the run that the folder holds; with nothing there it starts.
        phase: `autoencoder`, `transformer` or `finetune`.
        datalist: path of the datalist.
        contract: the input contract of the weights to come.
        initial_weights: weights of the phase before, whose lineage is carried on and checked.

    Returns:
        The folder, absolute.

    Raises:
        ConfigError: if the folder holds something and `resume` is not set.
        DatalistError: if the initial weights have seen a test subject.
    """
    folder = Path(run_dir).resolve()
    checked = load_datalist(datalist)
    lineage = _lineage(phase, checked, initial_weights)
    if folder.exists() and any(folder.iterdir()):
        if not resume:
            raise ConfigError(
                f"{folder}: the run folder is not empty, expected a new or empty one; "
                "continue that run with --resume true, or choose another run_dir."
            )
        if (folder / "models" / "last.pt").is_file():
            return folder
    (folder / "models").mkdir(parents=True, exist_ok=True)
    _write_configs(folder / "configs", calling_parser(), contract)
    write_lineage(folder, lineage)
    _write_json(folder / "versions.json", _versions(checked))
    return folder


def _lineage(phase: str, datalist: Mapping[str, Any], initial_weights: str | None) -> list[dict[str, Any]] | None:
    entry = lineage_entry(phase, datalist)
    if initial_weights is None:
        return [entry]
    earlier = read_lineage(initial_weights)
    if earlier is None:
        logger.warning("%s comes without a lineage: pretraining overlap: unknown", initial_weights)
        return None
    refuse_overlap(earlier, datalist, initial_weights)
    return [*earlier, entry]


def _versions(datalist: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "datalist": datalist["name"],
        "split": datalist["split"]["hash"],
    }


def _write_configs(folder: Path, parser: ConfigParser, contract: InputContract) -> None:
    """Writes the merged training config and what follows from it; the templates come from the bundle that runs."""
    templates = Path(bundle_root()) / "configs"
    folder.mkdir(parents=True, exist_ok=True)
    train = merged_config(parser)
    for name in PATH_IDS:
        value = train.get(name)
        if isinstance(value, str) and not value.startswith(("$", "@", "%")):
            train[name] = str(Path(value).resolve())
    train["run_dir"] = "@bundle_root"
    train["resume"] = False
    _write_yaml(folder / "train.yaml", train)
    evaluate = ConfigParser.load_config_files([folder / "train.yaml", templates / "evaluate.yaml"])
    _write_yaml(folder / "evaluate.yaml", evaluate)
    inference = ConfigParser.load_config_file(templates / "inference.yaml")
    network = {
        name: parser.get_parsed_content(f"network_def#{name}") if not name.startswith("_") else value
        for name, value in train["network_def"].items()
    }
    inference |= {"contract": {"_target_": inference["contract"]["_target_"], **contract.to_dict()}}
    inference |= {"network_def": network}
    _write_yaml(folder / "inference.yaml", inference)
    _write_json(folder / "metadata.json", _metadata(templates / "metadata.json", contract))
    shutil.copyfile(templates / "logging.conf", folder / "logging.conf")


def _metadata(template: Path, contract: InputContract) -> dict[str, Any]:
    metadata = json.loads(template.read_text(encoding="utf-8"))
    formats = metadata["network_data_format"]
    shape: list[int | str] = [*contract.spatial_size, "*"]
    formats["inputs"]["image"]["spatial_shape"] = shape
    if contract.target is None:
        formats["outputs"]["pred"]["spatial_shape"] = shape
    else:
        formats["outputs"]["pred"]["num_channels"] = contract.target.num_outputs
        names = contract.target.class_names or (contract.target.name,)
        described = names[-1:] if contract.target.num_outputs == 1 else names
        formats["outputs"]["pred"]["channel_def"] = {str(i): name for i, name in enumerate(described)}
    return metadata


def _write_yaml(path: Path, config: Mapping[str, Any]) -> None:
    _write_text(path, yaml.safe_dump(dict(config), sort_keys=False, width=120))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    _write_text(path, json.dumps(content, indent=4) + "\n")


def _write_text(path: Path, text: str) -> None:
    with replaced_file(path) as file:
        file.write(text.encode())
