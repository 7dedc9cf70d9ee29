"""The command `datalist`: from a cohort's folder to a datalist with a split that does not leak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.table import Table

NAMES_SHOWN = 5


def datalist(
    folder: Annotated[Path, typer.Argument(help="BIDS dataset or derivative.")],
    target: Annotated[str, typer.Option(help="Column of the table to predict.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON file to write.")] = Path("datalist.json"),
    kind: Annotated[
        Literal["binary", "multiclass", "regression"] | None, typer.Option(help="Found from the values by default.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Class names in order, separated by commas; the second is the positive one.")
    ] = None,
    ratios: Annotated[str, typer.Option(help="Shares for training, validation and test.")] = "0.7,0.15,0.15",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the split.")] = 0,
    task: Annotated[str | None, typer.Option(help="Only scans of this task.")] = None,
    session: Annotated[str | None, typer.Option(help="Only scans of this session.")] = None,
    run: Annotated[str | None, typer.Option(help="Only this run.")] = None,
    space: Annotated[str | None, typer.Option(help="Only scans in this space.")] = None,
    res: Annotated[str | None, typer.Option(help="Only scans of this resolution.")] = None,
    desc: Annotated[str | None, typer.Option(help="Only this description; preproc is preferred by default.")] = None,
    echo: Annotated[str | None, typer.Option(help="Only this echo.")] = None,
    table: Annotated[Path | None, typer.Option(help="Table of subjects instead of participants.tsv.")] = None,
    mask: Annotated[
        Literal["auto", "nonzero"], typer.Option(help="auto: note the mask beside each scan; nonzero: note none.")
    ] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
) -> None:
    """Makes a datalist from a BIDS folder: scans, targets and a split by family or subject."""
    from monai_tff.data.cohorts import read_bids
    from monai_tff.data.datalist import build_datalist, refuse_existing, write_datalist

    refuse_existing(output, overwrite=overwrite)
    choices = {"task": task, "session": session, "run": run, "space": space, "res": res, "desc": desc, "echo": echo}
    cohort = read_bids(folder, target, tables=[table] if table is not None else [], **choices)
    records, left_out = cohort.records, cohort.left_out
    content = build_datalist(
        records,
        target,
        dataset_dir=folder,
        kind=kind,
        classes=_words(classes) if classes is not None else None,
        seed=seed,
        ratios=_ratios(ratios),
        mask=mask,
        left_out=left_out,
        progress=True,
    )
    write_datalist(content, output, overwrite=overwrite)
    _print_summary(content, left_out, output)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _ratios(text: str) -> list[float]:
    from monai_tff.errors import DatalistError

    try:
        return [float(word) for word in _words(text)]
    except ValueError as error:
        raise DatalistError(f"--ratios: found '{text}', expected three numbers such as 0.7,0.15,0.15.") from error


def _print_summary(content: Mapping[str, Any], left_out: Mapping[str, Sequence[str]], output: Path) -> None:
    from rich.console import Console

    console = Console()
    console.print(_sections_table(content))
    for line in [*_grid_lines(content), *_excluded_lines(content["excluded"], left_out)]:
        console.print(line, markup=False, highlight=False)
    split = content["split"]
    console.print(f"Split by group, stratified by {split['stratified_by']}, seed {split['seed']}", highlight=False)
    console.print(f"Hash {split['hash']}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"Written to {output}", markup=False, highlight=False, soft_wrap=True)


def _sections_table(content: Mapping[str, Any]) -> Table:
    """Scans, subjects, groups and labels of each section."""
    from rich.table import Table
    from rich.text import Text

    from monai_tff.data.splits import SECTIONS

    target = content["target"]
    label_columns = target["class_names"] or ["mean", "range"]
    shown = Table(title=Text(f"{content['name']}: {target['name']} ({target['kind']})"))
    for name in ("section", "scans", "subjects", "groups", *label_columns):
        shown.add_column(Text(name), justify="left" if name == "section" else "right")
    for section in SECTIONS:
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
    values = [record["label"] for record in records]
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
    ]


def _excluded_lines(excluded: Mapping[str, int], left_out: Mapping[str, Sequence[str]]) -> list[str]:
    """What was left out and why, with the first names."""
    lines = []
    for reason, count in excluded.items():
        names = list(left_out.get(reason, ()))
        shown = ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")
        lines.append(f"Left out, {reason}: {count}" + (f" ({shown})" if shown else ""))
    return lines or ["Left out: nothing"]
