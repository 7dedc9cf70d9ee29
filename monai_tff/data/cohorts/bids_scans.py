"""Finds the BOLD scans of a folder by their BIDS names: one variant, each run once."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tff.data.bids_names import NIFTI_EXTENSIONS, BidsName, parse_name, same_value, without_prefix, without_zeros
from monai_tff.data.cohorts.motion import find_confounds, mean_framewise_displacement
from monai_tff.data.records import MEAN_FD, Record
from monai_tff.errors import DatalistError

ENTITIES = {
    "task": "task",
    "session": "ses",
    "run": "run",
    "space": "space",
    "res": "res",
    "desc": "desc",
    "echo": "echo",
}
"""Keywords of a reader (and options of the command line) that choose scans, and the entity that each is about."""

VARIANT_ENTITIES = ("space", "res", "den", "desc", "echo")
"""Entities in which two files of one run differ without being two runs."""

INDIVIDUAL_SPACES = (
    "T1w",
    "T2w",
    "anat",
    "individual",
    "native",
    "orig",
    "scanner",
    "func",
    "bold",
    "boldref",
    "fsnative",
)
"""Values of `space` that are the subject's own space: two subjects are not registered to each other there."""

UNREGISTERED = "unregistered scans"
"""What `Cohort.allowed` says where scans that are in no template's space were allowed."""

Scans = dict[str, BidsName]
"""Path of a scan relative to the folder, with `/`, and the parts of its name."""

LeftOut = dict[str, list[str]]

