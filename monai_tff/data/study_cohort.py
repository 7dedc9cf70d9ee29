"""The part of a cohort that a study can use as one: the scans on the majority's grid that are long enough."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from monai_tff.data.cohorts.cohort import Cohort
from monai_tff.data.grid import note_headers
from monai_tff.data.header import ScanHeader
from monai_tff.data.ras_grid import RasGrid, ras_grid
from monai_tff.data.records import Record
from monai_tff.errors import DatalistError, ScanError

FEWEST_FRAMES = 8
"""Frames below which a scan is left out: no window worth a transformer fits."""


@dataclasses.dataclass(frozen=True)
class UsableCohort:
    """A cohort whose scans go together.

    Attributes:
        cohort: as read, less the scans that do not fit; its faults say why.
        headers: of the labelled records, in their order.
        grid: of every scan, brought to RAS.
    """

    cohort: Cohort
    headers: Sequence[ScanHeader]
    grid: RasGrid

    def only(self, images: Container[str]) -> UsableCohort:
        """The same with the labelled scans of these paths alone: those that came into the datalist."""
        pairs = zip(self.cohort.records, self.headers, strict=True)
        kept = [(record, header) for record, header in pairs if record["image"] in images]
        cohort = dataclasses.replace(self.cohort, records=[record for record, _ in kept])
        return dataclasses.replace(self, cohort=cohort, headers=[header for _, header in kept])


def usable_cohort(
    cohort: Cohort, dataset_dir: str | os.PathLike[str], *, mask: str = "auto", progress: bool = False
) -> UsableCohort:
    """Reads the headers of a cohort, and leaves out the scans that are not on the grid of the most.

    Args:
        cohort: of a reader.
        dataset_dir: its folder.
        mask: `auto` notes the mask beside each scan in its record, `nonzero` none.
        progress: whether to show a progress bar.

    Returns:
        The cohort that is left; a scan that cannot be used is one sentence in its faults.

    Raises:
        DatalistError: when no scan can be used.
    """
    records = [dict(record) for record in (*cohort.records, *cohort.unlabelled)]
    outcomes = note_headers(records, Path(dataset_dir), mask=mask, progress=progress)
    grids = {i: ras_grid(outcome) for i, outcome in enumerate(outcomes) if not isinstance(outcome, ScanError)}
    if not grids:
        raise DatalistError(f"{dataset_dir}: none of {len(records)} scans can be used; the first: {outcomes[0]}")
    size = Counter(grid.size for grid in grids.values()).most_common(1)[0][0]
    usual = next(grid for grid in grids.values() if grid.size == size)
    faults: list[str] = []
    kept: dict[int, ScanHeader] = {}
    for number, (record, outcome) in enumerate(zip(records, outcomes, strict=True)):
        fault = _fault(record, outcome, grids, number, usual)
        if fault is not None:
            faults.append(fault)
        elif not isinstance(outcome, ScanError):
            kept[number] = outcome
    labelled = {number: header for number, header in kept.items() if number < len(cohort.records)}
    if not labelled:
        raise DatalistError(
            f"{dataset_dir}: none of {len(cohort.records)} labelled scans is usable; the first: {faults[0]}"
        )
    whole = dataclasses.replace(
        cohort,
        records=[records[number] for number in labelled],
        unlabelled=[records[number] for number in kept if number not in labelled],
        faults=[*cohort.faults, *faults],
    )
    return UsableCohort(whole, list(labelled.values()), usual)


def _fault(
    record: Record, outcome: ScanHeader | ScanError, grids: Mapping[int, RasGrid], number: int, usual: RasGrid
) -> str | None:
    """Why a scan cannot be used, None where it can."""
    if isinstance(outcome, ScanError):
        return str(outcome)
    if not grids[number].has_size_of(usual):
        return (
            f"{record['image']}: the grid is {grids[number]}, expected {usual} as most scans have; resample the scan "
            "to that grid."
        )
    if outcome.num_frames < FEWEST_FRAMES:
        return f"{record['image']}: has {outcome.num_frames} frames, expected at least {FEWEST_FRAMES} for a window."
    return None
