"""The command `prepare`: packs every scan of a datalist into a file that trainings map into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from monai_tff.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from monai_tff.contract import InputContract
    from monai_tff.data.prepare_scan import PreparedScan
    from monai_tff.data.prepare_space import SpaceNeeded

Encoding = Literal["int16", "int8", "float32"]


def prepare(
    datalist: Annotated[Path | None, typer.Argument(help="Datalist; default: that of the layers.")] = None,
    dataset_dir: Annotated[
        Path | None, typer.Option(help="Folder that its paths start from; default: that of the layers.")
    ] = None,
    layer: options.Layers = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of packed scans; default: packed_dir of the layers.")
    ] = None,
    encoding: Annotated[
        Encoding | None,
        typer.Option(help="int16 keeps a scan's own integers; int8 is half the size; float32 is exact."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Worker processes, 0 for none besides this; default one for each core.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Many machines: local, slurm, or the address of a Dask scheduler.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare files that are there with their checksums too.")
    ] = False,
) -> None:
    """Pack every scan of a datalist; started again it does only what is missing. Exit code 1 if a scan failed."""
    from rich.console import Console

    from monai_tff.data.prepare_space import check_space

    given = dict(locals())
    records, packed_dir, contract, packing = _job(given)
    space = check_space(records, packed_dir, contract, packing["encoding"], packing["reader"])
    console = Console()
    _print_space(console, space, len(records))
    with _progress(len(records)) as on_done:
        results = _pack(given)(records, packed_dir, contract, **packing, on_done=on_done)
    failed = [result for result in results if result.status == "failed"]
    _print_failed(console, failed)
    _print_summary(console, results, packed_dir)
    if failed:
        console.print(options.WITHOUT_A_SCAN, markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def _job(given: Mapping[str, Any]) -> tuple[list[dict[str, Any]], Path, InputContract, dict[str, Any]]:
    """What is packed, into which folder, how: from the arguments, and where they are silent from the layers."""
    from monai_tff.data.layers import contract_of, read_dataset_layers
    from monai_tff.data.quality_workers import usable_cores

    settings = read_dataset_layers(options.layer_paths(given["layer"]))
    datalist = options.place_of(given["datalist"], settings, "datalist", "the argument DATALIST")
    folder = options.place_of(given["dataset_dir"], settings, "dataset_dir", "--dataset-dir")
    packed_dir = options.place_of(given["output"], settings, "packed_dir", "--output")
    packing = {
        "encoding": given["encoding"] or settings.get("encoding", "int16"),
        "reader": settings.get("reader"),
        "workers": usable_cores() if given["workers"] is None else given["workers"],
        "verify": given["verify"],
    }
    return _records(datalist, folder, packed_dir), packed_dir, contract_of(settings), packing


def _pack(given: Mapping[str, Any]) -> Callable[..., list[PreparedScan]]:
    """The function that packs: on this machine, or on those of a scheduler."""
    if given["scheduler"] is None:
        from monai_tff.data.prepare import prepare_scans

        return prepare_scans
    from monai_tff.data.cluster import prepare_on_cluster

    return partial(prepare_on_cluster, scheduler=given["scheduler"])


def _records(datalist: Path, dataset_dir: Path, packed_dir: Path) -> list[dict[str, Any]]:
    """Every scan of a datalist once, those without label too; a scan that is not there gets its own sentence later."""
    from monai_tff.data.datalist import load_datalist, load_records
    from monai_tff.data.splits import SECTIONS

    content = load_datalist(datalist)
    found: dict[str, dict[str, Any]] = {}
    for section in SECTIONS:
        if content[section]:
            unlabelled = section == SECTIONS[0]
            for record in load_records(
                datalist, dataset_dir, section, with_unlabelled=unlabelled, packed_dir=str(packed_dir)
            ):
                found[record["scan"]] = record
    return list(found.values())


@contextmanager
def _progress(num_scans: int) -> Iterator[Callable[[PreparedScan], None]]:
    """A bar with the rate in scans per minute and the time left, and a line for each scan that fails."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("scans"))
    rate = TextColumn("{task.fields[rate]}")
    with Progress(*columns, rate, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("Packing", total=num_scans, rate="")

        def on_done(result: PreparedScan) -> None:
            bar.advance(task)
            elapsed = bar.tasks[0].elapsed or 0.0
            rate = f"{60 * bar.tasks[0].completed / elapsed:.1f} per minute" if elapsed else ""
            bar.update(task, rate=rate)
            if result.status == "failed":
                bar.console.print(f"[red]failed[/red] {escape(result.scan)}", highlight=False, soft_wrap=True)

        yield on_done


def _print_space(console: Console, space: SpaceNeeded, num_scans: int) -> None:
    line = (
        f"{space.missing} of {num_scans} scans are not packed: about {space.likely / 1e9:.2f} GB, "
        f"{space.free / 1e9:.1f} GB are free"
    )
    console.print(line, highlight=False, soft_wrap=True)
    if space.likely > space.free:
        console.print("[yellow]The disk may become full; started again, it goes on where it stopped.[/yellow]")


def _print_failed(console: Console, failed: Sequence[PreparedScan]) -> None:
    """What was left out and why."""
    for result in failed:
        console.print(f"Left out: {result.sentence}", markup=False, highlight=False, soft_wrap=True)


def _print_summary(console: Console, results: Sequence[PreparedScan], packed_dir: Path) -> None:
    from rich.table import Table

    table = Table(title="Packed scans")
    for name in ("", "scans", "GB"):
        table.add_column(name, justify="right" if name else "left")
    for status in ("packed", "present", "failed"):
        of_status = [result for result in results if result.status == status]
        size = sum(result.num_bytes for result in of_status)
        table.add_row(status, str(len(of_status)), "" if status == "failed" else f"{size / 1e9:.3f}")
    console.print(table)
    console.print(f"In {packed_dir}", markup=False, highlight=False, soft_wrap=True)
