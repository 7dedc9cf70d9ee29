"""The command `init`: starts a study of a cohort with a datalist, a dataset layer and an experiment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monai_tff.cli import options

if TYPE_CHECKING:
    from monai_tff.data.study import Study
    from monai_tff.data.study_cohort import UsableCohort

FAULTS = 1
"""Exit code where a study was started, but scans or rows were left out because something is wrong with them."""

GIGABYTE = 10**9


def init(
    raw: Annotated[Path, typer.Argument(help="Folder of the cohort, which holds its tables.")],
    target: options.TargetName,
    derivatives: Annotated[Path | None, typer.Option(help="Preprocessed scans of it; default: those in RAW.")] = None,
    cohort: options.Kind = "bids",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the study; default: its name, here.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study; default: that of RAW.")] = None,
    kind: options.TargetKind = None,
    classes: options.Classes = None,
    ratios: options.Ratios = "0.7,0.15,0.15",
    seed: options.Seed = 0,
    task: options.Task = None,
    session: options.Session = None,
    run: options.Run = None,
    space: options.Space = None,
    res: options.Res = None,
    desc: options.Desc = None,
    variant: options.Variant = None,
    table: options.Tables = None,
    id_column: options.IdColumn = None,
    allow_unregistered: options.AllowUnregistered = False,
    allow_unknown_families: options.AllowUnknownFamilies = False,
    max_mean_fd: options.MaxMeanFd = None,
    exclude: options.Exclude = None,
    pretrain_unlabelled: options.PretrainUnlabelled = False,
    mask: options.Mask = "auto",
    no_content: options.NoContent = False,
    memory: Annotated[
        float | None, typer.Option(min=0.1, help="GB of the device that will train; default: this machine's.")
    ] = None,
    workers: options.Workers = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Start a study: guess grid, crop, window, network and batch sizes, and write what a run needs."""
    given = dict(locals())
    given["name"] = _name(name or raw.resolve().name)
    given["dataset_dir"] = raw if derivatives is None else derivatives
    files = _files(output or Path(given["name"]), given["name"], overwrite)
    usable = _read(given)
    content, left_out = _datalist(usable, given), usable.cohort.left_out
    study, cost = _guess(usable, content, given)
    _write(files, content, study, cost, given)
    _print(files, content, left_out, study, cost)
    if content["faults"]:
        raise typer.Exit(FAULTS)


def _name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "study"


def _files(folder: Path, name: str, overwrite: bool) -> dict[str, Path]:
    """The files of the study; refused before the work where one exists."""
    from monai_tff.data.datalist import refuse_existing

    files = {
        "datalist": folder / "datalist.json",
        "dataset": folder / f"{name}_dataset.yaml",
        "experiment": folder / f"{name}_experiment.yaml",
    }
    for path in files.values():
        refuse_existing(path, overwrite=overwrite)
    return files


def _read(given: Mapping[str, Any]) -> UsableCohort:
    """The cohort on the grid of most of its scans."""
    import inspect

    from monai_tff.data.cohorts import read_cohort, reader_of
    from monai_tff.data.cohorts.exclusion import narrowed
    from monai_tff.data.study_cohort import usable_cohort

    names = ("task", "session", "run", "space", "res", "desc", "variant", "id_column")
    choices = {key: given[key] for key in (*names, "allow_unregistered", "allow_unknown_families")}
    choices["tables"] = given["table"]
    if given["derivatives"] is not None and "raw" in inspect.signature(reader_of(given["cohort"])).parameters:
        choices["raw"] = given["raw"]
    cohort = read_cohort(given["cohort"], given["dataset_dir"], given["target"], choices)
    cohort = narrowed(cohort, given["exclude"] or (), given["max_mean_fd"])
    return usable_cohort(cohort, given["dataset_dir"], mask=given["mask"], progress=True)


def _datalist(usable: UsableCohort, given: Mapping[str, Any]) -> dict[str, Any]:
    from monai_tff.data.building import build_datalist
    from monai_tff.data.split_plan import SplitPlan

    classes = given["classes"]
    return build_datalist(
        usable.cohort,
        given["target"],
        dataset_dir=given["dataset_dir"],
        plan=SplitPlan(seed=given["seed"], ratios=options.ratios_of(given["ratios"])),
        kind=given["kind"],
        classes=None if classes is None else options.words_of(classes),
        mask=given["mask"],
        name=given["name"],
        pretrain_unlabelled=given["pretrain_unlabelled"],
        content=not given["no_content"],
        workers=given["workers"],
        progress=True,
    )


