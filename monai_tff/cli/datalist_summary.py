"""What the command `datalist` prints: counts by section, what the headers say, what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

NAMES_SHOWN = 5


def print_summary(datalists: Mapping[Path, Mapping[str, Any]], left_out: Mapping[str, Sequence[str]]) -> None:
    """Prints what was written, and why not more.

    Args:
        datalists: of one cohort, by the file that each was written to.
        left_out: what the reader left out, names by reason.
    """
    from rich.console import Console

    console = Console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    first = next(iter(datalists.values()))
    excluded = _excluded_lines(first["excluded"], left_out)
    if not excluded and not first["faults"]:
        excluded = ["Left out: nothing"]
    for line in [*_grid_lines(first), *excluded, *_allowed_lines(first)]:
        say(line)
    for path, content in datalists.items():
        console.print(_sections_table(content))
        split = content["split"]
        say(_split_line(split))
        say(f"Hash {split['hash']}")
        say(f"Written to {path}")
    for sentence in first["faults"]:
        say(f"Left out: {sentence}")


def _split_line(split: Mapping[str, Any]) -> str:
    words = ["Split by group"]
    if "fold" in split:
        words.append(f"fold {split['fold']} of {split['folds']}")
    if split.get("repeats", 1) > 1:
        words.append(f"repeat {split['repeat']} of {split['repeats']}")
    if "held_out_site" in split:
        words.append(f"tested at site {split['held_out_site']}")
    if "seed" not in split:
        return ", ".join([*words, "as given"])
    return ", ".join([*words, f"stratified by {split['stratified_by']}", f"seed {split['seed']}"])


def _allowed_lines(content: Mapping[str, Any]) -> list[str]:
    return [f"Allowed by hand: {words}" for words in content["allowed"]]


def _sections_table(content: Mapping[str, Any]) -> Table:
    """Scans, subjects, groups and labels of each section."""
    from rich.table import Table
    from rich.text import Text

    from monai_tff.data.datalist import UNLABELLED
    from monai_tff.data.splits import SECTIONS

    target = content["target"]
    label_columns = target["class_names"] or ["mean", "range"]
    shown = Table(title=Text(f"{content['name']}: {target['name']} ({target['kind']})"))
    for name in ("section", "scans", "subjects", "groups", *label_columns):
        shown.add_column(Text(name), justify="left" if name == "section" else "right")
    for section in (*SECTIONS, *([UNLABELLED] if content[UNLABELLED] else [])):
        records = content[section]
        units = [str(len({record[key] for record in records})) for key in ("subject", "group")]
        shown.add_row(section, str(len(records)), *units, *_label_cells(records, target))
    return shown


def _label_cells(records: Sequence[Mapping[str, Any]], target: Mapping[str, Any]) -> list[str]:
    """Subjects of each class (a subject whose sessions differ counts in each), or mean and range over scans."""
    if target["class_names"]:
        pairs = {(record["subject"], record["label"]) for record in records}
        counts = Counter(label for _, label in pairs)
        return [str(counts[name]) for name in target["class_names"]]
    values = [record["label"] for record in records if record["label"] is not None]
    if not values:
        return ["-", "-"]
    return [f"{sum(values) / len(values):.4g}", f"{min(values):g} to {max(values):g}"]


def _grid_lines(content: Mapping[str, Any]) -> list[str]:
    from monai_tff.data.splits import SECTIONS

    grid = content["grid"]
    records = [record for section in SECTIONS for record in content[section]]
    titles = {
        "shape": "Grid",
        "voxel_size": "Voxel size (mm)",
        "axis_codes": "Orientation",
        "repetition_time": "TR (s)",
    }
    lines = []
    for name, title in titles.items():
        value = grid[name]
        if name in grid["counts"]:
            counts = [f"{found} ({count} scans)" for found, count in grid["counts"][name].items()]
            lines.append(f"{title}: differs: {', '.join(counts)}")
        else:
            text = " x ".join(f"{size:g}" for size in value) if isinstance(value, list) else value
            lines.append(f"{title}: {'unknown' if text is None else text}")
    tasks = Counter(record["task"] or "none" for record in records)
    masks = sum(record["mask"] is not None for record in records)
    return [
        *lines,
        f"Frames: {' to '.join(str(frames) for frames in sorted(set(grid['frames'])))}",
        f"Tasks: {', '.join(f'{task} ({count} scans)' for task, count in sorted(tasks.items()))}",
        f"Masks: beside {masks} of {len(records)} scans",
        *_motion_lines(records),
    ]


def _motion_lines(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Median and range of the motion by its kind; a scan without a number is not one without motion."""
    from statistics import median

    kinds = sorted({record["motion_kind"] for record in records if record["motion"] is not None})
    lines = []
    for kind in kinds:
        values = [record["motion"] for record in records if record["motion_kind"] == kind]
        spread = f"median {median(values):.3g}, {min(values):.3g} to {max(values):.3g} mm"
        lines.append(f"Motion ({kind}): {spread}, {len(values)} of {len(records)} scans")
    return lines


def _excluded_lines(excluded: Mapping[str, int], left_out: Mapping[str, Sequence[str]]) -> list[str]:
    """What was left out and why, with the first names."""
    lines = []
    for reason, count in excluded.items():
        names = list(left_out.get(reason, ()))
        shown = ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")
        lines.append(f"Left out, {reason}: {count}" + (f" ({shown})" if shown else ""))
    return lines
