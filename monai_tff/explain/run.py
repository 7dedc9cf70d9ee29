"""Explains a run, or an experiment over folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from monai_tff.bundle.study_folder import is_folds_folder, read_members
from monai_tff.explain.checks import Check
from monai_tff.explain.collected import Collected, collect
from monai_tff.explain.regions import read_atlas
from monai_tff.explain.settings import ExplainSettings
from monai_tff.explain.written import write_explanation

FOLDER = "explain"


def explain_run(
    folder: str | Path,
    atlas: str | Path | None = None,
    labels: str | Path | None = None,
    subjects: int = 20,
    *,
    windows_per_scan: int = 1,
    steps: int = 64,
    label_check: bool = True,
    output: str | Path | None = None,
    say: Callable[[str], object] = print,
    settings: ExplainSettings | None = None,
) -> Path:
    """Makes maps of where and when a network looks, averaged over test subjects, and checks them.

    Started again it computes only what is missing.

    Args:
        folder: run folder of phase 3, or folder of an experiment over folds: there the first seed of each split
            explains its own test subjects.
        atlas: NIfTI file of region numbers in the space of the scans; None for clusters.
        labels: table with `index` and `name` of its regions.
        subjects: number of test subjects, all splits together, balanced over classes.
        windows_per_scan: windows of each scan.
        steps: gradients of each window.
        label_check: compare with a network that is trained on permuted labels (of folds: in the first split).
        output: folder to write to; None for `<folder>/explain`.
        say: takes each sentence for the user, failed checks at the end.
        settings: further choices; `subjects`, `windows_per_scan` and `steps` are taken from the arguments.

    Returns:
        The folder: explain.json, maps/*.nii.gz, regions.csv, frames.csv.

    Raises:
        ConfigError: for a folder that is neither, a number out of range, or an atlas that cannot be used.
        DatalistError: for a datalist that was moved or changed, or scans on more than one grid.
        ScanError: for a scan that cannot be used.
        ContractError: for a scan that does not match the contract.
        WeightsError: for weights that cannot be read.
    """
    folder = Path(folder).resolve()
    target = folder / FOLDER if output is None else Path(output).resolve()
    chosen = dataclasses.replace(
        settings or ExplainSettings(), subjects=subjects, windows_per_scan=windows_per_scan, steps=steps
    )
    regions = None if atlas is None else read_atlas(Path(atlas), None if labels is None else Path(labels))
    of_folds = is_folds_folder(folder)
    collected = (_of_folds if of_folds else _of_run)(folder, target, chosen, label_check, say)
    _tell(write_explanation(target, collected, chosen, regions, folder.name), target, say)
    return target


def _of_run(
    folder: Path, target: Path, settings: ExplainSettings, label_check: bool, say: Callable[[str], object]
) -> list[Collected]:
    return [collect(folder, target, settings, label_check, say)]


def _of_folds(
    folder: Path, target: Path, settings: ExplainSettings, label_check: bool, say: Callable[[str], object]
) -> list[Collected]:
    first = {member.split: member for member in reversed(read_members(folder))}
    members = list(first.values())[::-1]
    each = dataclasses.replace(settings, subjects=-(-settings.subjects // len(members)))
    collected = []
    for number, member in enumerate(members):
        say(f"{member.name}:")
        place = member.folder / FOLDER
        collected.append(collect(member.folder, place, each, label_check and number == 0, say))
    return collected


def _tell(checks: list[Check], target: Path, say: Callable[[str], object]) -> None:
    words = {True: "passed", False: "WARNING, failed", None: "not made"}
    for check in sorted(checks, key=lambda check: (check.passed is not False, check.passed is None)):
        say(f"check {check.name}: {words[check.passed]}: {check.text.removeprefix('not made: ')}")
    say(f"maps, regions and checks: {target}")
