"""Tables that name the scan of each row: cohorts without BIDS names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from monai_tff.data.bids_names import NIFTI_EXTENSIONS, parse_name, without_zeros
from monai_tff.data.cohorts.bids_scans import fits
from monai_tff.data.cohorts.table import Row, read_rows
from monai_tff.errors import DatalistError


@dataclasses.dataclass
class ListedScans:
    """The rows of a table by the scan that they name, as a path relative to the folder.

    Attributes:
        rows: of the scans to use.
        not_chosen: of scans whose file names say something else than what was asked for.
        left_out: names by reason.
        faults: a sentence for a path that is not there, that is no NIfTI file or outside of the folder, a scan with
            two labels, a subject with two families or two ways of writing its ID.
    """

    rows: dict[str, Row] = dataclasses.field(default_factory=dict)
    not_chosen: dict[str, Row] = dataclasses.field(default_factory=dict)
    left_out: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    faults: list[str] = dataclasses.field(default_factory=list)


def listed_scans(
    root: Path, table: Path, target: str, *, id_column: str, path_column: str, filters: Mapping[str, str]
) -> ListedScans:
    """Reads a table that says which scan belongs to which row.

    Args:
        root: folder that the paths start from; a path may also be absolute, within this folder.
        table: with the columns of the target, the IDs and the paths.
        target: column of the target.
        id_column: column of the IDs.
        path_column: column of the paths.
        filters: what file names must say, from `entity_filters`.

    Returns:
        The scans.

    Raises:
        DatalistError: for a table that cannot be used, or without any scan.
    """
    found = ListedScans()
    faults: dict[str, str] = {}
    all_rows = read_rows(table, target, id_column=id_column, path_column=path_column)
    for row in all_rows:
        if row.path is None:
            found.left_out.setdefault("rows: no path", []).append(f"sub-{row.subject}")
            continue
        image = _relative(root, row.path)
        if image is None:
            faults.setdefault(row.path, f"{row.path} is outside of {root}, expected a scan of this folder; correct it")
            continue
        fault = _fault(root, image, found.rows.get(image), row)
        if fault is not None:
            faults.setdefault(image, fault)
        else:
            (found.rows if fits(parse_name(image), filters) else found.not_chosen)[image] = row
    several = {**dict(_several_families(all_rows)), **dict(_several_spellings(all_rows))}
    found.rows = {i: row for i, row in found.rows.items() if i not in faults and row.subject not in several}
    found.left_out["scans: not chosen"] = list(found.not_chosen)
    found.faults = [f"{table}: {sentence}." for sentence in dict.fromkeys((*faults.values(), *several.values()))]
    if not found.rows:
        raise DatalistError(
            f"{table}: the column '{path_column}' names no scan under {root} that can be used, expected paths such as "
            f"scans/1.nii.gz{'; ' + found.faults[0] if found.faults else '.'}"
        )
    return found


def _relative(root: Path, path: str) -> str | None:
    """The path relative to the root, with `/`; None outside of it."""
    try:
        relative = Path(path).relative_to(root) if Path(path).is_absolute() else Path(path)
    except ValueError:
        return None
    return None if ".." in relative.parts else relative.as_posix()


def _fault(root: Path, image: str, before: Row | None, row: Row) -> str | None:
    if not image.endswith(NIFTI_EXTENSIONS):
        return f"{image} is no NIfTI file, expected .nii or .nii.gz; correct the row of {row.subject}"
    if not (root / image).is_file():
        return f"{root / image} is not there, expected the scan of {row.subject}; correct the row or fetch the file"
    if before is not None and before != row:
        return (
            f"two rows name {image} and disagree ({before.subject} and {row.subject}), expected one; correct the table"
        )
    return None


def _several_families(rows: list[Row]) -> Iterator[tuple[str, str]]:
    families: dict[str, str] = {}
    for row in rows:
        if row.family is not None and families.setdefault(row.subject, row.family) != row.family:
            sentence = f"{row.subject} is in the families {families[row.subject]} and {row.family}, expected one"
            yield row.subject, f"{sentence}; correct the table"


def _several_spellings(rows: list[Row]) -> Iterator[tuple[str, str]]:
    """IDs that are equal but for leading zeros: as two subjects, one person could be in training and in test."""
    spellings: dict[str, dict[str, None]] = {}
    for row in rows:
        spellings.setdefault(without_zeros(row.subject), {})[row.subject] = None
    for subjects in spellings.values():
        for subject in subjects if len(subjects) > 1 else ():
            sentence = f"{' and '.join(subjects)} may be one subject, expected IDs that are written alike"
            yield subject, f"{sentence}; correct the table"
