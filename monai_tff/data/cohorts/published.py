"""Material of the published code: its scans once they are converted, and its splits."""

from __future__ import annotations

import os
from collections.abc import Sequence

from monai_tff.data.cohorts.bids import read_bids
from monai_tff.data.cohorts.cohort import Cohort
from monai_tff.data.cohorts.published_convert import Conversion, convert_published
from monai_tff.data.cohorts.published_split import published_sections, read_published_split
from monai_tff.errors import DatalistError

__all__ = ["Conversion", "convert_published", "published_sections", "read_published", "read_published_split"]


def read_published(
    folder: str | os.PathLike[str],
    target: str,
    *,
    run: str | None = None,
    tables: Sequence[str | os.PathLike[str]] = (),
    id_column: str | None = None,
) -> Cohort:
    """Reads a folder that `convert_published` wrote.

    The scans are cropped and trimmed already: the input contract then has neither crop nor trim.

    Args:
        folder: of the converted scans.
        target: column of the tables.
        run: only this run, `LR` for example.
        tables: of the subjects; `participants.tsv` of the folder if empty.
        id_column: column of the IDs, `participant_id` if None; HCP's is `Subject`.

    Returns:
        The cohort; `published_sections` says which section of a published split its subjects are in.

    Raises:
        DatalistError: see `read_bids`; for a folder of tensors that are not converted.
    """
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    if names and not any(name.startswith("sub-") and _holds_scans(folder, name) for name in names):
        raise DatalistError(
            f"{folder}: has no sub-*/func folder, expected the folder that convert_published wrote; convert the "
            "tensors first."
        )
    return read_bids(folder, target, run=run, tables=tables, id_column=id_column)


def _holds_scans(folder: str | os.PathLike[str], name: str) -> bool:
    return os.path.isdir(os.path.join(folder, name, "func"))
