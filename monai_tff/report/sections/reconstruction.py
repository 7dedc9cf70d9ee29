"""One test scan beside what phase 2 makes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_tff.bundle.finished_run import WEIGHTS, FinishedRun
from monai_tff.bundle.layout import INFERENCE
from monai_tff.bundle.run_workflow import quiet_workflow
from monai_tff.contract import InputContract
from monai_tff.data import load_records
from monai_tff.data.loading import load_scan
from monai_tff.errors import UserError
from monai_tff.inferers import TemporalInferer
from monai_tff.networks import load_finished
from monai_tff.report.figures.chart import captioned
from monai_tff.report.figures.reconstruction import course_chart, slices_chart
from monai_tff.report.html import paragraph
from monai_tff.report.material import Material, phase_folder
from monai_tff.report.numbers import number
from monai_tff.report.page import Section, absent

WINDOWS = 3
"""Windows from the start of the scan that are reconstructed: enough to look at, and no minutes on a CPU."""


@dataclasses.dataclass(frozen=True)
class Example:
    """A scan and its reconstruction, both in units of the global normalisation.

    Attributes:
        scan: name of its file.
        truth: [H, W, D, T], the first frames.
        reconstruction: [H, W, D, T].
        mask: bool [H, W, D].
        seconds: between two frames, None where unknown.
    """

    scan: str
    truth: NDArray
    reconstruction: NDArray
    mask: NDArray
    seconds: float | None


def reconstruction(material: Material) -> Section:
    """Slices and a time course, or why there are none."""
    title = "Example of a reconstruction"
    member = material.study.members[0]
    folder, found = phase_folder(member, "transformer"), material.runs[member.split]
    if not (folder / INFERENCE).is_file() or not (folder / WEIGHTS).is_file():
        missing = f"The weights of phase 2 are not in {folder.parent.name}/{folder.name}: no scan can be reconstructed."
        return Section("reconstruction", title, [absent(missing)])
    if found is None:
        return Section("reconstruction", title, [absent("The datalist cannot be read any more: no scan is known.")])
    try:
        example = reconstruct_example(folder, found[0], str(material.study.model.metrics["split"]))
    except UserError as error:
        return Section("reconstruction", title, [absent(f"No test scan could be reconstructed: {error}")])
    return Section("reconstruction", title, _shown(example))


def reconstruct_example(folder: Path, run: FinishedRun, section: str) -> Example:
    """Reconstructs the beginning of the first scan of a section.

    Args:
        folder: run folder of phase 2.
        run: of phase 3, which knows how the scans are read.
        section: of the datalist.

    Raises:
        UserError: when weights, datalist or scan are gone, or do not fit together.
    """
    packed = run.packing.get("packed_dir")
    records = load_records(run.datalist, run.dataset_dir, section, packed_dir=packed)
    record: dict[str, Any] = min(records, key=lambda record: record["scan"])
    network, contract = _reconstructor(folder)
    scan, _ = load_scan(
        record["image"],
        contract,
        mask_file=record["mask"],
        repetition_time=record["tr"],
        confounds=record["confounds"],
        scan=record["scan"],
        **run.packing,
    )
    length = contract.window_length
    part = scan.window(0, min(scan.num_frames, WINDOWS * length))
    with torch.no_grad():
        output = TemporalInferer(length)(part, network)
    return Example(
        scan=Path(record["scan"]).name,
        truth=part.unpack()[0].numpy(),
        reconstruction=output[0, 0].numpy(),
        mask=scan.mask.numpy(),
        seconds=scan.repetition_time,
    )


def _reconstructor(folder: Path) -> tuple[torch.nn.Module, InputContract]:
    overrides = {"bundle_root": str(folder.resolve()), "device": "$torch.device('cpu')"}
    parser = quiet_workflow([str(folder / INFERENCE)], "infer", overrides).parser
    network: torch.nn.Module = parser.get_parsed_content("network")
    load_finished(network, parser.get_parsed_content("weights"))
    return network.eval(), parser.get_parsed_content("contract")


def voxel_correlations(example: Example) -> NDArray:
    """Correlation over time of truth and reconstruction in each voxel of the mask, [V]; NaN for a constant voxel."""
    truth, output = (
        values[example.mask] - values[example.mask].mean(axis=1, keepdims=True)
        for values in (example.truth.astype(float), example.reconstruction.astype(float))
    )
    scale = np.sqrt((truth**2).sum(axis=1) * (output**2).sum(axis=1))
    return (truth * output).sum(axis=1) / np.where(scale > 0, scale, np.nan)


def _shown(example: Example) -> Sequence[Any]:
    frame = example.truth.shape[-1] // 2
    slices = slices_chart("slices", example.truth[..., frame], example.reconstruction[..., frame], example.mask)
    correlations = voxel_correlations(example)
    content = [
        paragraph(
            f"The first {example.truth.shape[-1]} frames of {example.scan}, a test scan (the first by name), in "
            "units of its global normalisation."
        ),
        captioned(slices, f"Frame {frame} through the middle of the brain; all panels share one range of values."),
    ]
    if not np.isfinite(correlations).any():
        return [*content, paragraph("The reconstruction does not change over time.")]
    middle = float(np.nanmedian(correlations))
    voxel = int(np.nanargmin(np.abs(correlations - middle)))
    course = course_chart(
        "course", example.truth[example.mask][voxel], example.reconstruction[example.mask][voxel], example.seconds
    )
    caption = captioned(
        course,
        "Time course of a typical voxel, the one whose correlation of truth and reconstruction over time is the median "
        "of the brain: r = ",
        number(middle),
        ".",
    )
    return [*content, caption]
