"""What a cohort reader returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from monai_tff.data.records import Record


@dataclasses.dataclass(frozen=True)
class Cohort:
    """The scans of a cohort, and what became of those that are not used.

    Attributes:
        records: with a label as written in the table, see `monai_tff.data.records`.
        unlabelled: records of usable scans without a label, which may join phases 1 and 2; their label is None.
        left_out: names of what was left out as it should be, by reason (`subjects: no scan`).
        faults: one sentence for each row, scan or subject that was left out because something is wrong with it; the
            rest of the cohort is used, and the command exits with a code other than 0.
        others: `image` (relative to the folder) and `subject` of scans in the folder that no record uses: other runs,
            tasks, spaces. Weights that have seen a subject must not be tested on them.
        allowed: what was allowed by hand, `unregistered scans` for example; it is written into the datalist.
        denoising: what was removed from the time courses already, see `InputContract`.
    """

    records: Sequence[Record]
    unlabelled: Sequence[Record] = ()
    left_out: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    faults: Sequence[str] = ()
    others: Sequence[Mapping[str, str]] = ()
    allowed: Sequence[str] = ()
    denoising: str = "none"
