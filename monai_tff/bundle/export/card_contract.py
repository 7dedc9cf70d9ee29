"""What the model card says of the network's input and output: the input contract in words."""

from __future__ import annotations

from monai_tff.bundle.export.card_text import bullets, paragraph, table, times
from monai_tff.contract import TR_TOLERANCE, VOXEL_SIZE_TOLERANCE, InputContract, Target

CHANNELS = (
    "Channel 0, global normalisation: (x - mean) / std over all elements of the scan that are not background",
    "Channel 1, voxel normalisation: (x - mean) / std over each voxel's time course",
)


def input_section(contract: InputContract) -> str:
    """Writes the section `Input`.

    Args:
        contract: of the weights.

    Returns:
        Markdown without the heading.
    """
    first = paragraph(
        "Two channels, [B, 2, H, W, D, T], float32, made from the scan as the input contract says. Background (exactly "
        "0) is the minimum of channel 0, and 0 in channel 1. Any number of windows; commands cut a scan into them."
    )
    second = paragraph("The contract is in `configs/inference.yaml`, and each scan is held to it:")
    return "\n\n".join([first, bullets(CHANNELS), second, table(["what", "expected"], _rows(contract))])


def _rows(contract: InputContract) -> list[tuple[str, str]]:
    percent = f"within {TR_TOLERANCE:.0%}".replace("%", " %")
    repetition_time = (
        "not checked" if contract.repetition_time is None else f"{contract.repetition_time:g} s, {percent}"
    )
    if contract.repetition_time is not None and contract.tr_policy == "allow":
        repetition_time = f"{contract.repetition_time:g} s in the training, others are allowed"
    voxel_size = "not checked"
    if contract.voxel_size is not None:
        voxel_size = f"{times(contract.voxel_size)} mm, within {VOXEL_SIZE_TOLERANCE:.0%}".replace("%", " %")
    return [
        ("grid after the crop (H x W x D)", f"{times(contract.spatial_size)} voxels"),
        ("voxel size", voxel_size),
        ("orientation", contract.axis_codes or "as stored"),
        ("crop (start to stop on each axis)", _crop(contract)),
        ("frames dropped at the start", str(contract.trim)),
        ("window", f"{contract.window_length} frame(s), at least one window in a scan"),
        ("repetition time (TR)", repetition_time),
        ("mask", _mask(contract)),
        ("denoising", _denoising(contract)),
        ("normalisation", contract.normalisation),
    ]


def _crop(contract: InputContract) -> str:
    if contract.crop is None:
        return "none"
    return ", ".join(f"{_end(start, 'first')} to {_end(stop, 'last')}" for start, stop in contract.crop)


def _end(value: int | None, word: str) -> str:
    return word if value is None else str(value)


def _mask(contract: InputContract) -> str:
    if contract.mask == "nonzero":
        return "voxels that are not 0"
    return "a mask beside the scan, else voxels that are not 0, else an estimate"


def _denoising(contract: InputContract) -> str:
    known = {"none": "none", "fix": "ICA-FIX, done before", "by_cohort": "done before, in the cohort's own way"}
    return known.get(contract.denoising, f"`{contract.denoising}`, when a scan is loaded")


def output_section(contract: InputContract, paper_head: bool = False) -> str:
    """Writes the section `Output`.

    Args:
        contract: of the weights.
        paper_head: whether the network ends in the published head.

    Returns:
        Markdown without the heading.
    """
    if contract.target is None:
        return paragraph(
            "One channel, [B, 1, H, W, D, T], float32: the reconstruction of channel 0. `inferring` writes each scan's "
            "reconstruction as 4D NIfTI in the scan's own units, with its affine and repetition time, 0 outside the "
            "mask."
        )
    written = paragraph(
        "`inferring` writes `predictions.csv` and `predictions.json` (one row for each subject or session) and "
        "`windows.csv` (one row for each window)."
    )
    return f"{paragraph(_outputs(contract, contract.target, paper_head))}\n\n{written}"


def _outputs(contract: InputContract, target: Target, paper_head: bool) -> str:
    if target.kind == "regression":
        if paper_head:
            return f"[B, 1], float32: {target.name} in its own units, behind the published LeakyReLU."
        scale = ""
        if contract.target_mean is not None and contract.target_std is not None:
            scale = f" (mean {contract.target_mean:.4g}, standard deviation {contract.target_std:.4g} in the training)"
        return f"[B, 1], float32: one value, which `postprocessing` brings to the units of {target.name}{scale}."
    names = ", ".join(f"{name} ({index})" for index, name in enumerate(target.class_names))
    calibrated = ""
    if contract.temperature != 1 and not paper_head:
        temperature = f"{contract.temperature:g}"
        calibrated = f" `postprocessing` divides logits by the temperature {temperature} to make probabilities of them."
    if target.kind == "multiclass":
        return f"[B, {target.num_outputs}], float32: one logit for each class of {target.name}: {names}.{calibrated}"
    what = "probability (the published sigmoid)" if paper_head else "logit"
    return (
        f"[B, 1], float32: one {what} of the positive class of {target.name}, which is {target.class_names[1]}; the "
        f"other is {target.class_names[0]}. A probability above {contract.threshold:g} names the positive class."
        f"{calibrated}"
    )
