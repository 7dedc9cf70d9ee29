"""The run folder: a bundle that a training run makes of itself, from its first minute on.

configs/   train.yaml (merged), evaluate.yaml, inference.yaml (standalone), metadata.json, logging.conf
models/    model.pt (best), last.pt (everything to resume)
metrics.csv, versions.json, lineage.json (private), content_hashes.json (what may be passed on of it)
.lock (empty: what holds it is the process that trains, see folder_lock.py)
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
from monai.bundle.utils import merge_kv

from monai_tff.bundle.caller import bundle_root, calling_parser
from monai_tff.bundle.checks import check_config_files
from monai_tff.bundle.folder_lock import hold_folder
from monai_tff.bundle.lineage import (
    UNKNOWN,
    known_overlap,
    lineage_entry,
    read_lineage,
    refuse_overlap,
    write_content_hashes,
    write_lineage,
)
from monai_tff.bundle.merged import SEPARATOR, differences, merged_config, portable_config
from monai_tff.bundle.processes import by_first_process
from monai_tff.contract import InputContract
from monai_tff.data.datalist import load_datalist
from monai_tff.errors import ConfigError, DatalistError
from monai_tff.handlers.files import replaced_file

MAY_CHANGE = (
    *("dataset_dir", "datalist", "initial_weights", "device", "num_workers", "cache_rate", "cache_workers"),
    *("packed_dir", "memory_map", "codes_dir", "use_tensorboard", "process_group", "activation_checkpointing"),
    *("loss_interval", "mlflow_uri", "finalize"),
)
"""Ids that a continued run may set anew: they say where it runs, not what comes out."""

PACKAGES = ("monai_tff", "monai", "torch", "pytorch-ignite", "transformers", "nibabel", "nilearn", "numpy")

logger = logging.getLogger(__name__)


def open_run(
    run_dir: str, resume: bool, phase: str, datalist: str, contract: InputContract, initial_weights: str | None = None
) -> Path:
    """Makes the run folder of a training run, or opens one to resume it; of several processes the first one does.

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
        ConfigError: if the folder holds something and `resume` is not set, if the run to resume had other settings, or
            if another process trains there.
        DatalistError: if the initial weights have seen a test subject, or the run to resume had another split.
    """
    return by_first_process(
        lambda: _open_run(Path(run_dir).resolve(), resume, phase, datalist, contract, initial_weights)
    )


def _open_run(
    folder: Path, resume: bool, phase: str, datalist: str, contract: InputContract, initial_weights: str | None
) -> Path:
    checked = load_datalist(datalist)
    lineage = _lineage(phase, checked, initial_weights)
    if folder.exists() and any(folder.iterdir()):
        if not resume:
            raise ConfigError(
                f"{folder}: the run folder is not empty, expected a new or empty one; "
                "continue that run with --resume true (monai_tff run: --resume), or choose another run_dir."
            )
        if (folder / "models" / "last.pt").is_file():
            hold_folder(folder)
            _refuse_changes(folder, portable_config(calling_parser()), checked)
            return folder
    try:
        (folder / "models").mkdir(parents=True, exist_ok=True)
        hold_folder(folder)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be made ({error.strerror}), expected a folder that you may write to; choose another "
            "run_dir."
        ) from error
    _write_configs(folder / "configs", calling_parser(), contract)
    write_lineage(folder, lineage)
    write_content_hashes(folder, lineage)
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
    if known_overlap(earlier, datalist) == UNKNOWN:
        logger.warning("%s saw scans that cannot be compared: pretraining overlap: unknown", initial_weights)
    return [*earlier, entry]


def refuse_changes(folder: Path, parser: ConfigParser) -> None:
    """Refuses settings other than those that a run began with, for one that is finished and is not run again.

    Args:
        folder: of the run.
        parser: the configuration of now.

    Raises:
        ConfigError: naming the first key that differs.
        DatalistError: for another split.
    """
    datalist = load_datalist(parser.get_parsed_content("datalist"))  # resolves the macros, too
    _refuse_changes(folder, portable_config(parser), datalist)


def _refuse_changes(folder: Path, train: dict[str, Any], datalist: Mapping[str, Any]) -> None:
    """What a continued run would do otherwise than its `configs/train.yaml` says is refused."""
    path = folder / "configs" / "train.yaml"
    check_config_files([path])
    began, now = ConfigParser.load_config_file(path), yaml.safe_load(yaml.safe_dump(train))
    for key in [*differences(now, began), *differences(began, now)]:
        if key.partition(SEPARATOR)[0] not in MAY_CHANGE:
            values = [ConfigParser(config).get(key, "not set") for config in (began, now)]
            raise ConfigError(
                f"{path}: {key} was {values[0]} when the run began, but is {values[1]} now; continue with the settings "
                "it began with, or choose another run_dir."
            )
    split = json.loads((folder / "versions.json").read_text(encoding="utf-8"))["split"]
    if split != datalist["split"]["hash"]:
        raise DatalistError(
            f"{datalist['name']}: the split has the hash {datalist['split']['hash']}, but {folder} began with {split}; "
            "continue with the datalist it began with, or choose another run_dir."
        )


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
    train = portable_config(parser)
    _write_yaml(folder / "train.yaml", train)
    _write_yaml(folder / "evaluate.yaml", evaluation_config(train, templates))
    inference = ConfigParser.load_config_file(templates / "inference.yaml")
    inference |= {"contract": _contract_entry(inference, contract)}
    inference |= {"network_def": filled_network(parser)}
    _write_yaml(folder / "inference.yaml", inference)
    _write_json(folder / "metadata.json", filled_metadata(templates / "metadata.json", contract))
    shutil.copyfile(templates / "logging.conf", folder / "logging.conf")


def write_contract(folder: Path, contract: InputContract) -> None:
    """Writes a contract into the `inference.yaml` of a run folder; all else in it stays.

    Args:
        folder: of the run.
        contract: of its weights.
    """
    path = folder / "configs" / "inference.yaml"
    inference = yaml.safe_load(path.read_text(encoding="utf-8"))
    _write_yaml(path, inference | {"contract": _contract_entry(inference, contract)})


def _contract_entry(inference: Mapping[str, Any], contract: InputContract) -> dict[str, Any]:
    return {"_target_": inference["contract"]["_target_"], **contract.to_dict()}


def evaluation_config(train: Mapping[str, Any], templates: Path) -> dict[str, Any]:
    """The merged configuration of the evaluation.

    Args:
        train: the merged configuration of the training, which stays as it is.
        templates: the `configs` folder of the bundle that it is of.

    Returns:
        What `evaluate.yaml` holds.
    """
    evaluate = ConfigParser(yaml.safe_load(yaml.safe_dump(dict(train), sort_keys=False)))
    for key, value in _evaluate_layer(templates).items():
        merge_kv(evaluate, key, value)
    return dict(evaluate.get())


def filled_network(parser: ConfigParser) -> dict[str, Any]:
    """`network_def` of a configuration with every value filled in, as a standalone file wants it."""
    return {
        name: value if name.startswith("_") else parser.get_parsed_content(f"network_def#{name}")
        for name, value in merged_config(parser)["network_def"].items()
    }


def _evaluate_layer(templates: Path) -> dict[str, Any]:
    """What evaluate.yaml changes in train.yaml: a bundle's is that layer, a run folder's is merged already."""
    evaluate = ConfigParser.load_config_file(templates / "evaluate.yaml")
    if "train" not in evaluate:
        return evaluate
    return differences(evaluate, ConfigParser.load_config_file(templates / "train.yaml"))


def filled_metadata(template: Path, contract: InputContract) -> dict[str, Any]:
    """The metadata of a shipped bundle with the shapes and classes of a contract.

    Args:
        template: the shipped bundle's metadata.json.
        contract: of the weights.

    Returns:
        What metadata.json of the run is to hold.
    """
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