_SKIPPED_FOLDERS = ("sourcedata", "code")
_NOT_MAGNITUDE = ("phase", "real", "imag")
_SHOWN = 5


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """The folder of a cohort.

    Raises:
        DatalistError: when it is not there.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DatalistError(f"{root}: there is no such folder, expected a BIDS dataset or derivative.")
    return root


def entity_filters(**chosen: str | None) -> dict[str, str]:
    """What scans are chosen by: values by entity, from the keywords of a reader (see `ENTITIES`), None for any."""
    return {
        ENTITIES[keyword]: without_prefix(value, ENTITIES[keyword])
        for keyword, value in chosen.items()
        if value is not None
    }


def bold_scans(root: Path, parse: Callable[[str], BidsName] = parse_name) -> Scans:
    """Every `*_bold` file under a folder.

    Args:
        root: of the dataset or derivative; linked folders are followed once.
        parse: from the relative path to the parts of the name.

    Raises:
        DatalistError: when there is none.
    """
    found = {path: parse(path) for path in _bold_files(root)}
    if not found:
        raise DatalistError(f"{root}: has no *_bold.nii or *_bold.nii.gz file, expected a BIDS dataset or derivative.")
    return found


def choose_scans(root: Path, found: Mapping[str, BidsName], filters: Mapping[str, str], left_out: LeftOut) -> Scans:
    """Chooses the scans to use: one variant, each run once.

    Preprocessed scans (`desc-preproc`) are preferred; raw and preprocessed scans are never mixed, nor are spaces,
    resolutions, descriptions or echoes.

    Args:
        root: of the dataset or derivative, for messages.
        found: from `bold_scans`.
        filters: from `entity_filters`; values match with and without leading zeros.
        left_out: reasons and paths, filled in.

    Returns:
        The scans, sorted by path.

    Raises:
        DatalistError: when none fits, several variants do, or two files are the same run.
    """
    usable = _with_subject_and_magnitude(found, left_out)
    scans = {path: name for path, name in usable.items() if fits(name, filters)}
    if not scans:
        raise DatalistError(
            f"{root}: none of {len(usable)} scans has {_filter_words(filters)}, "
            f"found {_values(usable.values(), filters)}; choose among these."
        )
    if "desc" not in filters:
        scans = _prefer_preprocessed(scans, left_out)
    _refuse_variants(root, scans)
    _refuse_duplicates(root, scans)
    return dict(sorted(scans.items()))


def fits(name: BidsName, filters: Mapping[str, str]) -> bool:
    """Whether a scan has every value that is asked for."""
    entities = name.entities
    return all(key in entities and same_value(entities[key], value) for key, value in filters.items())


def is_registered(name: BidsName) -> bool:
    """Whether a name says that the scan is in the space of a template (`space-MNI152NLin2009cAsym`)."""
    space = name.entities.get("space")
    return space is not None and space not in INDIVIDUAL_SPACES


def other_scans(found: Mapping[str, BidsName], records: Sequence[Record]) -> list[dict[str, str]]:
    """The scans of the records' subjects that no record uses: other runs, tasks, spaces, echoes, phase images.

    Args:
        found: from `bold_scans`.
        records: of the cohort, those without label too.
    """
    used = {record["image"] for record in records}
    subjects = {record["subject"] for record in records}
    return [
        {"image": path, "subject": name.entities["sub"]}
        for path, name in sorted(found.items())
        if path not in used and name.entities.get("sub") in subjects
    ]


def misplaced(path: str, name: BidsName) -> str | None:
    """A sentence where a scan lies in the folder of another subject or session, else None: one of the two is wrong.

    Args:
        path: of the scan, relative to the folder of the cohort.
        name: its parts.
    """
    for key, word in (("sub", "subject"), ("ses", "session")):
        own = f"{key}-{name.entities.get(key)}"
        others = [part for part in path.split("/")[:-1] if part.startswith(f"{key}-") and part != own]
        if key in name.entities and others:
            return f"{path}: is named {own} and lies in the folder {others[0]}, expected one {word}; move or rename it."
    return None


def motion_facts(root: Path, image: str) -> dict[str, Any]:
    """The keys of a record that the confounds beside a scan give: `confounds`, `motion`, `motion_kind`.

    Args:
        root: folder that paths start from.
        image: the scan, relative to it.

    Raises:
        DatalistError: for confounds that cannot be read.
    """
    confounds = find_confounds(root / image)
    if confounds is None:
        return {}
    motion = mean_framewise_displacement(confounds)
    return {
        "confounds": confounds.relative_to(root).as_posix(),
        "motion": motion,
        "motion_kind": None if motion is None else MEAN_FD,
    }


def refuse_only_faults(root: Path, records: Sequence[Record], faults: Sequence[str]) -> None:
    """Refuses a cohort in which everything with a label is wrong: the faults are the answer, not the missing labels.

    Args:
        root: of the cohort, for the message.
        records: with label.
        faults: a sentence each.

    Raises:
        DatalistError: with the first of the sentences.
    """
    if faults and not records:
        raise DatalistError(
            f"{root}: no scan with a label is left after {len(faults)} {'fault' if len(faults) == 1 else 'faults'}: "
            f"{'; '.join(fault.rstrip('.') for fault in faults[:_SHOWN])}{'; ...' if len(faults) > _SHOWN else '.'}"
        )


def sorted_reasons(reasons: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """What was left out, by reason: each name once and in order, reasons without names dropped."""
    return {reason: sorted(set(names)) for reason, names in reasons.items() if names}


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


def _with_subject_and_magnitude(found: Mapping[str, BidsName], left_out: LeftOut) -> Scans:
    usable = {}
    for path, name in found.items():
        if "sub" not in name.entities:
            left_out.setdefault("scans: no sub- in the file name", []).append(path)
        elif name.entities.get("part") in _NOT_MAGNITUDE:
            left_out.setdefault("scans: phase, real or imaginary part", []).append(path)
        else:
            usable[path] = name
    return usable


def _filter_words(filters: Mapping[str, str]) -> str:
    return " ".join(f"{key}-{value}" for key, value in filters.items()) or "a sub- entity and a magnitude"


def _values(names: Iterable[BidsName], filters: Mapping[str, str]) -> str:
    """For each entity that was asked for, the values that occur."""
    names = list(names)
    occurring = {key: sorted({name.entities.get(key, "none") for name in names}) for key in filters}
    return "; ".join(f"{key}: {', '.join(values[:12])}" for key, values in occurring.items()) or "none"


def _run_key(name: BidsName) -> tuple[tuple[str, str], ...]:
    """What makes a scan a run of its own: every entity but those of a variant, `run-1` and `run-01` being one."""
    entities = {key: value for key, value in name.entities.items() if key not in VARIANT_ENTITIES}
    if "run" in entities:
        entities["run"] = without_zeros(entities["run"])
    return tuple(sorted(entities.items()))


def _prefer_preprocessed(scans: Scans, left_out: LeftOut) -> Scans:
    preprocessed = {path: name for path, name in scans.items() if name.entities.get("desc") == "preproc"}
    if not preprocessed:
        return scans
    runs = {_run_key(name) for name in preprocessed.values()}
    missing = [path for path, name in scans.items() if path not in preprocessed and _run_key(name) not in runs]
    if missing:
        left_out.setdefault("scans: not preprocessed, others are", []).extend(missing)
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
    runs: dict[Any, list[str]] = defaultdict(list)
    for path, name in scans.items():
        runs[_run_key(name)].append(path)
    copies = [paths for paths in runs.values() if len(paths) > 1]
    if not copies:
        return
    first = f"{' and '.join(copies[0][:_SHOWN])} are the same run"
    others = [f"{' and '.join(paths[:_SHOWN])}" for paths in copies[1:_SHOWN]]
    more = f" (and {len(copies) - 1} more runs: {'; '.join(others)}{', ...' if len(copies) > _SHOWN else ''})"
    raise DatalistError(
        f"{root}: {first}{more if others else ''}, expected each run once; "
        "give the folder of one pipeline, or remove the copy."
    )