def _guess(usable: UsableCohort, content: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[Study, Any]:
    from rich.console import Console

    from monai_tff.bundle.study_cost import study_cost
    from monai_tff.data.overlap import SECTIONS
    from monai_tff.data.study import guess_study

    ratios, memory = options.ratios_of(given["ratios"]), given["memory"]
    training = len(content["training"]) + len(content["unlabelled"])
    # the datalist has left out other classes, and what could not be read
    usable = usable.only({record["image"] for section in SECTIONS for record in content[section]})
    # no spinner: its thread would disturb the measurement
    Console(stderr=True).print("Looking at a few scans, and measuring the networks on this machine")
    study = guess_study(usable, given["dataset_dir"], training_scans=training, mask=given["mask"])
    cost = study_cost(
        study.spatial_size,
        study.frames,
        hidden_size=study.network["hidden_size"].value,
        window_length=study.network["window_length"].value,
        mask_voxels=study.mask_voxels,
        ratios=ratios,
        memory=None if memory is None else round(memory * GIGABYTE),
    )
    return study, cost


def _write(
    files: Mapping[str, Path], content: Mapping[str, Any], study: Study, cost: Any, given: Mapping[str, Any]
) -> None:
    from monai_tff.bundle.study_cost import phase_files
    from monai_tff.data.datalist import write_datalist
    from monai_tff.data.study_layers import dataset_text, experiment_text
    from monai_tff.data.text_file import write_text

    name = given["name"]
    write_datalist(content, files["datalist"], overwrite=given["overwrite"])
    write_text(files["dataset"], dataset_text(name, study, given["dataset_dir"], files["datalist"]))
    batch_sizes = {phase: planned.batch_size for phase, planned in cost.phases.items()}
    text = experiment_text(name, study, files["dataset"].name, phase_files(), batch_sizes)
    write_text(files["experiment"], text)


def _print(
    files: Mapping[str, Path],
    content: Mapping[str, Any],
    left_out: Mapping[str, Sequence[str]],
    study: Study,
    cost: Any,
) -> None:
    from rich.console import Console
    from rich.table import Table

    from monai_tff.cli.datalist_summary import print_summary

    print_summary({files["datalist"]: content}, left_out)
    console = Console()
    guesses = Table(title="Guessed", show_lines=False)
    for column in ("key", "value", "why"):
        guesses.add_column(column, overflow="fold")
    for key, guess in {**study.dataset, **study.network}.items():
        guesses.add_row(key, _plain(guess.value), guess.why)
    console.print(guesses, markup=False)
    console.print(_phases_table(cost))
    for line in [*_estimate_lines(cost, content), *_next_lines(files)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _phases_table(cost: Any) -> Any:
    from rich.table import Table

    table = Table(title=f"Estimated for {cost.device}, from a few frames measured on this machine")
    for column in ("phase", "batch size", "window", "epochs", "memory of a step", "time"):
        table.add_column(column, justify="left" if column == "phase" else "right")
    for name, phase in cost.phases.items():
        numbers = (phase.batch_size, phase.window_length, phase.max_epochs, f"{phase.memory / GIGABYTE:.2g} GB")
        table.add_row(name, *map(str, numbers), _duration(phase.seconds))
    return table


def _estimate_lines(cost: Any, content: Mapping[str, Any]) -> list[str]:
    total = _duration(sum(phase.seconds for phase in cost.phases.values()))
    lines = [f"Time: about {total} on this machine without the perceptual loss: an estimate, a GPU is far faster"]
    if cost.packed_bytes is not None:
        size = f"{cost.packed_bytes / GIGABYTE:.2g} GB"
        lines.append(f"Disk: about {size} for the packed scans; as much memory where they are not packed but cached")
    return lines


def _next_lines(files: Mapping[str, Path]) -> list[str]:
    dataset, experiment = files["dataset"], files["experiment"]
    packed = dataset.parent / "packed"
    return [
        f"Written to {dataset} and {experiment}",
        "Change a guess in these files, or for one run with --set, for example --set finetune:batch_size=2",
        f"Next: python -m monai_tff check --layer {dataset}",
        f"then: python -m monai_tff prepare --layer {dataset} --output {packed}",
        f"      python -m monai_tff run {experiment} --set packed_dir={packed}",
    ]


def _plain(value: Any) -> str:
    return "null" if value is None else str(value).replace("None", "null")


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
