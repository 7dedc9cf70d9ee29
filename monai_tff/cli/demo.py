"""`python -m monai_tff demo`: the whole job on a simulated cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXPERIMENT = "monai_tff:configs/experiments/demo.yaml"


def demo(
    run_dir: Annotated[Path, typer.Option(help="Folder for the simulated cohort and the runs.")] = Path("runs/demo"),
    resume: Annotated[bool, typer.Option("--resume", help="Continue where an earlier demo stopped.")] = False,
) -> None:
    """Simulate a cohort, train the three phases, print the test metrics; minutes on a laptop CPU."""
    from monai_tff.cli.run import run

    run(EXPERIMENT, run_dir=run_dir, resume=resume)
