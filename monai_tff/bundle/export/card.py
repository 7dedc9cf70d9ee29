"""The model card, `docs/README.md`: what the bundle is, what it was trained on, how well it does, and its limits."""

from __future__ import annotations

from pathlib import Path

from monai_tff import __version__
from monai_tff.bundle import layout
from monai_tff.bundle.export.card_contract import input_section, output_section
from monai_tff.bundle.export.card_text import LINE, bullets, paragraph
from monai_tff.bundle.export.details import Details, ExportSource
from monai_tff.bundle.export.metadata import described
from monai_tff.handlers.files import replaced_file

PAPER = (
    "[1] Malkiel I., Rosenman G., Wolf L., Hendler T. Self-Supervised Transformers for fMRI representation. "
    "arXiv:2112.05761, 2021. https://arxiv.org/abs/2112.05761"
)


def write_card(folder: Path, source: ExportSource, details: Details) -> None:
    """Writes `docs/README.md` with the sections that the model zoo wants.

    Args:
        folder: of the bundle, whose other files are there.
        source: what is exported.
        details: what the person who exports says.
    """
    sections = {
        "Model Overview": _overview(source, details),
        "Input": input_section(source.contract),
        "Output": output_section(source.contract, source.network.get("paper_head") is not None),
        "Commands": _commands(folder, source, details),
        "Limitations": _limitations(source),
        "References": _references(details),
        "License": _license(details),
        **source.sections,
    }
    first = layout.CARD_SECTIONS[0]
    parts = [f"{'#' if name == first else '##'} {name}\n\n{sections[name]}\n" for name in layout.CARD_SECTIONS]
    with replaced_file(folder / layout.MODEL_CARD) as file:
        file.write("\n".join(parts).encode())


def _overview(source: ExportSource, details: Details) -> str:
    weights = [
        f"`{layout.SAFETENSORS}`: the weights, with the input contract in the metadata; what the configurations load",
        f"`{layout.STATE_DICT}`: the same weights as a state dict",
        f"`{layout.TORCHSCRIPT}`: the network as TorchScript, which needs PyTorch alone",
        f"`{layout.PROGRAM}`: the network as a torch.export program",
    ]
    told = paragraph(
        "A 3D convolutional encoder makes a code of each frame of a 4D BOLD scan. TFF, the Transformer Framework for "
        "fMRI [1], relates the codes of the frames in a window."
    )
    needs = paragraph(
        f"Version {details.version} of the bundle needs the Python package `monai_tff` {__version__}; "
        "`configs/metadata.json` names the versions of everything else. The weights are there in four forms:"
    )
    return "\n\n".join([paragraph(described(source, details)), told, needs, bullets(weights)])


def _commands(folder: Path, source: ExportSource, details: Details) -> str:
    """Commands that are run beside the bundle's folder."""
    stock = "python -m monai.bundle run"
    name = details.name
    predicting = "Reconstruct" if source.contract.target is None else "Predict"
    parts = [
        "Run beside the bundle's folder. Check that the bundle is whole, and that nothing in it runs code of its own:",
        _block(f"python -m monai_tff verify {name}"),
        f"{predicting} scans: `my_scans` is a folder of 4D NIfTI scans, one file, or a BIDS folder.",
        _block(f"python -m monai_tff predict {name} my_scans --output-dir predictions"),
        "The same with MONAI's own command:",
        _block(f"{stock} inferring --config_file {name}/{layout.INFERENCE} --dataset_dir my_scans"),
    ]
    if (folder / layout.EVALUATE).is_file():
        parts += [
            "Evaluate on a cohort of your own (`python -m monai_tff datalist` writes the datalist):",
            _block(f"{stock} evaluating --config_file {name}/{layout.EVALUATE} --dataset_dir my_cohort"),
        ]
    if (folder / layout.TRAIN).is_file():
        parts += [
            "Train anew in the same way, or start from these weights with `--initial_weights`:",
            _block(f"{stock} training --config_file {name}/{layout.TRAIN} --dataset_dir my_cohort --run_dir my_run"),
        ]
    return "\n\n".join(parts)


def _block(command: str) -> str:
    if len(command) > LINE:
        command = command.replace(" --dataset_dir", " \\\n  --dataset_dir")
    return f"```bash\n{command}\n```"


def _limitations(source: ExportSource) -> str:
    prediction = (
        "A score holds for scans like those of the training: other scanners, preprocessing or populations shift it.",
        "A prediction may rest on head motion, site or age instead of on brain function; control for them.",
        "The spread over windows is variability within a scan, not the uncertainty of the prediction.",
    )
    reconstruction = ("A reconstruction shows what the network keeps of a scan; it is no cleaned scan.",)
    return bullets(
        [
            "Intended for research only. Not a medical device, and not for diagnosis.",
            *(reconstruction if source.contract.target is None else prediction),
            "One grid: scans are cropped, never resampled to another grid.",
            "A scan that does not match the input contract is refused, with the value found and the value expected.",
            "Somebody who has a scan can find out whether it was used in the training: by `content_hashes.json` where "
            "the bundle has it, and perhaps by the weights. Names, IDs and dates are not in the bundle.",
        ]
    )


def _references(details: Details) -> str:
    cite = paragraph(f"Please cite the paper of the method, and this bundle by name and version: {_bundle(details)}.")
    return f"{cite}\n\n{paragraph(PAPER)}"


def _bundle(details: Details) -> str:
    by = "" if details.authors == Details.authors else f" by {details.authors}"
    return f"`{details.name}` {details.version}{by}"


def _license(details: Details) -> str:
    holder = "" if details.copyright == Details.copyright else f"{details.copyright.rstrip('.')}. "
    return paragraph(
        f"{holder}Apache License, Version 2.0; see `LICENSE`. `data_license.txt` is about the data that the weights "
        "were trained on."
    )
