"""Measures what preparing a scan costs, derives what large cohorts need, and prepares 500 scans while killing workers.

    python benchmarks/scale.py [--scans 500] [--rounds 3] [--output benchmarks/results]
    python benchmarks/scale.py --quick    # small scans, Dask only: to see that it runs

Costs are measured in processes of their own with one thread (scale_cost.py). The simulation (scale_kills.py) runs the
command `prepare` twice over the same scans: with its own worker processes and with Dask's. Writes scale.json and
scale.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from machine import describe, in_words
from scale_cost import QUICK, SIZES, SMALL_GRID, measure_here, measure_sizes, needs
from scale_kills import check_files, prepare_under_fire, write_cohort

SCHEDULERS = {"worker processes": None, "Dask, --scheduler local": "local"}


def simulate(
    scans: int, frames: int, worker_life: float, command_life: float, folder: Path, quick: bool
) -> list[dict[str, Any]]:
    cohort = folder / "cohort"
    write_cohort(cohort, scans, frames, SMALL_GRID)
    rows = []
    for name, scheduler in SCHEDULERS.items():
        for killing in (False, True):
            if quick and not (killing and scheduler):
                continue
            packed = folder / "packed"
            lives = (worker_life, command_life) if killing else (0.0, 0.0)
            row = {"how": name, "killing": killing}
            row |= prepare_under_fire(cohort, packed, scheduler, *lives, seed=0)
            row |= check_files(cohort, packed, SMALL_GRID)
            rows.append(row)
            shutil.rmtree(packed)
    return rows


def table(
    machine: dict[str, str], rounds: int, setting: str, costs: list[dict], cohorts: list[dict], kills: list[dict]
) -> str:
    lines = [
        "# Cost at scale",
        "",
        f"Machine: {in_words(machine)}; shared with other work while this ran. Run again with "
        "`python benchmarks/scale.py`.",
        "",
        "## One scan",
        "",
        "In a fresh process with one thread, from the page cache. CPU s: processor time. Memory: peak of the process "
        f"less what it had after its imports; in brackets with them. Medians of {rounds} measurements each.",
        "",
        "| scan | voxels in mask | encoding | source MB | packed MB | seconds | CPU s | memory MB |",
        "|---" * 8 + "|",
    ]
    for row in costs:
        cells = [row["size"], f"{row['voxels']:,}", row["encoding"]]
        cells += [f"{row['source_bytes'] / 1e6:.0f}", f"{row['bytes'] / 1e6:.1f}", row["seconds"], row["cpu_seconds"]]
        cells += [f"{row['memory'] / 1e6:.0f} ({row['peak'] / 1e6:.0f})"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += [
        "",
        "## Whole cohorts",
        "",
        "The rows above times the number of scans. Source: of the simulated scans, which are noise and compress badly. "
        "Reading: so that the workers of a day never wait.",
        "",
        "| cohort | scans | int16 TB | int8 TB | core hours | workers for one day | memory per worker GB | source TB "
        "| reading MB/s |",
        "|---" * 9 + "|",
    ]
    for row in cohorts:
        cells = [f"{value:,}" if isinstance(value, int) else value for value in row.values()]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += [
        "",
        "## Killing workers",
        "",
        setting,
        "",
        "| how | killed | seconds | starts of the command | killed workers | killed commands | files right "
        "| other files |",
        "|---" * 8 + "|",
    ]
    for row in kills:
        cells = [row["how"], "yes" if row["killing"] else "no", row["seconds"], row["starts"], row["killed_workers"]]
        cells += [row["killed_commands"], f"{row['right']} of {row['scans']}", row["other_files"]]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=500)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker-life", type=float, default=1.0, help="mean seconds between kills of a worker")
    parser.add_argument("--command-life", type=float, default=30.0, help="mean seconds until the command is killed")
    parser.add_argument("--quick", action="store_true", help="12 small scans, one round")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    for name in ("measure", "image", "folder", "denoising"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        cost = measure_here(Path(options.image), options.measure, Path(options.folder), options.denoising)
        print(json.dumps(cost))
        return
    sizes, rounds, scans, frames = SIZES, options.rounds, options.scans, options.frames
    worker_life, command_life = options.worker_life, options.command_life
    if options.quick:
        sizes, rounds, scans, frames, worker_life, command_life = QUICK, 1, 12, 40, 0.5, 0.0
    machine = describe("torch", "nibabel", "numpy", "isal", "safetensors", "nilearn", "distributed")
    with tempfile.TemporaryDirectory() as folder:
        kills = simulate(scans, frames, worker_life, command_life, Path(folder), options.quick)
    with tempfile.TemporaryDirectory() as folder:
        costs = measure_sizes(sizes, Path(folder), rounds)
    cohorts = needs(costs)
    setting = (
        f"`prepare` on {scans} scans of {' x '.join(map(str, SMALL_GRID))} voxels and {frames} frames with 2 workers. "
        f"Where it says so, a random worker got SIGKILL every {worker_life:g} s on average"
        + (f", and the whole command after {command_life:g} s on average" if command_life else "")
        + "; the command was started again until it ended with exit code 0. Every file was then compared with its scan."
    )
    content = {"machine": machine, "rounds": rounds, "setting": setting}
    content |= {"costs": costs, "cohorts": cohorts, "kills": kills}
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "scale.json").write_text(json.dumps(content, indent=4) + "\n")
    text = table(**content)
    (options.output / "scale.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
