"""`python -m monai_tff baseline`: simpler methods on the split of a run, beside its numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

CLASS_NUMBERS = {"auroc": "AUROC", "balanced_accuracy": "balanced accuracy", "cross_entropy": "cross-entropy"}
VALUE_NUMBERS = {"mae": "MAE", "pearson_r": "Pearson r", "r2": "R2"}


def baseline(
    folder: Annotated[
        Path, typer.Argument(help="Run folder of phase 3 (such as runs/demo/finetune), or folder of an experiment.")
    ],
    name: Annotated[
        list[str] | None, typer.Option(help="Only this baseline (may be repeated); default: all that can be made.")
    ] = None,
    parcels: Annotated[
        int | None, typer.Option(min=2, help="Regions of the connectivity; default: one per 20 voxels, 50 at most.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do finished baselines anew.")] = False,
) -> None:
    """Fit covariates, mean image and connectivity on the split of a run; started again it does what is missing."""
    from monai_tff.baselines import BaselineOptions, run_baselines

    made = run_baselines(folder, name, overwrite=overwrite, options=BaselineOptions(parcels=parcels))
    _show(folder, made)


def _show(folder: Path, made: list[Path]) -> None:
    """The numbers of the model and of the baselines, with their intervals, and what the covariates were."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    model = Path(folder) / "evaluation" / "metrics.json"
    reports = {"model": _read(model)} if model.is_file() else {}
    reports |= {path.name: _read(path / "metrics.json") for path in made}
    if not reports:
        return
    first = next(iter(reports.values()))
    numbers = VALUE_NUMBERS if first["target"]["kind"] == "regression" else CLASS_NUMBERS
    table = Table(title=Text(f"Predicting {first['target']['name']} on the {first['split']} section"))
    for column in ("", "subjects", *numbers.values()):
        table.add_column(column, justify="right" if column else "left")
    for title, report in reports.items():
        cells = [_cell(report, key) for key in numbers]
        table.add_row(Text(title), str(report["counts"]["subjects"]), *cells)
    console = Console()
    console.print(table)
    for used in _covariates_used(Path(folder)):
        console.print(f"Covariates used: {used}.", highlight=False)


def _covariates_used(folder: Path) -> list[str]:
    """What the covariates were, each choice once: folds may differ in what is known of their training subjects."""
    from monai_tff.bundle.baseline_folders import baseline_folder
    from monai_tff.bundle.study_folder import is_folds_folder, read_members

    runs = [member.folder for member in read_members(folder)] if is_folds_folder(folder) else [folder]
    files = [baseline_folder(run, "covariates") / "metrics.json" for run in runs]
    used = [", ".join(_read(path)["baseline"]["covariates"]) for path in files if path.is_file()]
    return list(dict.fromkeys(used))


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _cell(report: dict[str, Any], key: str) -> str:
    value, interval = report["values"].get(key), report["intervals"].get(key, [None, None])
    if value is None:
        return "not defined"
    digits = ".2f" if key in CLASS_NUMBERS or key == "pearson_r" else ".4g"
    return f"{value:{digits}}" + ("" if None in interval else f" [{interval[0]:{digits}}, {interval[1]:{digits}}]")
