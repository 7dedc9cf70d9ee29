"""`python -m monai_tff predict`: subject predictions (or reconstructed scans) of a bundle or a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def predict(
    bundle: Annotated[
        Path, typer.Argument(help="Bundle, its .zip, or a run folder (holds configs/inference.yaml and models/).")
    ],
    scans: Annotated[list[Path], typer.Argument(help="4D NIfTI files, or folders that hold them.")],
    output_dir: Annotated[
        Path, typer.Option(help="Folder for predictions.csv and predictions.json, or for the reconstructions.")
    ] = Path("predictions"),
    stride: Annotated[
        int | None, typer.Option(help="Frames between two windows; default: windows side by side.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; default: cuda where there is one.")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run a bundle of your own that the checks would refuse.")
    ] = False,
) -> None:
    """Predict the target of 4D scans, with a bundle that is checked before anything of it runs."""
    from monai_tff.bundle.experiment import run_workflow
    from monai_tff.bundle.predictor import inference_config, known_device
    from monai_tff.bundle.verification import opened_bundle, refuse_unsafe

    overrides: dict[str, Any] = {"dataset_dir": [str(scan) for scan in scans], "output_dir": str(output_dir)}
    if stride is not None:
        overrides["stride"] = stride
    if device is not None:
        overrides["device"] = f"$torch.device('{known_device(device)}')"
    table = output_dir / "predictions.csv"
    before = _time_of(table)
    with opened_bundle(bundle) as folder:
        config = inference_config(folder)
        if not trust:
            refuse_unsafe(folder)
        run_workflow([str(config)], "infer", overrides)
    if _time_of(table) != before:  # a reconstruction leaves the table of an earlier prediction as it is
        _show(table)


def _time_of(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.is_file() else None


def _show(path: Path) -> None:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    predictions = pd.read_csv(path, dtype={"subject": str, "session": str}).dropna(axis="columns", how="all")
    table = Table(title=Text(str(path)))
    for column in predictions.columns:
        table.add_column(column)
    for row in predictions.itertuples(index=False):
        table.add_row(*(Text(f"{value:.4g}" if isinstance(value, float) else str(value)) for value in row))
    Console().print(table)
