"""Where and when the network looks: brain views of the maps, their strongest regions, the frames, and the checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.filebasedimages import ImageFileError

from monai_tff.errors import ConfigError
from monai_tff.report.figures.chart import captioned
from monai_tff.report.figures.frames import frames_chart
from monai_tff.report.figures.picture import glass_brain, slices
from monai_tff.report.html import Child, Element, code, element, folded, paragraph, table
from monai_tff.report.material import Material
from monai_tff.report.numbers import number
from monai_tff.report.page import Section, absent

FOLDER = "explain"
STRONGEST = 95.0
"""Percentile of the mask's voxels from which on a view shows a map."""

REGIONS_SHOWN = 10
REGION_NUMBERS = ("mean_absolute", "mean_signed", "share", "peak_x", "peak_y", "peak_z")
STATES = {True: "passed", False: "failed", None: "not made"}


def attribution(material: Material) -> Section:
    """Maps, regions, frames and checks, or which command makes them."""
    title, found = "Where the network looks", material.explanation
    if found is None:
        return Section("attribution", title, [absent("No map was made: ", code(material.command("explain")), ".")])
    folder = material.folder / FOLDER
    counts = found["counts"]
    content: list[Child] = [
        paragraph(
            f"Explained: {found['explained']}. Averaged over {counts['subjects']} test subjects "
            f"({counts['windows']} windows, {counts['subjects_occluded']} subjects for the occlusion). A map shows "
            "what this network used, not where the classes differ, and nothing about single subjects."
        ),
        _checks(found["checks"]),
        *_views(folder),
        *_regions(folder, found),
        *_frames(folder),
        folded(
            "How the maps were made",
            table(("Method", "How"), [[_words(name), text] for name, text in found["methods"].items()], "Methods"),
        ),
    ]
    return Section("attribution", title, content)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _checks(checks: list[dict[str, Any]]) -> Element:
    rows = []
    for check in checks:
        state = STATES[check["passed"]]
        shown = element("b", state) if check["passed"] is False else element("span", state)
        rows.append([_words(check["name"]), shown, check["text"].removeprefix("not made: ")])
    return table(("Check", "Result", "What was found"), rows, caption="Checks of the maps (Adebayo and others 2018)")


def _views(folder: Path) -> list[Child]:
    absolute = _map(folder, "integrated_gradients_absolute_sum")
    signed, occlusion = _map(folder, "integrated_gradients_signed_sum"), _map(folder, "occlusion_absolute")
    mask = _map(folder, "mask")
    if absolute is None or mask is None:
        return [absent("The maps are gone from ", code(f"{FOLDER}/maps"), "; make them again.")]
    where = np.asarray(mask.dataobj) > 0
    views: list[Child] = []
    for draw, image, title, caption in (
        (
            glass_brain,
            absolute,
            "strength of integrated gradients",
            "Strength of the attribution (mean absolute value)",
        ),
        (slices, absolute, "strength of integrated gradients", "The same in axial slices"),
        (slices, signed, "sign of integrated gradients", "With sign: red and yellow raise the output, blue lowers it"),
        (slices, occlusion, "strength of occlusion", "Occlusion: how much the output changes when a cube is hidden"),
    ):
        if image is None:
            continue
        values = np.abs(np.asarray(image.dataobj, dtype=float)[where])
        threshold, limit = float(np.percentile(values, STRONGEST)), float(values.max())
        if limit > 0:
            description = f"Brain view: {title}, strongest 5 % of the voxels"
            views.append(captioned(draw(image, min(threshold, 0.999 * limit), limit, description), caption, "."))
    note = (
        "Each view shows the strongest 5 % of the voxels on nilearn's MNI152 template: positions are right for scans "
        "in that space. The files with all values are in "
    )
    return [*views, paragraph(note, code(f"{FOLDER}/maps"), ".", class_="small muted")]


def _map(folder: Path, name: str) -> nib.Nifti1Image | None:
    path = folder / "maps" / f"{name}.nii.gz"
    if not path.is_file():
        return None
    try:
        image: Any = nib.loadsave.load(path)
        return nib.Nifti1Image(np.asarray(image.dataobj, dtype=np.float32), image.affine)
    except (OSError, EOFError, ImageFileError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}), expected a map; make the maps again.") from error


def _regions(folder: Path, found: dict[str, Any]) -> list[Child]:
    path = folder / "regions.csv"
    if not path.is_file():
        return []
    # as texts first: Python reads back the very numbers that were written
    regions = pd.read_csv(path, dtype=str, keep_default_na=False).astype(dict.fromkeys(REGION_NUMBERS, float))
    rows = []
    for position, row in enumerate(regions.head(REGIONS_SHOWN).to_dict("records")):
        source = f"{FOLDER}/regions.csv#{position}"
        means = [
            number(row[name], f"{source}.{name}", text=f"{row[name]:.3g}") for name in ("mean_absolute", "mean_signed")
        ]
        peak = ", ".join(f"{row[f'peak_{axis}']:.0f}" for axis in "xyz")
        rows.append([row["region"], str(row["voxels"]), *means, number(row["share"], f"{source}.share"), peak])
    head = ("Region", "Voxels", "Mean strength", "Mean with sign", "Share of the whole", "Peak (mm)")
    caption = f"The strongest of {len(regions)} regions ({found['regions']}; {FOLDER}/regions.csv)"
    return [table(head, rows, caption=caption)]


def _frames(folder: Path) -> list[Child]:
    path = folder / "frames.csv"
    if not path.is_file():
        return []
    chart = frames_chart("frames", pd.read_csv(path))
    caption = "Frames of a window: attention rollout, and how much the output changes when one frame is hidden."
    return [captioned(chart, caption)]
