"""Cohorts in BIDS: raw scans or the derivatives of fMRIPrep, with a table of subjects."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tff.data.bids_names import NIFTI_EXTENSIONS, BidsName, parse_name, same_value, without_prefix
from monai_tff.data.cohorts.cohort import Cohort
from monai_tff.data.cohorts.table import SubjectTable, read_table
from monai_tff.data.records import Record, make_record
from monai_tff.errors import DatalistError

OPTIONS = {
    "task": "--task",
    "ses": "--session",
    "run": "--run",
    "space": "--space",
    "res": "--res",
    "desc": "--desc",
    "echo": "--echo",
}
"""Entities that scans can be chosen by, and the options of the command line for them."""

VARIANT_ENTITIES = ("space", "res", "den", "desc", "echo")
"""Entities in which two files of one run differ without being two runs."""

_SKIPPED_FOLDERS = ("sourcedata", "code")
_NOT_MAGNITUDE = ("phase", "real", "imag")


def read_bids(
    folder: str | os.PathLike[str],
    target: str,
    *,
    task: str | None = None,
    space: str | None = None,
    session: str | None = None,
    run: str | None = None,
    res: str | None = None,
    desc: str | None = None,
    echo: str | None = None,
    tables: Sequence[str | os.PathLike[str]] = (),
) -> Cohort:
    """Finds the `*_bold` scans of a BIDS tree and the target of their subjects.

    Preprocessed scans (`desc-preproc`) are preferred; raw and preprocessed scans are never mixed, nor are spaces,
    resolutions or echoes.

    Args:
        folder: of the dataset or the derivative; also the `dataset_dir` that image paths start from.
        target: column of the table.
        task: only scans of this task; values are accepted with or without the key (`task-`) and leading zeros.
        space: only scans in this space.
        session: only scans of this session.
        run: only this run.
        res: only scans of this resolution.
        desc: only this description, instead of preferring `preproc`.
        echo: only this echo.
        tables: a tab- or comma-separated table of subjects; `participants.tsv` of the folder if empty.

    Returns:
        The cohort; rows without a value of the target are left out.

    Raises:
        DatalistError: when there is no scan, no table or no match between them, or several variants of the scans.

    Example:
        >>> cohort = read_bids("ds000030", "diagnosis", task="rest")  # doctest: +SKIP
    """
    root = Path(folder)
    if not root.is_dir():
        raise DatalistError(f"{root}: there is no such folder, expected a BIDS dataset or derivative.")
    chosen = {"task": task, "ses": session, "run": run, "space": space, "res": res, "desc": desc, "echo": echo}
    filters = {key: without_prefix(value, key) for key, value in chosen.items() if value is not None}
    left_out: dict[str, list[str]] = defaultdict(list)
    scans = _find_scans(root, filters, left_out)
    subjects = read_table(Path(tables[0]) if tables else root / "participants.tsv", target)
    records = _join(scans, subjects, left_out)
    return Cohort(records, left_out={reason: sorted(names) for reason, names in left_out.items()})


def _find_scans(root: Path, filters: Mapping[str, str], left_out: dict[str, list[str]]) -> dict[str, BidsName]:
    """Scans by their path relative to the root: one variant, each run once."""
    found = {path: parse_name(path) for path in _bold_files(root)}
    if not found:
        raise DatalistError(f"{root}: has no *_bold.nii or *_bold.nii.gz file, expected a BIDS dataset or derivative.")
    for path, name in list(found.items()):
        if "sub" not in name.entities or name.entities.get("part") in _NOT_MAGNITUDE:
            reason = "phase, real or imaginary part" if "sub" in name.entities else "no sub- in the file name"
            left_out[f"scans: {reason}"].append(path)
            del found[path]
    scans = {path: name for path, name in found.items() if _fits(name, filters)}
    if not scans:
        raise DatalistError(
            f"{root}: none of {len(found)} scans has {_filter_words(filters)}, "
            f"found {_values(found.values(), filters)}; choose among these."
        )
    if "desc" not in filters:
        scans = _prefer_preprocessed(scans, left_out)
    _refuse_variants(root, scans)
    _refuse_duplicates(root, scans)
    return dict(sorted(scans.items()))


def _bold_files(root: Path) -> Iterator[str]:
    """Paths, relative to the root, of all BOLD files; linked folders are followed once."""
    visited: set[str] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(n for n in subfolders if not n.startswith(".") and n not in _SKIPPED_FOLDERS)
        for name in sorted(files):
            if name.endswith(tuple(f"_bold{extension}" for extension in NIFTI_EXTENSIONS)) and name[0] != ".":
                yield (Path(folder) / name).relative_to(root).as_posix()


def _fits(name: BidsName, filters: Mapping[str, str]) -> bool:
    entities = name.entities
    return all(key in entities and same_value(entities[key], value) for key, value in filters.items())


def _filter_words(filters: Mapping[str, str]) -> str:
    return " ".join(f"{key}-{value}" for key, value in filters.items()) or "a sub- entity and a magnitude"


def _values(names: Any, filters: Mapping[str, str]) -> str:
    """For each entity that was asked for, the values that occur."""
    names = list(names)
    occurring = {key: sorted({name.entities.get(key, "none") for name in names}) for key in filters}
    return "; ".join(f"{key}: {', '.join(values[:12])}" for key, values in occurring.items()) or "none"


def _run_key(name: BidsName) -> tuple[tuple[str, str], ...]:
    """What makes a scan a run of its own: every entity but those of a variant."""
    return tuple(sorted((key, value) for key, value in name.entities.items() if key not in VARIANT_ENTITIES))


def _prefer_preprocessed(scans: dict[str, BidsName], left_out: dict[str, list[str]]) -> dict[str, BidsName]:
    preprocessed = {path: name for path, name in scans.items() if name.entities.get("desc") == "preproc"}
    if not preprocessed:
        return scans
    runs = {_run_key(name) for name in preprocessed.values()}
    missing = [path for path, name in scans.items() if path not in preprocessed and _run_key(name) not in runs]
    if missing:
        left_out["scans: not preprocessed, others are"].extend(missing)
    return preprocessed


def _refuse_variants(root: Path, scans: Mapping[str, BidsName]) -> None:
    variants = Counter(
        " ".join(f"{key}-{name.entities[key]}" for key in VARIANT_ENTITIES if key in name.entities) or "plain"
        for name in scans.values()
    )
    if len(variants) > 1:
        listed = ", ".join(f"{variant} ({count} scans)" for variant, count in sorted(variants.items()))
        raise DatalistError(
            f"{root}: the scans come in {len(variants)} variants: {listed}; expected one; choose with "
            "--space, --res, --desc or --echo."
        )


def _refuse_duplicates(root: Path, scans: Mapping[str, BidsName]) -> None:
    first_seen: dict[Any, str] = {}
    for path, name in scans.items():
        before = first_seen.setdefault(_run_key(name), path)
        if before != path:
            raise DatalistError(
                f"{root}: {before} and {path} are the same run, expected each run once; "
                "give the folder of one pipeline, or remove the copy."
            )


def _join(scans: Mapping[str, BidsName], table: SubjectTable, left_out: dict[str, list[str]]) -> list[Record]:
    """Gives each scan the target, group and site of its subject."""
    in_folder = sorted({name.entities["sub"] for name in scans.values()})
    matched = table.match(in_folder)
    if not matched:
        raise DatalistError(
            f"{table.path}: none of the {len(in_folder)} subjects with scans (sub-{in_folder[0]}, ...) has a row, "
            f"found the IDs {', '.join(table.subjects[:3]) or 'none'}; write the IDs as in the folder."
        )
    reasons: dict[str, set[str]] = {
        "subjects: not in the table": {f"sub-{subject}" for subject in in_folder if subject not in matched},
        "subjects: no scan": {f"sub-{subject}" for subject in set(table.subjects) - set(matched.values())},
    }
    records = []
    for path, name in scans.items():
        subject, session = name.entities["sub"], name.entities.get("ses")
        if subject not in matched:
            continue
        row = table.row(matched[subject], session)
        unit = f"sub-{subject}" + (f" ses-{session}" if row is None or row.session is not None else "")
        if row is None or row.value is None:
            reason = "sessions: not in the table" if row is None else "rows: no target value"
            reasons.setdefault(reason, set()).add(unit)
            continue
        records.append(_record(path, name, table.group(matched[subject], subject), row.site, row.value))
    left_out.update({reason: sorted(names) for reason, names in reasons.items() if names})
    return records


def _record(path: str, name: BidsName, group: str, site: str | None, value: str) -> Record:
    return make_record(
        path,
        name.entities["sub"],
        group,
        value,
        session=name.entities.get("ses"),
        run=name.entities.get("run"),
        task=name.entities.get("task"),
        site=site,
    )
