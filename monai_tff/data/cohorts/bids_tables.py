"""Finds the table of a BIDS dataset that holds the target."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from monai_tff.data.bids_names import parse_name
from monai_tff.data.cohorts.bids_labels import Labels
from monai_tff.data.cohorts.cells import column_names, need_column
from monai_tff.data.cohorts.table import ID_COLUMN, Row, SubjectTable, merge_rows, read_rows, read_table
from monai_tff.errors import DatalistError

PARTICIPANTS = "participants.tsv"
SESSIONS_ENDING = "_sessions.tsv"

Paths = Sequence[str | os.PathLike[str]]


def dataset_roots(root: Path, raw: str | os.PathLike[str] | None = None) -> list[Path]:
    """The folders whose tables speak for the scans of a folder.

    Args:
        root: of the scans.
        raw: the raw dataset, found where it is obvious if None: relative `SourceDatasets` of dataset_description.json,
            and `<raw>` of `<raw>/derivatives/<pipeline>`.

    Returns:
        The folder, then the raw datasets.

    Raises:
        DatalistError: when `raw` is not there, or dataset_description.json is not JSON.
    """
    if raw is not None:
        if not Path(raw).is_dir():
            raise DatalistError(
                f"--raw: there is no folder {raw}, expected the raw dataset of {root}; correct the path."
            )
        return [root, Path(raw)]
    absolute = Path(os.path.abspath(root))
    candidates = _source_datasets(root)
    if absolute.parent.name == "derivatives":
        candidates.append(absolute.parents[1])
    found: dict[str, Path] = {}
    for candidate in candidates:
        if candidate.is_dir() and not candidate.samefile(root):
            found.setdefault(os.path.realpath(candidate), candidate)
    return [root, *found.values()]


def find_labels(roots: Sequence[Path], target: str, *, tables: Paths = (), id_column: str | None = None) -> Labels:
    """Finds the table with a column of the target.

    Args:
        roots: from `dataset_roots`.
        target: the column.
        tables: to look in, instead of participants.tsv, `sub-*/*_sessions.tsv` and phenotype/*.tsv, in this order.
        id_column: column of the IDs in `tables`, `participant_id` if None.

    Returns:
        The labels; `participants.tsv` is their background in any case.

    Raises:
        DatalistError: when no table or several tables have the column, or a table cannot be used.
    """
    if tables or id_column is not None:
        given = [Path(table) for table in tables] or [roots[0] / PARTICIPANTS]
        if all(path.name.endswith(SESSIONS_ENDING) for path in given):
            return Labels(_sessions_table(given[0], given, target), background=background_tables(roots))
        path = given_table(given, target)
        background = background_tables(roots, given, path, id_column or ID_COLUMN)
        return Labels(read_table(path, target, id_column=id_column or ID_COLUMN), background=background)
    found = [*_participants_with(roots, target), *_sessions_with(roots, target), *_phenotypes_with(roots, target)]
    if not found:
        raise _no_column(roots, target)
    first, *others = found
    return Labels(first, others, [table for table in background_tables(roots) if table.path != first.path])


def background_tables(
    roots: Sequence[Path], given: Sequence[Path] = (), target_table: Path | None = None, id_column: str = ID_COLUMN
) -> list[SubjectTable]:
    """The tables that say more about the subjects: those that the user named, then participants.tsv.

    Args:
        roots: from `dataset_roots`.
        given: tables that the user named.
        target_table: the one of them that holds the target.
        id_column: column of the IDs in them; a table without it is not used.
    """
    known = {os.path.realpath(path) for path in (target_table,) if path is not None}
    found: list[SubjectTable] = []
    candidates = [(path, id_column) for path in given] + [(path, ID_COLUMN) for path in _participants(roots)]
    for path, column in candidates:
        if os.path.realpath(path) not in known and column in column_names(path):
            known.add(os.path.realpath(path))
            found.append(read_table(path, None, id_column=column))
    return found


def given_table(tables: Sequence[Path], target: str) -> Path:
    """The one of several tables that has the target's column.

    Raises:
        DatalistError: when none or several have it.
    """
    if len(tables) == 1:
        return tables[0]
    holders = [path for path in tables if target in column_names(path)]
    if len(holders) == 1:
        return holders[0]
    if holders:
        raise _several(holders, target)
    listed = "; ".join(f"{path} has {', '.join(column_names(path)) or 'no column'}" for path in tables)
    raise DatalistError(f"--table: no table has a column '{target}', found {listed}; name a column, or another table.")


def _source_datasets(root: Path) -> list[Path]:
    """Paths of `SourceDatasets` of a derivative; an address on the web is none that exists."""
    description = root / "dataset_description.json"
    if not description.is_file():
        return []
    try:
        content = json.loads(description.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DatalistError(
            f"{description}: is not readable as JSON ({error}), expected the description of the dataset; correct it."
        ) from error
    sources = content.get("SourceDatasets") if isinstance(content, dict) else None
    urls = [source.get("URL") for source in sources or () if isinstance(source, dict)]
    return [root / url.removeprefix("file://") for url in urls if isinstance(url, str) and url]


def _participants(roots: Sequence[Path]) -> list[Path]:
    return [root / PARTICIPANTS for root in roots if (root / PARTICIPANTS).is_file()]


def _participants_with(roots: Sequence[Path], target: str) -> list[SubjectTable]:
    """The folder's own participants.tsv before that of the raw dataset."""
    holders = [path for path in _participants(roots) if target in column_names(path)]
    return [read_table(path, target) for path in holders[:1]]


def _sessions_with(roots: Sequence[Path], target: str) -> list[SubjectTable]:
    """The `*_sessions.tsv` of all subjects as one table, of the first dataset that has them with the column."""
    for root in roots:
        holders = [path for path in _sessions_files(root) if target in column_names(path)]
        if holders:
            return [_sessions_table(root / f"sub-*{SESSIONS_ENDING}", holders, target)]
    return []


def _sessions_table(name: Path, files: Sequence[Path], target: str) -> SubjectTable:
    """One table of several `sub-01_sessions.tsv`: the subject stands in the name, or in that of the folder."""
    rows: list[Row] = []
    for path in files:
        subject = parse_name(path).entities.get("sub") or path.parent.name.removeprefix("sub-")
        rows += read_rows(path, target, subject=subject)
    return SubjectTable(name, merge_rows(name, rows))


def _phenotypes_with(roots: Sequence[Path], target: str) -> list[SubjectTable]:
    for root in roots:
        holders = [path for path in _phenotype_files(root) if target in column_names(path)]
        if len(holders) > 1:
            raise _several(holders, target)
        if holders:
            return [read_table(holders[0], target)]
    return []


def _sessions_files(root: Path) -> list[Path]:
    found = {*root.glob(f"sub-*/*{SESSIONS_ENDING}"), *root.glob(f"sub-*/ses-*/*{SESSIONS_ENDING}")}
    return sorted(path for path in found if not path.name.startswith("."))


def _phenotype_files(root: Path) -> list[Path]:
    return sorted(path for path in (root / "phenotype").glob("*.tsv") if not path.name.startswith("."))


def _no_column(roots: Sequence[Path], target: str) -> DatalistError:
    """Names the tables that were looked in, and their columns."""
    looked_in = [*_participants(roots), *(path for root in roots for path in _phenotype_files(root))]
    sessions = [path for root in roots for path in _sessions_files(root)]
    if not looked_in and not sessions:
        return DatalistError(
            f"{roots[0] / PARTICIPANTS}: there is no such table, expected participants.tsv (also in the raw dataset, "
            "named with --raw), sub-*/*_sessions.tsv or phenotype/*.tsv; or give a table with --table."
        )
    if len(looked_in) == 1 and not sessions:
        try:
            need_column(looked_in[0], {name: [] for name in column_names(looked_in[0])}, target)
        except DatalistError as error:
            return error
    listed = [f"{path} has {', '.join(column_names(path)) or 'no column'}" for path in looked_in]
    if sessions:
        listed.append(f"{sessions[0]} has {', '.join(column_names(sessions[0])) or 'no column'}")
    return DatalistError(
        f"{roots[0]}: no table has a column '{target}', found {'; '.join(listed)}; name a column of these tables, or "
        "give another with --table."
    )


def _several(holders: Iterable[Path], target: str) -> DatalistError:
    listed = ", ".join(str(path) for path in holders)
    return DatalistError(f"'{target}' is a column of several tables: {listed}; expected one; choose it with --table.")
