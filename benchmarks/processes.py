"""Trains phases 2 and 3 in two processes and in one, with the same global batch: seconds per step, and the losses.

    python benchmarks/processes.py [--rounds 2] [--threads 2] [--device cpu|cuda]
    python benchmarks/processes.py --quick    # under a minute, a small grid: to see that it runs

The bundles' own configs train on a simulated cohort: plain with one process, through torchrun and multi_gpu_train.yaml
with two, which share the threads (gloo) or have a GPU each (NCCL). Nothing is dropped and the perceptual loss takes
every plane, so that both train the same numbers. Runs take turns; seconds of a step are the differences between the
times that TensorBoard's file has, within epochs. Losses are those of metrics.csv. Writes processes.DEVICE.json and
processes.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import torch
from measuring import (
    SETTINGS,
    begin,
    describe_machine,
    in_turns,
    keep,
    machines,
    make_parser,
    quartiles,
    ratios,
    rows_of,
    verdict,
)
from published_losses import random_vgg16
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_tff.data import SplitPlan, build_datalist, read_bids, simulate_cohort, write_datalist
from monai_tff.resources import bundles_folder

BUNDLES = {"transformer": "tff_fmri_reconstruction", "finetune": "tff_fmri_prediction"}
NUMBERS = {"transformer": 2, "finetune": 3}
SETTINGS_OF_RUNS: dict[str, Any] = {
    "hidden_size": 160,
    "window_length": 10,
    "batch_size": 4,
    "max_epochs": 4,
    "windows_per_scan": 2,
    "dropout": 0.0,
    "transformer_dropout": 0.0,
}
HEAD = ("phase", "where", "one process s", "two processes s", "ratio", "difference, first epoch", "asked", "verdict")
HEAD += ("difference, all", "other threads, all")
TRAJECTORY = 1e-5
"""Largest relative difference of the first epoch's loss, in float32."""


def make_cohort(folder: Path, quick: bool) -> dict[str, Any]:
    """Simulates a cohort; the overrides that name it."""
    subjects, millimetres, frames = (9, 20.0, 14) if quick else (24, 6.0, 40)
    simulate_cohort(folder, num_subjects=subjects, voxel_size=millimetres, num_frames=frames, seed=3)
    content = build_datalist(
        read_bids(folder, "sex"), "sex", dataset_dir=folder, plan=SplitPlan(ratios=(0.5, 0.25, 0.25))
    )
    write_datalist(content, folder / "datalist.json")
    torch.save(random_vgg16(), folder / "vgg16.pth")
    image = next(folder.rglob("*_bold.nii.gz"))
    return {"dataset_dir": str(folder), "spatial_size": list(nib.load(image).shape[:3])}


def words_of(phase: str, processes: int, overrides: Mapping[str, Any]) -> list[str]:
    """The command line of a training."""
    configs = bundles_folder() / BUNDLES[phase] / "configs"
    files = [str(configs / "train.yaml")]
    words = [sys.executable]
    if processes > 1:
        files.append(str(configs / "multi_gpu_train.yaml"))
        words += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    words += ["-m", "monai.bundle", "run", "training", "--config_file", json.dumps(files)]
    return words + [part for key, value in overrides.items() for part in (f"--{key}", str(value))]


