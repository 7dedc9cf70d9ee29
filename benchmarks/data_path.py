"""Times the way of a window from the disk to the network's input, beside the training step that waits for it.

    python benchmarks/data_path.py [--rounds 20] [--threads 2] [--device cpu|cuda] [--workers 4]
    python benchmarks/data_path.py --quick    # seconds, a small grid: to see that it runs

Windows of 20 frames at random positions of a packed scan of the HCP grid (75 x 93 x 81, int16), which is in the page
cache. Stages: `cut` opens the file and cuts the window (a view of the mapped file), `read` copies it into memory of its
own (page-locked for a GPU), `to device` copies it there, `two channels` unpacks and normalises. `whole path` is what a
training waits for with num_workers 0: the loader's next batch and prepare_batch. Then steps are trained, on one image
and with the loader in turns: `busy` is the share of the second that the first takes. Writes data_path.DEVICE.json and
data_path.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from contestants import BFLOAT16, OURS, PHASES, SMALL, Contestant, Phase, make
from example_windows import compact_scan, pack
from measuring import (
    SETTINGS,
    begin,
    describe_machine,
    in_turns,
    keep,
    machines,
    make_parser,
    now,
    quartiles,
    rows_of,
    verdict,
)
from torch.utils.data import DataLoader

from monai_tff.data import RandomWindowSampler, TrainingBatches, WindowDataset, collate_records, open_packed
from monai_tff.engines import PrepareReconstruction

STAGES = ("cut", "read", "to device", "two channels", "whole path")
FRAMES = 200
BUSY = 0.9
HEAD = ("phase", "where", "step s", "whole path / step", "workers", "step with loader s", "busy")


def opened(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, "image": open_packed(record["image"])}


def windows_of(path: Path, length: int) -> WindowDataset:
    """Windows that are read from the file when they are drawn, as those of packed scans are."""
    data = [{"image": str(path), "subject": "1"}]
    return WindowDataset(data, opened, window_length=length, cache_rate=0.0, progress=False)


def batches(dataset: WindowDataset, count: int, workers: int, device: str) -> DataLoader:
    sampler = RandomWindowSampler(dataset, seed=1, windows_per_scan=count)
    return DataLoader(
        dataset,
        batch_sampler=TrainingBatches(sampler, 1),
        num_workers=workers,
        pin_memory=device == "cuda",
        collate_fn=collate_records,
    )


def images(loader: DataLoader, device: str) -> Iterator[torch.Tensor]:
    """The network's input of each batch, as the trainer prepares it."""
    prepare = PrepareReconstruction()
    for batch in loader:
        yield prepare(batch, device, non_blocking=True)[0]


def measure_stages(dataset: WindowDataset, rounds: int, device: str) -> dict[str, float]:
    """Median milliseconds of each stage."""
    times: dict[str, list[float]] = {stage: [] for stage in STAGES}
    indices = iter(RandomWindowSampler(dataset, seed=1, windows_per_scan=rounds + 1))
    whole = images(batches(dataset, rounds + 1, 0, device), device)
    for _ in range(rounds + 1):
        clock = [now(device)]
        window = dataset[next(indices)]["image"]
        clock.append(now(device))
        window = window.pin_memory() if device == "cuda" else window._with_tensors(torch.clone)
        clock.append(now(device))
        window = window.to(device, non_blocking=True)
        clock.append(now(device))
        window.unpack()
        clock.append(now(device))
        next(whole)
        clock.append(now(device))
        for stage, start, end in zip(STAGES, clock, clock[1:], strict=False):
            times[stage].append(1e3 * (end - start))
    # the first one brought the file into the page cache
    return {stage: quartiles(values[1:], 2)[1] for stage, values in times.items()}


