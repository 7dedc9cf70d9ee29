"""The splits that an experiment is repeated over: datalists of one plan that lie side by side.

`python -m monai_tff datalist --folds 5 --output my_study.json` writes `my_study_fold-1.json` to `my_study_fold-5.json`;
`my_study.json` stands for all of them.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tff.data.datalist import load_datalist
from monai_tff.data.split_plan import split_suffixes
from monai_tff.data.splits import SECTIONS
from monai_tff.errors import DatalistError

ALL = "all"
SINGLE = "single"
"""Name of the split of a datalist that is no part of a plan of several."""

PLAN_FACTS = ("scheme", "seed", "ratios", "validation", "folds", "repeats", "sites")
"""Facts that all splits of a plan share; the others are those of each."""

_SUFFIX = re.compile(r"_((repeat-\d+_)?fold-\d+|site-.+)")


@dataclasses.dataclass(frozen=True)
class Split:
    """One split of a plan.

    Attributes:
        name: `fold-1`, `repeat-2_fold-1`, `site-Prisma`, or `single`.
        datalist: its file, absolute.
        facts: what the datalist says of the split.
    """

    name: str
    datalist: Path
    facts: Mapping[str, Any]

    @property
    def plan(self) -> dict[str, Any]:
        """The facts that all splits of the plan share."""
        return {key: self.facts[key] for key in PLAN_FACTS if key in self.facts}


def single_split(datalist: str | Path) -> Split:
    """The split of one datalist, to be repeated with several seeds.

    Raises:
        DatalistError: for a datalist that cannot be used.
    """
    path = Path(datalist).resolve()
    return Split(SINGLE, path, load_datalist(path)["split"])


def find_splits(datalist: str | Path) -> list[Split]:
    """Finds the datalists of a plan of folds or sites.

    Args:
        datalist: what `datalist --output` was given; the files beside it are found.

    Returns:
        All splits of the plan: repeat by repeat and fold by fold, or sorted by site.

    Raises:
        DatalistError: where files are missing, are of different plans, or test a scan twice within a repeat.
    """
    base = Path(datalist).resolve()
    contents = {path: load_datalist(path) for path in _candidates(base)}
    if not contents:
        raise DatalistError(
            f"{base}: there are no datalists of folds beside it, expected {base.stem}_fold-1{base.suffix} and so on; "
            f"make them with {_command(base, {})}."
        )
    _refuse_mixture(contents)
    ordered = sorted(contents, key=lambda path: _place(contents[path]["split"]))
    suffixes = split_suffixes([contents[path]["split"] for path in ordered])
    splits = [
        Split(suffix.removeprefix("_"), path, contents[path]["split"])
        for path, suffix in zip(ordered, suffixes, strict=True)
    ]
    _refuse_missing(base, splits)
    _refuse_twice_tested(contents)
    return splits


def chosen_splits(splits: Sequence[Split], folds: str) -> list[Split]:
    """Those of a plan that the user asks for.

    Args:
        splits: of the plan.
        folds: `all`, or numbers of folds and names of splits, separated by commas: `1,3`, `repeat-2_fold-1`,
            `site-Prisma`. A number means that fold of every repeat.

    Returns:
        The chosen ones, in the order of the plan.

    Raises:
        DatalistError: for a fold that there is not.
    """
    if folds.strip() == ALL:
        return list(splits)
    chosen: set[str] = set()
    for word in folds.split(","):
        found = {split.name for split in splits if word.strip() in (split.name, str(split.facts.get("fold")))}
        if not found:
            raise DatalistError(
                f"--folds {folds}: there is no split '{word.strip()}', expected all, or some of "
                f"{', '.join(split.name for split in splits)}, separated by commas."
            )
        chosen |= found
    return [split for split in splits if split.name in chosen]


def _candidates(base: Path) -> list[Path]:
    found = base.parent.glob(f"*{base.suffix}") if base.parent.is_dir() else ()
    return sorted(
        path for path in found if path.stem.startswith(base.stem) and _SUFFIX.fullmatch(path.stem[len(base.stem) :])
    )


def _place(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    return facts.get("repeat", 1), facts.get("fold", 0), facts.get("held_out_site", "")


def _refuse_mixture(contents: Mapping[Path, Mapping[str, Any]]) -> None:
    """Refuses files that come from several calls of `datalist`."""
    (first, reference), *others = ((path, _plan_of(path, content)) for path, content in contents.items())
    for path, plan in others:
        for key in {**reference, **plan}:
            if reference.get(key) != plan.get(key):
                raise DatalistError(
                    f"{path}: {key} is {plan.get(key)}, but {reference.get(key)} in {first.name}, expected the splits "
                    "of one plan; remove those that are left over from another one, or give each plan a name of its "
                    "own."
                )


def _plan_of(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    return {"cohort": content["name"], "target": content["target"], **Split("", path, content["split"]).plan}


def _refuse_missing(base: Path, splits: Sequence[Split]) -> None:
    facts = splits[0].facts
    if "folds" in facts:
        places = [(repeat, fold) for repeat in range(1, facts["repeats"] + 1) for fold in range(1, facts["folds"] + 1)]
        found = {(split.facts["repeat"], split.facts["fold"]) for split in splits}
        absent = [{**facts, "repeat": repeat, "fold": fold} for repeat, fold in places if (repeat, fold) not in found]
        missing = [f"{base.stem}{suffix}{base.suffix}" for suffix in split_suffixes(absent)]
    else:
        lacking = facts.get("sites", len(splits)) - len(splits)
        sites = ", ".join(str(split.facts.get("held_out_site")) for split in splits)
        missing = [f"{lacking} of {facts['sites']} sites (there are {sites})"] if lacking > 0 else []
    if missing:
        raise DatalistError(
            f"{base}: of the splits of one plan are missing {', '.join(missing)}, expected all of them beside it; make "
            f"them again with {_command(base, facts)}."
        )


def _command(base: Path, facts: Mapping[str, Any]) -> str:
    options = [f"--folds {facts.get('folds', 5)}"] if "held_out_site" not in facts else ["--leave-one-site-out"]
    options += [f"--repeats {facts['repeats']}"] if facts.get("repeats", 1) > 1 else []
    options += [f"--seed {facts['seed']}"] if "seed" in facts else []
    return f"`python -m monai_tff datalist COHORT --target TARGET {' '.join(options)} --output {base.name} --overwrite`"


def _refuse_twice_tested(contents: Mapping[Path, Mapping[str, Any]]) -> None:
    """Each scan is in the test section of one fold of a repeat, and the folds of a repeat have the same scans."""
    tested: Counter[tuple[Any, str]] = Counter()
    scans: dict[Path, frozenset[str]] = {}
    for path, content in contents.items():
        scans[path] = frozenset(record["image"] for section in SECTIONS for record in content[section])
        tested.update((content["split"].get("repeat", 1), record["image"]) for record in content["test"])
        if "fold" in content["split"] and scans[path] != next(iter(scans.values())):
            raise DatalistError(
                f"{path}: has other scans than {next(iter(scans)).name}, expected the splits of one plan; build all of "
                "them again."
            )
    twice = [image for (_, image), count in tested.items() if count > 1]
    if twice:
        raise DatalistError(
            f"{next(iter(contents))}: '{twice[0]}' is in the test section of this and of another fold, expected it in "
            "one; build all of them again."
        )
