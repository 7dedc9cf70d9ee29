"""What the model card says of the training: the settings that decide what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_tff.bundle.export.card_data import PHASES
from monai_tff.bundle.export.card_text import paragraph, shown, table, times
from monai_tff.contract import InputContract
from monai_tff.networks.checkpoints import read_state_dict

SETTINGS = {
    "batch_size": "batch size",
    "max_epochs": "epochs",
    "learning_rate": "learning rate",
    "weight_decay": "weight decay",
    "gradient_clip": "gradient norm clipped at",
    "hidden_size": "length of a frame code",
    "max_frames": "longest window in frames",
    "dropout": "dropout of the blocks",
    "transformer_dropout": "dropout of the transformer",
    "code_normalisation": "LayerNorm on the frame codes",
    "paper_head": "published output layer",
    "balance_subjects": "draws balanced over subjects",
    "weight_classes": "classes weighted",
    "use_perceptual": "perceptual loss (VGG-16, ImageNet)",
    "use_augmentation": "augmentation",
    "amp": "mixed precision",
    "seed": "seed",
}
"""Ids of a training configuration that the card shows, and their names in it; only numbers and truth values are."""

VERSIONS = {"monai_tff": "monai_tff", "monai": "MONAI", "torch": "PyTorch", "transformers": "transformers"}


def training_section(
    train: Mapping[str, Any],
    checkpoint: Mapping[str, Any],
    versions: Mapping[str, str],
    contract: InputContract,
    stopped: str | None = None,
) -> str:
    """Writes the section `Training configuration`.

    Args:
        train: the merged configuration.
        checkpoint: the best weights, and the epoch in which they were saved.
        versions: of the packages.
        contract: of the weights.
        stopped: that the training ended before its last epoch, without a full stop; None where it did not.

    Returns:
        Markdown without the heading.
    """
    rows: list[list[object]] = [
        ["phase", PHASES.get(str(train.get("phase")), "not stated")],
        ["network", _class_name(train.get("network_def"))],
        ["parameters", shown(sum(tensor.numel() for tensor in read_state_dict(checkpoint).values()))],
        ["grid (voxels)", times(contract.spatial_size)],
        ["window", f"{contract.window_length} frame(s)"],
        ["initial weights", "random" if train.get("initial_weights") is None else "those of an earlier phase"],
        ["optimiser", _class_name(train.get("optimizer"))],
        ["learning rate schedule", _class_name(train.get("lr_scheduler"))],
    ]
    rows += [[name, shown(train[key])] for key, name in SETTINGS.items() if key in train]
    if isinstance(checkpoint.get("epoch"), int):
        rows.append(["epoch of the best weights", checkpoint["epoch"]])
    rows += [[f"{name} version", versions[key]] for key, name in VERSIONS.items() if key in versions]
    chosen = paragraph(
        "The weights are those of the epoch that did best on the validation section; the test section decided nothing. "
        "`configs/train.yaml`, where the bundle has it, is the whole configuration but for folders and devices."
    )
    remark = "" if stopped is None else f"\n\nThe {stopped}."
    return f"{table(['', ''], rows)}\n\n{chosen}{remark}"


def _class_name(component: Any) -> str:
    """The last word of a component's `_target_`."""
    target = component.get("_target_") if isinstance(component, Mapping) else None
    return f"`{target.rpartition('.')[2]}`" if isinstance(target, str) and target.isascii() else "not stated"