def measure_training(
    dataset: WindowDataset, phase: Phase, steps: int, rounds: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Seconds of a step on data that is there, and on data that is read, with the loader's workers."""
    device = options.device
    contestant: Contestant = make(BFLOAT16 if device == "cuda" else OURS, phase, device)

    def on_one() -> float:
        start = now(device)
        for _ in range(steps):
            contestant.train_on(contestant.image)
        return (now(device) - start) / steps

    def on_read() -> float:
        found = images(batches(dataset, steps + 1, options.workers, device), device)
        contestant.train_on(next(found))  # the workers have started
        start = now(device)
        for image in found:
            contestant.train_on(image)
        return (now(device) - start) / steps

    times = in_turns({"one": on_one, "read": on_read}, rounds, warm_up=device == "cuda" or options.quick)
    busy = [one / read for one, read in zip(times["one"], times["read"], strict=True)]
    return {
        "phase": phase.words,
        "workers": options.workers,
        "step": quartiles(times["one"], 4)[1],
        "step_with_loader": quartiles(times["read"], 4)[1],
        "busy": quartiles(busy),
    }


def _stage_rows(results: Mapping[str, Any]) -> Iterator[list[object]]:
    for setting, result in results.items():
        yield [SETTINGS[setting], *(result["stages"][stage] for stage in STAGES)]
    if "cuda" not in results:
        yield [SETTINGS["cuda"], "not measured", *["-"] * (len(STAGES) - 1)]


def _training_rows(results: Mapping[str, Any]) -> Iterator[list[object]]:
    for setting, result in results.items():
        for row in result["training"]:
            share = result["stages"]["whole path"] / 1e3 / row["step"]
            low, median, high = row["busy"]
            asked = [f">= {BUSY}", verdict(median, BUSY, at_least=True)] if setting == "cuda" else ["-", "-"]
            start = [row["phase"], SETTINGS[setting], row["step"], f"{100 * share:.2g} %", row["workers"]]
            yield [*start, row["step_with_loader"], f"{median} ({low} - {high})", *asked]
    if "cuda" not in results:
        for phase in PHASES[1:]:
            yield [phase.words, SETTINGS["cuda"], "not measured", *["-"] * 4, f">= {BUSY}", "not measured"]


def table(results: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            "# From the disk to the network",
            "",
            "A window of 20 frames of a packed scan of the HCP grid (int16, in the page cache), batch 1; median "
            "milliseconds. Cut: the file is opened, the window is a view of it. Read: copied into memory of its own, "
            "page-locked for a GPU. Two channels: unpacked and normalised on the device. Whole path: what a training "
            "step waits for with num_workers 0, where nothing is copied before it is unpacked. Run again with "
            "`python benchmarks/data_path.py`.",
            "",
            *machines(results),
            "",
            *rows_of(["where", *(f"{stage} ms" for stage in STAGES)], *_stage_rows(results)),
            "",
            "Training steps on data that is already there, and with the loader and its workers; busy is the share of "
            "the second that the first takes, median of rounds with quartiles (above 1: other work came between).",
            "",
            *rows_of(
                [*HEAD, "asked", "verdict"],
                *_training_rows(results),
            ),
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="of the stages")
    parser.add_argument("--workers", type=int, help="of the loader; 0 on a CPU, 4 beside a GPU")
    options = begin(parser, arguments)
    on_gpu = options.device == "cuda"
    options.workers = options.workers if options.workers is not None else 4 * on_gpu
    phases, frames, steps, rounds = PHASES[1:], FRAMES, 50 if on_gpu else 2, 3
    if options.quick:
        phases = tuple(dataclasses.replace(phase, **SMALL, num_frames=4) for phase in phases)
        frames, steps, rounds, options.rounds = 20, 2, 2, 3
    result: dict[str, Any] = {"machine": describe_machine(options, "safetensors", "numpy")}
    with tempfile.TemporaryDirectory() as folder:
        path = pack(compact_scan(phases[0].grid, frames), Path(folder) / "scan.safetensors", phases[0].num_frames)
        dataset = windows_of(path, phases[0].num_frames)
        result["stages"] = measure_stages(dataset, options.rounds, options.device)
        result["training"] = [measure_training(dataset, phase, steps, rounds, options) for phase in phases]
    keep("data_path", options, result, table)


if __name__ == "__main__":
    main()
