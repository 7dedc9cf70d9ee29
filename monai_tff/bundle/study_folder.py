"""The folder of an experiment that was run over folds or seeds: which runs it holds.

<folder>/folds.json
<folder>/fold-1/seed-7/{autoencoder,transformer,finetune}/     one member: a split and a seed
<folder>/evaluation/                                           pooled over the folds, mean over the seeds
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from monai_tff.errors import ConfigError

FOLDS_FILE = "folds.json"


@dataclasses.dataclass(frozen=True)
class Member:
    """One repetition of an experiment.

    Attributes:
        split: which split it was trained on: `fold-1`, `repeat-2_fold-1`, `site-Prisma`, or `single`.
        seed: of the training.
        folder: the run folder of its last phase, absolute.
    """

    split: str
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """Split and seed, for a person."""
        return f"{self.split}, seed {self.seed}"


def is_folds_folder(folder: str | Path) -> bool:
    """Whether a folder holds an experiment over folds or seeds."""
    return (Path(folder) / FOLDS_FILE).is_file()


def read_members(folder: str | Path) -> list[Member]:
    """The members of a folder of folds, in their order: split by split, seed by seed.

    Args:
        folder: holds `folds.json`: `{"experiment": name, "phases": [names], "members": [{"split", "seed",
            "folder" (of the phases, relative), "datalist"}]}`.

    Raises:
        ConfigError: for a file that is damaged.
    """
    path = Path(folder).resolve() / FOLDS_FILE
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        last = content["phases"][-1]
        return [
            Member(str(entry["split"]), int(entry["seed"]), path.parent / entry["folder"] / last)
            for entry in content["members"]
        ]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({type(error).__name__}: {error}), expected the folds that `run --folds` "
            "wrote; start the run again with --resume."
        ) from error
