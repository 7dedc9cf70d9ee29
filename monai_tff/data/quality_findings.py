"""Findings about one scan: what its facts mean for a training, and what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from monai_tff.contract import TR_TOLERANCE, InputContract
from monai_tff.data.header import ScanHeader
from monai_tff.data.mask_files import NONZERO_SHARE
from monai_tff.data.quality_facts import ScanFacts
from monai_tff.errors import ContractError

MUST_FIX, NOTE = "must fix", "note"
LEVELS = (MUST_FIX, NOTE)

MASK_SHARE = (0.02, 0.9)
"""Share of the grid that a brain's mask can have."""

LARGEST_EMPTY_SHARE = 0.05
"""Share of the brain's voxels without signal that is more than rounding at its edge."""

NEGATIVE_SHARE = 0.05
"""Share of negative elements that interpolation does not explain."""

OUTLIER_STDS = 50.0
SATURATED_SHARE = 0.001


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        level: `must fix` or `note`.
        kind: short name of what it is about, the same for equal findings.
        sentence: what was found and what to do.
        section: of the datalist; empty for a finding about the cohort as a whole.
        image: path of the scan as the datalist has it; likewise.
    """

    level: str
    kind: str
    sentence: str
    section: str = ""
    image: str = ""


@dataclasses.dataclass(frozen=True)
class Expectations:
    """What the scans are compared with.

    Attributes:
        contract: of the dataset layer, None where no layer states a grid.
        trim: frames that will be dropped at the start.
        mask: `auto` or `nonzero`.
        window_length: frames of a window, None where it is not known.
    """

    contract: InputContract | None = None
    trim: int = 0
    mask: str = "auto"
    window_length: int | None = None


Said = tuple[str, str, str]
"""Level, kind and sentence."""


def scan_findings(record: Mapping[str, Any], facts: ScanFacts, expected: Expectations) -> list[Said]:
    """Findings that follow from one scan alone.

    Args:
        record: of the datalist.
        facts: what was read.
        expected: what the scan is compared with.

    Returns:
        Level, kind and sentence of each.
    """
    said: list[Said] = []
    if facts.error is not None:
        said.append((MUST_FIX, "unreadable", facts.error))
    if facts.header is not None:
        said += _repetition_time(record, facts)
        said += _contract(record, facts.header, expected)
    if facts.mask_error is not None:
        said.append((MUST_FIX, "mask", facts.mask_error))
    if facts.content is not None:
        said += _content(record, facts)
        said += _not_finite(facts)
        if facts.mean is None:
            where = "" if facts.mask is None else " within the mask"
            said.append((MUST_FIX, "no signal", f"all elements{where} are 0; check the file and its mask."))
        else:
            said += [*_mask(facts, expected), *_still(facts), *_frames(facts, expected), *_intensities(facts)]
    return said


def differs(first: float, second: float, tolerance: float = TR_TOLERANCE) -> bool:
    """Whether two positive numbers differ by more than a share of the second."""
    return abs(first - second) > tolerance * second


def repetition_time_of(record: Mapping[str, Any], facts: ScanFacts) -> float | None:
    """Seconds that a training takes for a scan: those of the datalist, else of the sidecar, else of the header."""
    known = (record.get("tr"), facts.sidecar_repetition_time, facts.header_repetition_time)
    return next((seconds for seconds in known if seconds is not None), None)


def _repetition_time(record: Mapping[str, Any], facts: ScanFacts) -> Iterator[Said]:
    header, sidecar, noted = facts.header_repetition_time, facts.sidecar_repetition_time, record.get("tr")
    if header is None and sidecar is None and noted is None:
        yield (
            *(MUST_FIX, "no TR"),
            "neither header nor sidecar states the repetition time; write RepetitionTime (seconds) into a sidecar.",
        )
    if header is not None and sidecar is not None and differs(header, sidecar):
        yield (
            *(MUST_FIX, "TR"),
            f"the header says TR {header:g} s, the sidecar {sidecar:g} s; find out which is right and correct the "
            "other.",
        )
    if header is None and sidecar is not None:
        yield NOTE, "no TR in the header", f"the header states no TR; that of the sidecar, {sidecar:g} s, is used."
    now = header if sidecar is None else sidecar
    if noted is not None and now is not None and differs(now, noted):
        yield (
            *(MUST_FIX, "TR"),
            f"the datalist notes TR {noted:g} s, the scan says {now:g} s; build the datalist again.",
        )


def _contract(record: Mapping[str, Any], header: ScanHeader, expected: Expectations) -> Iterator[Said]:
    """Every part of the contract on its own, so that one fault does not hide the next."""
    contract = expected.contract
    frames = max(0, header.num_frames - expected.trim)
    if contract is None:
        if expected.window_length is not None and frames < expected.window_length:
            yield (
                *(MUST_FIX, "too few frames"),
                f"{frames} frames are left after dropping {expected.trim}, a window has {expected.window_length}; "
                "leave the scan out, or use a shorter window.",
            )
        return
    # torch, which the reading of scans does without
    from monai_tff.data.checking import axis_order
    from monai_tff.transforms.spatial import cropped_size

    order = axis_order(header.axis_codes, contract.axis_codes)
    seconds = record.get("tr") if record.get("tr") is not None else header.repetition_time
    checks: dict[str, Callable[[], None]] = {
        "grid": lambda: contract.check(
            "", spatial_size=cropped_size([header.shape[axis] for axis in order], contract.crop)
        ),
        "voxel size": lambda: contract.check("", voxel_size=[header.voxel_size[axis] for axis in order]),
        "too few frames": lambda: contract.check("", frames=frames),
        "TR": lambda: contract.check("", repetition_time=seconds),
    }
    for kind, check in checks.items():
        try:
            check()
        except ContractError as error:
            yield MUST_FIX, kind, str(error).removeprefix(": ")


def _content(record: Mapping[str, Any], facts: ScanFacts) -> Iterator[Said]:
    noted = record.get("content")
    if noted is not None and noted != facts.content:
        yield (
            *(MUST_FIX, "content"),
            "its voxels are not those that the datalist was built from; put the file back, or build the datalist anew.",
        )


def _not_finite(facts: ScanFacts) -> Iterator[Said]:
    if not facts.not_finite:
        return
    found = f"{facts.not_finite} elements are NaN or infinite, the first in frame {facts.first_not_finite_frame}"
    if facts.not_finite_in_mask == 0:
        yield NOTE, "NaN outside the mask", f"{found}; none is within the mask, so nothing needs to be done."
        return
    within = "" if facts.not_finite_in_mask is None else f", {facts.not_finite_in_mask} of them within the mask"
    yield MUST_FIX, "NaN", f"{found}{within}; set them to 0, or give a mask without these voxels."


def _mask(facts: ScanFacts, expected: Expectations) -> Iterator[Said]:
    assert facts.header is not None
    x, y, z = facts.header.spatial_shape
    grid = x * y * z
    if facts.mask_voxels:
        share = facts.mask_voxels / grid
        empty = ((facts.mask_zero_voxels or 0) + (facts.mask_constant_voxels or 0)) / facts.mask_voxels
        if not MASK_SHARE[0] <= share <= MASK_SHARE[1]:
            yield NOTE, "size of the mask", f"the mask {facts.mask} covers {share:.1%} of the grid; look at it."
        if empty > LARGEST_EMPTY_SHARE:
            yield (
                *(NOTE, "mask without signal"),
                f"{empty:.1%} of the mask's voxels have the same value in every frame; look whether the mask is of "
                "this scan and the scan covers the brain.",
            )
        return
    share = 1 - (facts.zero_voxels or 0) / grid
    if NONZERO_SHARE[0] <= share <= NONZERO_SHARE[1] or facts.mask_error is not None:
        return
    if expected.mask == "nonzero":
        what = f"{share:.1%} of the voxels are not 0, and with mask: nonzero all of them are the brain; "
        yield NOTE, "no background", f"{what}give a masked scan, or use mask: auto."
    else:
        what = f"there is no mask and {share:.1%} of the voxels are not 0, so that nilearn will estimate the mask; "
        yield NOTE, "estimated mask", f"{what}a mask beside the scan is better."


def _still(facts: ScanFacts) -> Iterator[Said]:
    """Voxels that never change: without a mask of those that are not 0, whose share of a mask `_mask` has told."""
    assert facts.header is not None
    x, y, z, frames = facts.header.shape
    voxels = facts.mask_voxels or x * y * z
    zero = facts.mask_zero_voxels if facts.mask_voxels else facts.zero_voxels
    constant = (facts.mask_constant_voxels if facts.mask_voxels else facts.constant_voxels) or 0
    if frames > 1 and constant and constant == voxels - (zero or 0):
        what = f"every voxel has the same value in all {frames} frames: it is one volume, repeated; check the file."
        yield MUST_FIX, "no signal", what
    elif frames > 1 and not facts.mask_voxels and constant > LARGEST_EMPTY_SHARE * (voxels - (zero or 0)):
        yield (
            *(NOTE, "constant voxels"),
            f"{constant / (voxels - (zero or 0)):.1%} of the voxels that are not 0 have the same value in every frame; "
            "look whether that is padding, which should be 0, or give a mask.",
        )


def _frames(facts: ScanFacts, expected: Expectations) -> Iterator[Said]:
    if facts.empty_frames:
        yield (
            NOTE,
            "empty frames",
            f"{facts.empty_frames} frames are 0 everywhere; cut them off, or leave the scan out.",
        )
    if facts.repeated_frames:
        yield (
            *(NOTE, "repeated frames"),
            f"{facts.repeated_frames} frames equal the one before them; convert the scan again, or leave it out.",
        )
    bright = facts.frames_before_steady_state or 0
    if bright > expected.trim:
        yield (
            *(NOTE, "not steady state"),
            f"the first {bright} frames are brighter than the rest; set trim to {bright} at least.",
        )


def _intensities(facts: ScanFacts) -> Iterator[Said]:
    assert facts.mean is not None
    assert facts.maximum is not None
    assert facts.minimum is not None
    std = facts.std or 0.0
    if std == 0:
        yield MUST_FIX, "no signal", f"all elements that are not 0 are {facts.mean:g}; check the file."
        return
    if (facts.negative_fraction or 0) > NEGATIVE_SHARE:
        yield (
            *(NOTE, "negative values"),
            f"{facts.negative_fraction:.1%} of the elements are negative, as after filtering without adding the mean "
            "back; use scans that kept their mean, or the global channel shows no anatomy.",
        )
    furthest = max(facts.maximum - facts.mean, facts.mean - facts.minimum) / std
    if furthest > OUTLIER_STDS:
        yield (
            *(NOTE, "outlier"),
            f"one element lies {furthest:.0f} standard deviations off the mean (all: {facts.minimum:g} to "
            f"{facts.maximum:g}), which squeezes all others in the global channel; clip it, or mask its voxel out.",
        )
    if (facts.saturated_fraction or 0) > SATURATED_SHARE:
        yield (
            *(NOTE, "saturated"),
            f"{facts.saturated_fraction:.1%} of the elements are at the largest value of the file's type; convert the "
            "scan again with a scaling.",
        )
