"""What a study of a cohort starts from: guesses for its dataset layer and its experiment, each with its reason."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_tff.contract import TR_TOLERANCE
from monai_tff.data.header import ScanHeader
from monai_tff.data.records import Record
from monai_tff.data.study_box import BrainBox, brain_box
from monai_tff.data.study_cohort import UsableCohort

PAPER_SECONDS = 20 * 0.72
"""Seconds of the paper's window: 20 frames of HCP."""

WINDOW_FRAMES = (8, 29)
"""Shortest window worth a transformer, and the longest that the network takes (`max_frames`)."""

PAPER_HIDDEN_SIZE = 2640
"""Of the paper: 2 x 10 x 12 x 11, the elements of its bottleneck."""

SMALLEST_HIDDEN_SIZE = 160
HEADS = 16
PAPER_SCANS = 1000
"""Training scans from which the hidden size is not made smaller for the sake of the cohort's size."""

COVERED = 0.95
"""Share of the scans whose unsteady frames the trim must hold."""

_UNSTEADY = re.compile(r"non_?steady_?state_?outlier_?\d+", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Guess:
    """One value and why it is that.

    Attributes:
        value: as it is written into the file.
        why: in a few words.
    """

    value: Any
    why: str


@dataclasses.dataclass(frozen=True)
class Study:
    """Guesses for a cohort.

    Attributes:
        dataset: keys of the dataset layer.
        network: `hidden_size` and `window_length`.
        frames: of each scan after the trim.
        mask_voxels: voxels of a mask within the crop, None where no mask was found.
    """

    dataset: dict[str, Guess]
    network: dict[str, Guess]
    frames: Sequence[int]
    mask_voxels: int | None

    @property
    def spatial_size(self) -> tuple[int, int, int]:
        """H, W, D of the network input."""
        height, width, depth = self.dataset["spatial_size"].value
        return height, width, depth


def guess_study(
    usable: UsableCohort, dataset_dir: str | os.PathLike[str], *, training_scans: int, mask: str = "auto"
) -> Study:
    """Guesses what a study of a cohort needs to be told.

    Args:
        usable: the cohort's scans and their headers.
        dataset_dir: its folder.
        training_scans: scans that a network is trained on.
        mask: `auto` or `nonzero`.

    Returns:
        The guesses.

    Raises:
        ScanError: when a header cannot be read.
    """
    records, headers = usable.cohort.records, usable.headers
    box = brain_box(records, dataset_dir, mask=mask)
    trim = _trim(records, Path(dataset_dir), headers)
    frames = [header.num_frames - trim.value for header in headers]
    seconds, policy = _repetition_time(records)
    masks = sum(record["mask"] is not None for record in records)
    dataset = {
        "spatial_size": Guess(list(box.spatial_size), "the grid after the crop, in RAS"),
        "crop": Guess(box.crop, box.why),
        "trim": trim,
        "axis_codes": Guess("RAS", "scans are brought to RAS before the crop"),
        "mask": Guess(mask, f"a mask lies beside {masks} of {len(records)} scans"),
        "voxel_size": Guess([round(size, 3) for size in usable.grid.voxel_size], "of every scan used"),
        "repetition_time": seconds,
        "tr_policy": policy,
        "denoising": Guess(usable.cohort.denoising, "what the reader of the cohort says of its scans"),
    }
    network = {
        "window_length": _window_length(seconds.value, min(frames)),
        "hidden_size": hidden_size(box.spatial_size, training_scans),
    }
    return Study(dataset, network, frames, _cropped_voxels(box))


def hidden_size(spatial_size: Sequence[int], training_scans: int) -> Guess:
    """Length of a frame code: the elements of the bottleneck, fewer for a small cohort.

    Args:
        spatial_size: voxels per axis after the crop.
        training_scans: scans that the network is trained on.

    Returns:
        A multiple of 16 from 160 to 2640.

    Example:
        >>> hidden_size((75, 93, 81), 4000).value, hidden_size((75, 93, 81), 100).value
        (2640, 848)
    """
    # two channels of a grid halved three times
    bottleneck = 2 * math.prod(-(-size // 8) for size in spatial_size)
    share = min(1.0, math.sqrt(training_scans / PAPER_SCANS))
    size = HEADS * math.ceil(bottleneck * share / HEADS)
    size = min(max(size, SMALLEST_HIDDEN_SIZE), PAPER_HIDDEN_SIZE)
    why = (
        f"{bottleneck} elements at the bottleneck, {training_scans} training scans; the paper's is {PAPER_HIDDEN_SIZE}"
    )
    return Guess(size, why)


def unsteady_frames(confounds: str | os.PathLike[str]) -> int:
    """Frames at the start of a scan that fMRIPrep marks as not in steady state.

    Args:
        confounds: its table; only the line of the column names is read.

    Returns:
        The number of `non_steady_state_outlierXX` columns.
    """
    with open(confounds, encoding="utf-8-sig") as file:
        return sum(_UNSTEADY.fullmatch(name.strip()) is not None for name in file.readline().split("\t"))


def _trim(records: Sequence[Record], folder: Path, headers: Sequence[ScanHeader]) -> Guess:
    tables = [folder / record["confounds"] for record in records if record.get("confounds") is not None]
    found = sorted(unsteady_frames(table) for table in tables if table.is_file())
    if not found:
        return Guess(0, "no confounds say which frames are not in steady state; `check` looks for bright ones")
    covering = found[math.ceil(COVERED * len(found)) - 1]
    trim = min(covering, max(0, min(header.num_frames for header in headers) - WINDOW_FRAMES[0]))
    if trim < covering:
        return Guess(trim, f"{covering} frames are not in steady state, but the shortest scan would be too short")
    return Guess(trim, f"the frames not in steady state in {COVERED:.0%} of {len(found)} tables of confounds")


def _repetition_time(records: Sequence[Record]) -> tuple[Guess, Guess]:
    known = Counter(record["tr"] for record in records if record["tr"] is not None)
    if not known:
        return Guess(None, "neither headers nor sidecars state it"), Guess("refuse", "as recommended")
    usual, count = known.most_common(1)[0]
    others = [seconds for seconds in known.elements() if abs(seconds - usual) > TR_TOLERANCE * usual]
    why = f"s, of {count} of {len(records)} scans"
    if others:
        return Guess(usual, why), Guess("allow", f"{len(others)} of {len(records)} scans have another repetition time")
    return Guess(usual, why), Guess("refuse", "scans of another repetition time are an error")


def _window_length(seconds: float | None, shortest: int) -> Guess:
    low, high = WINDOW_FRAMES
    wanted = 20 if seconds is None else min(max(round(PAPER_SECONDS / seconds), low), high)
    if shortest < wanted:
        return Guess(max(1, shortest), f"the shortest scan has {shortest} frames")
    if seconds is None:
        return Guess(wanted, "frames, as in the paper; the repetition time is unknown")
    return Guess(wanted, f"frames, {wanted * seconds:.1f} s; the paper's windows are {PAPER_SECONDS:.1f} s")


def _cropped_voxels(box: BrainBox) -> int | None:
    return None if box.mask_voxels is None else min(box.mask_voxels, int(np.prod(box.spatial_size)))
