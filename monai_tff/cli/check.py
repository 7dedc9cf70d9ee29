"""The command `check`: reads every scan of a datalist whole and says what must be fixed before a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monai_tff.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from monai_tff.data.quality_findings import Finding
    from monai_tff.data.quality_report import QualityReport

SHOWN = 5
"""Sentences that are shown for one kind of finding; the report holds all."""


def check(
    datalist: Annotated[Path | None, typer.Argument(help="Datalist; default: that of the layers.")] = None,
    dataset_dir: Annotated[
        Path | None, typer.Option(help="Folder that its paths start from; default: that of the layers.")
    ] = None,
    layer: options.Layers = None,
    window_length: Annotated[int | None, typer.Option(min=1, help="Frames that every scan must have left.")] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="Folder, or path without .json and .csv; default <datalist>_check."),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: as many as cores.")] = None,
) -> None:
    """Read every scan of a datalist whole; exit code 1 when something must be fixed."""
    from rich.console import Console

    from monai_tff.data.layers import read_dataset_layers
    from monai_tff.data.quality import check_datalist, scans_of
    from monai_tff.data.quality_report import report_files, write_report

    settings = read_dataset_layers(options.layer_paths(layer))
    listed = options.place_of(datalist, settings, "datalist", "the argument DATALIST")
    folder = options.place_of(dataset_dir, settings, "dataset_dir", "--dataset-dir")
    files = report_files(f"{listed.stem}_check" if output is None else output, listed)
    images = [folder / record["image"] for _, record in scans_of(listed)]
    with _progress(images) as on_scan:
        report = check_datalist(
            listed, folder, layer=settings, window_length=window_length, workers=workers, on_scan=on_scan
        )
    console = Console()
    _print_findings(console, report.findings)
    _print_summary(console, report)
    write_report(report, files)
    for file in files:
        console.print(f"Written to {file}", markup=False, highlight=False, soft_wrap=True)
    if report.must_fix:
        console.print(options.WITHOUT_A_SCAN, markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


@contextmanager
def _progress(images: Sequence[Path]) -> Iterator[Callable[[int, Any], None]]:
    """A bar over the bytes of the files, which foretell the time better than their number does."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    sizes = [image.stat().st_size if image.is_file() else 0 for image in images]
    done = TextColumn("{task.fields[scans]} of " + f"{len(images)} scans")
    columns = (TextColumn("{task.description}"), BarColumn(), done, TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=300) as bar:
        task = bar.add_task("Reading scans", total=sum(sizes), scans=0)

        def on_scan(number: int, _: Any) -> None:
            bar.update(task, advance=sizes[number], scans=bar.tasks[0].fields["scans"] + 1)

        yield on_scan


def _print_findings(console: Console, findings: Sequence[Finding]) -> None:
    """A table of what was found, what must be fixed first; a sentence that many scans share stands once."""
    from rich.table import Table
    from rich.text import Text

    if not findings:
        return
    kinds: dict[tuple[str, str], dict[str, list[str]]] = {}
    for finding in findings:
        sentences = kinds.setdefault((finding.level, finding.kind), {})
        sentences.setdefault(finding.sentence, []).append(finding.image or "the cohort")
    table = Table(title="Findings")
    for name in ("level", "what", "scan", "finding"):
        table.add_column(name, overflow="fold")
    for (level, kind), sentences in kinds.items():
        rows = [(_first_of(images), sentence) for sentence, images in list(sentences.items())[:SHOWN]]
        if len(sentences) > SHOWN:
            more = sum(len(images) for images in list(sentences.values())[SHOWN:])
            rows.append((f"{more} more scans", "see the report"))
        for cells in rows:
            table.add_row(*(Text(cell) for cell in (level, kind, *cells)), style="red" if level == "must fix" else None)
    console.print(table)


def _first_of(images: Sequence[str]) -> str:
    return images[0] if len(images) == 1 else f"{images[0]} and {len(images) - 1} more"


def _print_summary(console: Console, report: QualityReport) -> None:
    from collections import Counter

    from rich.table import Table

    table = Table(title="Scans")
    for name in ("section", "scans", "must be fixed", "with notes", "without findings"):
        table.add_column(name, justify="left" if name == "section" else "right")
    for section, count in report.summary()["sections"].items():
        levels = [
            {finding.level for finding in report.of_scan.get((section, scan.record["image"]), ())}
            for scan in report.scans
            if scan.section == section
        ]
        must_fix, notes = (sum(level in found for found in levels) for level in ("must fix", "note"))
        table.add_row(section, str(count), str(must_fix), str(notes), str(sum(not found for found in levels)))
    console.print(table)
    headers = [scan.facts.header for scan in report.scans if scan.facts.header is not None]
    for title, values in {
        "Grid": [" x ".join(map(str, header.spatial_shape)) for header in headers],
        "Voxel size (mm)": [" x ".join(f"{size:.4g}" for size in header.voxel_size) for header in headers],
        "Orientation": [header.axis_codes for header in headers],
        "TR (s)": ["unknown" if h.repetition_time is None else f"{h.repetition_time:g}" for h in headers],
        "Frames": [str(header.num_frames) for header in headers],
        "Stored as": [str(header.dtype) for header in headers],
        "Mask": ["none" if scan.facts.mask is None else "beside the scan" for scan in report.scans],
    }.items():
        console.print(f"{title}: {_counted(Counter(values))}", markup=False, highlight=False, soft_wrap=True)


def _counted(counts: Any) -> str:
    shown = [f"{value} ({count} scans)" for value, count in counts.most_common(SHOWN)]
    rest = len(counts) - len(shown)
    return ", ".join(shown) + (f", {rest} more values" if rest > 0 else "") or "unknown"