def train(phase: str, processes: int, overrides: Mapping[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of the steps, and losses by epoch, split and name."""
    with tempfile.TemporaryDirectory() as name:
        run_dir = Path(name) / "run"
        words = words_of(phase, processes, {**overrides, "run_dir": run_dir})
        environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, options.threads // processes))}
        ended = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise SystemExit(
                f"{ended.stderr}\nthe training of {phase} with {processes} processes ended without result."
            )
        with open(run_dir / "metrics.csv", encoding="utf-8", newline="") as file:
            losses = {
                f"{row['epoch']} {row['split']} {row['name']}": float(row["value"]) for row in csv.DictReader(file)
            }
        return {"seconds": step_seconds(run_dir / "tensorboard"), "losses": losses}


def step_seconds(folder: Path) -> list[float]:
    """Between two steps one after the other; the validation between two epochs is left out."""
    found: dict[int, float] = {}
    for path in folder.rglob("events.out.*"):
        events = EventAccumulator(str(path)).Reload()
        if "loss" in events.Tags()["scalars"]:  # the validation's has other names
            found |= {event.step: event.wall_time for event in events.Scalars("loss")}
    differences = [found[step] - found[step - 1] for step in sorted(found) if step - 1 in found]
    longest = 3 * statistics.median(differences)
    return [seconds for seconds in differences if seconds <= longest]


def difference(first: Mapping[str, float], second: Mapping[str, float], names: Sequence[str] = ()) -> float:
    """Largest relative difference of numbers, of all or of those named."""
    assert first.keys() == second.keys()
    found = [abs(first[name] - second[name]) / max(abs(first[name]), 1e-6) for name in names or first]
    return float(f"{max(found):.1e}")


def measure(phase: str, overrides: Mapping[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    calls = {
        name: lambda number=number: train(phase, number, overrides, options)
        for name, number in (("one", 1), ("two", 2))
    }
    runs = in_turns(calls, options.rounds, warm_up=False)
    seconds = {name: [statistics.median(run["seconds"]) for run in found] for name, found in runs.items()}
    one, two = (runs[name][0]["losses"] for name in ("one", "two"))
    other_threads = argparse.Namespace(threads=max(1, options.threads // 2))
    again = train(phase, 1, overrides, other_threads)["losses"]
    return {
        "phase": NUMBERS[phase],
        "rounds": options.rounds,
        "numbers": len(one),
        "one": quartiles(seconds["one"], 4)[1],
        "two": quartiles(seconds["two"], 4)[1],
        "ratio": ratios(seconds["two"], seconds["one"]),
        "first_epoch": difference(one, two, ["1 training loss"]),
        "all": difference(one, two),
        "all_other_threads": difference(one, again),
    }


def _rows(results: Mapping[str, Any]) -> Iterator[list[object]]:
    for setting, result in results.items():
        for row in result["rows"]:
            low, median, high = row["ratio"]
            yield [
                *[row["phase"], SETTINGS[setting], row["one"], row["two"], f"{median} ({low} - {high})"],
                *[row["first_epoch"], f"<= {TRAJECTORY}", verdict(row["first_epoch"], TRAJECTORY)],
                *[row["all"], row["all_other_threads"]],
            ]
    if "cuda" not in results:
        for phase in NUMBERS.values():
            cells = ["not measured", "-", "-", "-", f"<= {TRAJECTORY}", "not measured", "-", "-"]
            yield [phase, SETTINGS["cuda"], *cells]


def table(results: Mapping[str, Any]) -> str:
    grids = [" x ".join(map(str, result["grid"])) for result in results.values()][:1]
    return "\n".join(
        [
            "# Two processes beside one",
            "",
            f"The bundles' training on a simulated cohort of {grids[0]} voxels, hidden size 160, batches of 4 windows "
            "of 10 frames. Two processes share every batch, and the threads (on GPUs: each has its own). Seconds are "
            "medians of steps, the ratio is (two / one) within a round with quartiles. Differences are relative, "
            "between numbers of metrics.csv: that of the first epoch's mean training loss, and the largest of all "
            "(losses, their terms, metrics, all epochs). What rounding does to the sums of a step grows from step to "
            "step, in one process too: beside it is the largest difference between one process and one process with "
            "half of the threads. Run again with `python benchmarks/processes.py`.",
            "",
            *machines(results),
            "",
            *rows_of(
                HEAD,
                *_rows(results),
            ),
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--phases", nargs="+", choices=list(BUNDLES), default=list(BUNDLES))
    options = begin(parser, arguments)
    if options.device == "cuda" and torch.cuda.device_count() < 2:
        parser.exit(2, f"{parser.prog}: two processes need two GPUs, and torch finds one here; use --device cpu.\n")
    options.rounds = 1 if options.quick else options.rounds
    result: dict[str, Any] = {"machine": describe_machine(options, "monai", "pytorch-ignite"), "rows": []}
    with tempfile.TemporaryDirectory() as name:
        overrides = {**SETTINGS_OF_RUNS, **make_cohort(Path(name) / "cohort", options.quick)}
        result["grid"] = overrides["spatial_size"]
        if options.quick:
            overrides |= {"window_length": 5, "max_epochs": 2, "hidden_size": 32}
        for phase in options.phases:
            more = {"perceptual_fraction": 1.0, "perceptual_weights": f"{overrides['dataset_dir']}/vgg16.pth"}
            result["rows"].append(measure(phase, overrides | (more if phase == "transformer" else {}), options))
            print(json.dumps(result["rows"][-1]), flush=True)
    keep("processes", options, result, table)


if __name__ == "__main__":
    main()
