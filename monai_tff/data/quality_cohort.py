"""Findings that need the whole cohort: other grids than the majority's, unusual lengths, the same data twice."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from monai_tff.data.quality_facts import ScanFacts
from monai_tff.data.quality_findings import (
    MUST_FIX,
    NOTE,
    Expectations,
    Finding,
    Said,
    differs,
    repetition_time_of,
    scan_findings,
)
from monai_tff.data.ras_grid import RasGrid, ras_grid

USUAL_LENGTHS = (0.8, 1.25)
"""Length of a scan against the median length of the cohort within which it is usual."""


class CheckedScan(NamedTuple):
    """A scan of a datalist and what reading it showed."""

    section: str
    record: Mapping[str, Any]
    facts: ScanFacts


def find_all(scans: Sequence[CheckedScan], expected: Expectations) -> list[Finding]:
    """All findings about a cohort's scans, what must be fixed first.

    Args:
        scans: every scan of the datalist.
        expected: what they are compared with.

    Returns:
        Findings in the order of their level, then of the scans; those about the whole cohort come last of their level.
    """
    of_scan: list[list[Said]] = [scan_findings(scan.record, scan.facts, expected) for scan in scans]
    whole: list[Said] = []
    for number, said in itertools.chain(_grids(scans, expected, whole), _times_and_lengths(scans, expected, whole)):
        of_scan[number].append(said)
    for number, said in _duplicates(scans):
        of_scan[number].append(said)
    findings = [
        Finding(*said, section=scan.section, image=scan.record["image"])
        for scan, found in zip(scans, of_scan, strict=True)
        for said in found
    ]
    findings += [Finding(*said) for said in whole]
    return sorted(findings, key=lambda finding: finding.level != MUST_FIX)


def _grids(scans: Sequence[CheckedScan], expected: Expectations, whole: list[Said]) -> Iterator[tuple[int, Said]]:
    """Grids and orientations that are not those of the most scans."""
    grids = {i: ras_grid(scan.facts.header) for i, scan in enumerate(scans) if scan.facts.header is not None}
    if not grids:
        return
    usual_size = Counter(grid.size for grid in grids.values()).most_common(1)[0][0]
    usual = next(grid for grid in grids.values() if grid.size == usual_size)
    codes = {i: scan.facts.header.axis_codes for i, scan in enumerate(scans) if scan.facts.header is not None}
    usual_codes = Counter(codes.values()).most_common(1)[0][0]
    for number, grid in grids.items():
        # a contract that states the grid has said what is wrong already
        if not grid.has_size_of(usual) and (expected.contract is None or expected.contract.voxel_size is None):
            level = MUST_FIX if expected.contract is None else NOTE
            what = f"the grid is {grid}, that of most scans {usual}; resample the scan, or leave it out."
            yield number, (level, "other grid", what)
        if codes[number] != usual_codes:
            stored = expected.contract is not None and expected.contract.axis_codes is None
            way_out = "reorient the scan" if stored else "nothing needs to be done unless axis_codes is null"
            what = f"it is stored {codes[number]}, most scans are {usual_codes}; {way_out}."
            yield number, (MUST_FIX if stored else NOTE, "orientation", what)
    yield from _places(grids, usual, whole)


def _places(grids: Mapping[int, RasGrid], usual: RasGrid, whole: list[Said]) -> Iterator[tuple[int, Said]]:
    """Grids of the usual size that lie elsewhere: scans that were not brought to one template."""
    same_size = {number: grid for number, grid in grids.items() if grid.has_size_of(usual)}
    # the median corner stands for the place of most scans
    origins = np.median([grid.affine[:3, 3] for grid in same_size.values()], axis=0)
    centre = min(same_size.values(), key=lambda grid: float(np.linalg.norm(grid.affine[:3, 3] - origins)))
    elsewhere = [number for number, grid in same_size.items() if not grid.is_at_place_of(centre)]
    if 2 * len(elsewhere) > len(same_size):
        what = f"{len(elsewhere)} of {len(same_size)} grids lie at different places: the scans are in no common space; "
        whole.append((NOTE, "no common space", f"{what}register them to a template."))
        return
    for number in elsewhere:
        what = "its affine puts the grid elsewhere than that of most scans; look whether it is in the same space."
        yield number, (NOTE, "other place", what)


def _times_and_lengths(
    scans: Sequence[CheckedScan], expected: Expectations, whole: list[Said]
) -> Iterator[tuple[int, Said]]:
    headers = {i: scan.facts.header for i, scan in enumerate(scans) if scan.facts.header is not None}
    if not headers:
        return
    middle = median(header.num_frames for header in headers.values())
    low, high = (share * middle for share in USUAL_LENGTHS)
    for number, header in headers.items():
        if not low <= header.num_frames <= high:
            what = f"it has {header.num_frames} frames, the cohort's median is {middle:g}; look whether it is complete."
            yield number, (NOTE, "unusual length", what)
    seconds = {i: repetition_time_of(scan.record, scan.facts) for i, scan in enumerate(scans)}
    known = {number: value for number, value in seconds.items() if value is not None}
    if not known or (expected.contract is not None and expected.contract.repetition_time is not None):
        return
    usual = Counter(known.values()).most_common(1)[0][0]
    others = [number for number, value in known.items() if differs(value, usual)]
    if 2 * len(others) > len(known):
        whole.append((NOTE, "several TRs", f"{len(others)} of {len(known)} scans have another TR than {usual:g} s."))
        return
    for number in others:
        what = f"TR {known[number]:g} s, most scans have {usual:g} s; leave it out, or set tr_policy to allow."
        yield number, (NOTE, "other TR", what)


def _duplicates(scans: Sequence[CheckedScan]) -> Iterator[tuple[int, Said]]:
    """Scans with the voxels of another one."""
    by_content: dict[str, list[int]] = defaultdict(list)
    for number, scan in enumerate(scans):
        # scans without signal are all alike, and have a finding of their own
        if scan.facts.content is not None and scan.facts.mean is not None:
            by_content[scan.facts.content].append(number)
    for numbers in by_content.values():
        sides = {(scans[number].section, scans[number].record["subject"]) for number in numbers}
        for number in numbers if len(numbers) > 1 else ():
            twin = scans[next(other for other in numbers if other != number)]
            what = f"holds the same voxels as {twin.record['image']} ({twin.section}, subject {twin.record['subject']})"
            if len(sides) > 1:
                yield number, (MUST_FIX, "duplicate", f"{what}; remove one of the two and build the datalist again.")
            else:
                yield number, (NOTE, "duplicate", f"{what}; one of the two is enough.")
