"""The folder of an experiment that was run over folds or seeds: which runs it holds.

<folder>/folds.json
<folder>/fold-1/seed-7/{autoencoder,transformer,finetune}/     one member: a split and a seed
<folder>/evaluation/                                           pooled over the folds, mean over the seeds
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tff.errors import ConfigError
from monai_tff.handlers.evaluation_files import write_json

FOLDS_FILE = "folds.json"
PARTS = ("evaluation", "baselines", "controls")
"""Folders of the numbers that are pooled over the members."""


@dataclasses.dataclass(frozen=True)
class Member:
    """One repetition of an experiment.

    Attributes:
        split: which split it was trained on: `fold-1`, `repeat-2_fold-1`, `site-Prisma`, or `single`.
        seed: of the training.
        folder: the run folder of its last phase, absolute.
        datalist: of the split, absolute, where it was when the member was added; None for a run on its own.
    """

    split: str
    seed: int
    folder: Path
    datalist: Path | None = None

    @property
    def name(self) -> str:
        """Split and seed, for a person."""
        return f"{self.split}, seed {self.seed}"

    @property
    def place(self) -> Path:
        """Folder of its phases."""
        return self.folder.parent


@dataclasses.dataclass(frozen=True)
class StudyFolder:
    """What `folds.json` says.

    Attributes:
        experiment: name of the experiment.
        phases: their names; the last one's run folder is the member's.
        plan: facts that all splits share.
        splits: number of splits that the plan has.
        members: split by split, seed by seed.
    """

    experiment: str
    phases: tuple[str, ...]
    plan: Mapping[str, Any]
    splits: int
    members: tuple[Member, ...]


def is_folds_folder(folder: str | Path) -> bool:
    """Whether a folder holds an experiment over folds or seeds."""
    return (Path(folder) / FOLDS_FILE).is_file()


def read_members(folder: str | Path) -> list[Member]:
    """The members of a folder of folds, in their order: split by split, seed by seed.

    Args:
        folder: holds `folds.json`, see `read_study_folder`.

    Raises:
        ConfigError: for a file that is damaged.
    """
    return list(read_study_folder(folder).members)


def read_study_folder(folder: str | Path) -> StudyFolder:
    """What a folder of folds holds.

    Args:
        folder: holds `folds.json`: `{"experiment": name, "phases": [names], "plan": {...}, "splits": number,
            "members": [{"split", "seed", "folder" (of the phases, relative), "datalist"}]}`.

    Raises:
        ConfigError: for a file that is missing or damaged.
    """
    path = Path(folder).resolve() / FOLDS_FILE
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        last = content["phases"][-1]
        members = [
            Member(
                str(entry["split"]),
                int(entry["seed"]),
                path.parent / entry["folder"] / last,
                Path(entry["datalist"]),
            )
            for entry in content["members"]
        ]
        phases = tuple(content["phases"])
        return StudyFolder(content["experiment"], phases, content["plan"], int(content["splits"]), tuple(members))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({type(error).__name__}: {error}), expected the folds that `run --folds` "
            "wrote; start the run again with --resume."
        ) from error


def write_study_folder(folder: Path, study: StudyFolder) -> None:
    """Writes `folds.json` in one step; numbers that were pooled over fewer members are marked as unfinished.

    Args:
        folder: of the folds.
        study: what it holds.
    """
    entries = [
        {
            "split": member.split,
            "seed": member.seed,
            "folder": member.place.relative_to(folder).as_posix(),
            "datalist": str(member.datalist),
        }
        for member in study.members
    ]
    if not is_folds_folder(folder) or len(read_members(folder)) != len(entries):
        for part in PARTS:
            # an evaluation without its numbers is one that is not finished
            for metrics in (folder / part).rglob("metrics.json"):
                metrics.unlink()
    facts = {"plan": dict(study.plan), "splits": study.splits}
    content = {"experiment": study.experiment, "phases": list(study.phases), **facts, "members": entries}
    write_json(folder / FOLDS_FILE, content)


def member_place(folder: Path, split: str, seed: int) -> Path:
    """Folder of the phases of one member."""
    return folder / split / f"seed-{seed}"


def in_order(members: Sequence[Member], splits: Sequence[str]) -> tuple[Member, ...]:
    """Members split by split in the order of the plan, and seed by seed."""
    return tuple(sorted(members, key=lambda member: (splits.index(member.split), member.seed)))
