"""The scans of UCLA ds000030: its published derivative of fMRIPrep, or the raw dataset."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from monai_tff.data.bids_names import NIFTI_EXTENSIONS, BidsName, parse_name, without_prefix
from monai_tff.data.cohorts.bids_scans import Scans, is_registered
from monai_tff.data.cohorts.repeated_runs import runs_once
from monai_tff.errors import DatalistError

DERIVATIVE = "derivatives/fmriprep"
SPACE = "MNI152NLin2009cAsym"
"""The template that the published derivative is in; other spaces of it are not chosen unless they are asked for."""


def find_ucla_scans(root: Path, left_out: dict[str, list[str]]) -> Scans:
    """Every BOLD file in `sub-*/func` of the folder and of its `derivatives/fmriprep`.

    Args:
        root: the dataset, or its derivative; the subjects' folders may be links.
        left_out: takes up links whose file is not there (a clone whose files were not fetched).

    Returns:
        Names by path relative to the folder.

    Raises:
        DatalistError: when there is none, or no such folder.
    """
    if not root.is_dir():
        raise DatalistError(f"{root}: there is no such folder, expected ds000030 or its {DERIVATIVE}.")
    found: Scans = {}
    for folder in (root / DERIVATIVE, root):
        for image in sorted(folder.glob("sub-*/func/*.nii*")):
            name = parse_name(image)
            # old fMRIPrep writes `_bold_space-..._preproc`, new `_space-..._desc-preproc_bold`
            bold = name.suffix == "bold" or (name.suffix == "preproc" and "bold" in name.words)
            if not bold or name.extension not in NIFTI_EXTENSIONS or "sub" not in name.entities:
                continue
            path = image.relative_to(root).as_posix()
            if image.is_file():
                found[path] = name
            else:
                left_out.setdefault("scans: a link whose file is not there", []).append(path)
    if not found:
        missing = sum(map(len, left_out.values()))
        raise DatalistError(
            f"{root}: found no {_looked_for('sub-10159', 'rest', SPACE)} here or in {DERIVATIVE}"
            + (f" but {missing} links whose file is not there" if missing else "")
            + ", expected ds000030 or its derivative; give its folder, and fetch the files."
        )
    return found


def choose_ucla_scans(
    root: Path,
    found: Mapping[str, BidsName],
    left_out: dict[str, list[str]],
    *,
    task: str,
    space: str | None = None,
    allow_unregistered: bool = False,
) -> tuple[Scans, list[str]]:
    """Chooses the scans of one task: preprocessed ones in one space, or raw ones where these are allowed.

    Args:
        root: folder of the cohort, for messages.
        found: from `find_ucla_scans`.
        left_out: takes up raw scans of subjects without a preprocessed one.
        task: without `task-`.
        space: of the preprocessed scans, `MNI152NLin2009cAsym` if None.
        allow_unregistered: whether raw scans, and those in the space of the subject, may be used.

    Returns:
        The chosen scans, and a sentence for each run that is there twice.

    Raises:
        DatalistError: when nothing fits, or only scans that are not allowed.
    """
    wanted_space = SPACE if space is None else without_prefix(space, "space")
    of_task = {path: name for path, name in found.items() if name.entities.get("task") == task}
    preprocessed = {p: n for p, n in of_task.items() if is_preprocessed(n) and n.entities.get("space") == wanted_space}
    raw = {path: name for path, name in of_task.items() if is_raw(name)}
    if not preprocessed and not (raw and space is None):
        raise DatalistError(
            f"{root}: found no {_looked_for('sub-*', task, wanted_space)}, but {_kinds(found.values())}; choose among "
            "these with --task and --space, or give the folder of the derivative."
        )
    chosen = preprocessed or raw
    if not allow_unregistered and not all(map(is_registered, chosen.values())):
        kind = "in the space of each subject" if preprocessed else "raw"
        raise DatalistError(
            f"{root}: the {len(chosen)} scans of the task {task} are {kind}, expected "
            f"{_looked_for('sub-*', task, SPACE)}: scans of different people must be in one space; give the dataset's "
            "derivative of fMRIPrep, or take them as they are with --allow-unregistered."
        )
    subjects = {name.entities["sub"] for name in chosen.values()}
    only_raw = sorted(path for path, name in raw.items() if name.entities["sub"] not in subjects)
    if only_raw:
        left_out["scans: not preprocessed, others are"] = only_raw
    return _once(root, chosen)


def is_preprocessed(name: BidsName) -> bool:
    """Whether a scan is what fMRIPrep made without smoothing or ICA-AROMA (`variant-smoothAROMAnonaggr`)."""
    entities = name.entities
    return "variant" not in entities and (name.suffix == "preproc" or entities.get("desc") == "preproc")


def is_raw(name: BidsName) -> bool:
    """Whether a scan is as it came from the scanner."""
    return name.suffix == "bold" and not {"space", "desc", "variant"}.intersection(name.entities)


def _once(root: Path, chosen: Mapping[str, BidsName]) -> tuple[Scans, list[str]]:
    """The scans of runs that are there once, and a sentence for each of the others."""
    files: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for path, name in chosen.items():
        files[name.entities["sub"], name.entities.get("run")].append(path)
    once, faults = runs_once(root, files.values())
    return {path: chosen[path] for path in once}, faults


def _looked_for(subject: str, task: str, space: str) -> str:
    return f"{subject}/func/{subject}_task-{task}_bold_space-{space}_preproc.nii.gz"


def _kinds(names: Iterable[BidsName]) -> str:
    """Tasks and spaces that there are, with counts."""
    counts = Counter(
        " ".join(
            [f"task-{name.entities.get('task', 'none')}", *_variant(name), "" if not is_raw(name) else "raw"]
        ).strip()
        for name in names
    )
    return ", ".join(f"{kind} ({count} scans)" for kind, count in sorted(counts.items()))


def _variant(name: BidsName) -> list[str]:
    return [f"{key}-{name.entities[key]}" for key in ("space", "variant", "desc") if key in name.entities]
