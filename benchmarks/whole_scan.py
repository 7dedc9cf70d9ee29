"""Times the prediction of a whole scan: every frame encoded once, every window anew, and the published layout.

    python benchmarks/whole_scan.py [--rounds 3] [--threads 2] [--device cpu|cuda]
    python benchmarks/whole_scan.py --quick    # seconds, a small grid: to see that it runs

200 frames of the HCP grid (75 x 93 x 81), windows of 20 frames every 10: 19 windows. `frames once` is the inferer that
predictions use; `windows anew` gives the same network window after window; `published` gives them to the published
layout of operations, with frame-major memory, which spares it a copy. All unpack a compact scan, take turns in one
process, and give the same outputs; the ratio is the median within a round. Memory is that of a process of its own, for
scans of several lengths. On a GPU a packed scan of 1,190 frames is predicted too. Writes whole_scan.DEVICE.json and
whole_scan.md.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from contestants import PHASES, SMALL, Phase, our_network, published_network
from example_windows import compact_scan, pack
from measuring import (
    SETTINGS,
    Memory,
    alone,
    begin,
    describe_machine,
    in_turns,
    keep,
    machines,
    make_parser,
    now,
    quartiles,
    ratios,
    rows_of,
    verdict,
)
from torch import nn

from monai_tff.data import CompactScan, open_packed
from monai_tff.inferers import TemporalInferer

ONCE, ANEW, PUBLISHED = "frames once", "windows anew", "published"
ASKED = {ANEW: 0.56, PUBLISHED: 0.35}
GROWTH = 1.05
"""Largest ratio of memory for the longest scan to that for the shortest, without what the scans take themselves."""

PACKED_FRAMES, PACKED_SECONDS = 1190, 2.0


def inferer_of(phase: Phase) -> TemporalInferer:
    return TemporalInferer(phase.num_frames, stride=phase.num_frames // 2)


def window_by_window(network: nn.Module, scan: CompactScan, phase: Phase, device: str) -> torch.Tensor:
    starts = inferer_of(phase).starts(scan.num_frames)
    return torch.cat([network(scan.window(start, phase.num_frames).to(device).unpack()[None]) for start in starts])


@torch.no_grad()
def measure_times(phase: Phase, frames: int, rounds: int, device: str) -> dict[str, Any]:
    scan, network = compact_scan(phase.grid, frames), our_network(phase, device).eval()
    published = published_network(phase, device).take_parameters(network).eval()
    calls = {
        ONCE: lambda: inferer_of(phase)(scan, network),
        ANEW: lambda: window_by_window(network, scan, phase, device),
        PUBLISHED: lambda: window_by_window(published, scan, phase, device),
    }
    outputs: dict[str, torch.Tensor] = {}

    def seconds(name: str) -> float:
        start = now(device)
        outputs[name] = calls[name]()
        return now(device) - start

    times = in_turns({name: lambda name=name: seconds(name) for name in calls}, rounds, warm_up=device == "cuda")
    difference = max(float((outputs[ONCE] - outputs[name]).abs().max()) for name in (ANEW, PUBLISHED))
    return {
        "frames": frames,
        "windows": len(outputs[ONCE]),
        "rounds": rounds,
        "difference": float(f"{difference:.1e}"),
        "seconds": {name: quartiles(values, 3)[1] for name, values in times.items()},
        "ratios": {name: ratios(times[ONCE], times[name]) for name in (ANEW, PUBLISHED)},
    }


@torch.no_grad()
def measure_memory(phase: Phase, frames: int, device: str) -> dict[str, int]:
    """Bytes of a prediction, to be called in a process of its own."""
    memory = Memory(device)
    scan, network = compact_scan(phase.grid, frames), our_network(phase, device).eval()
    inferer_of(phase)(scan, network)
    of_scan = 0 if device == "cuda" else scan.nbytes  # on a GPU there is never more than a few frames of it
    return {"frames": frames, "scan": scan.nbytes, "peak": memory.peak(), "rest": memory.peak() - of_scan}


@torch.no_grad()
def measure_packed(phase: Phase, frames: int, rounds: int, device: str) -> dict[str, Any]:
    """Seconds to open and predict a packed scan that is in the page cache, with the network in memory."""
    network = our_network(phase, device).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = pack(compact_scan(phase.grid, frames), Path(folder) / "scan.safetensors", phase.num_frames)

        def seconds() -> float:
            start = now(device)
            inferer_of(phase)(open_packed(path), network).cpu()
            return now(device) - start

        times = in_turns({"packed": seconds}, rounds)["packed"]
    return {"frames": frames, "seconds": quartiles(times)}


def _time_rows(results: Mapping[str, Any]) -> Iterator[list[object]]:
    for setting, result in results.items():
        times = result["times"]
        for name, seconds in times["seconds"].items():
            start = [f"{times['frames']} frames", name, SETTINGS[setting], seconds]
            if name == ONCE:
                yield [*start, "1", "-", "-"]
                continue
            low, median, high = times["ratios"][name]
            yield [*start, f"{median} ({low} - {high})", f"<= {ASKED[name]}", verdict(median, ASKED[name])]
        if "packed" in result:
            low, median, high = result["packed"]["seconds"]
            what = f"{result['packed']['frames']} frames, packed"
            asked = [f"<= {PACKED_SECONDS} s", verdict(median, PACKED_SECONDS)]
            yield [what, ONCE, SETTINGS[setting], f"{median} ({low} - {high})", "-", *asked]
    if "cuda" not in results:
        for what, asked in (("200 frames", "-"), (f"{PACKED_FRAMES} frames, packed", f"<= {PACKED_SECONDS} s")):
            yield [what, ONCE, SETTINGS["cuda"], "not measured", "-", asked, "-" if asked == "-" else "not measured"]


def _memory_rows(results: Mapping[str, Any]) -> Iterator[list[object]]:
    for setting, result in results.items():
        rest = [row["rest"] for row in result["memory"]]
        for row in result["memory"]:
            numbers = [row["frames"], *(round(row[key] / 1e6) for key in ("peak", "scan", "rest"))]
            last = row is result["memory"][-1]
            growth = round(rest[-1] / rest[0], 3)
            asked = [growth, f"<= {GROWTH}", verdict(growth, GROWTH)] if last else ["-"] * 3
            yield [SETTINGS[setting], *numbers, *asked]
    if "cuda" not in results:
        yield [SETTINGS["cuda"], "200", "not measured", *["-"] * 5]


def table(results: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            "# Prediction of a whole scan",
            "",
            "A network of the third phase at the paper's size slides a window of 20 frames over a compact scan of the "
            "HCP grid, a new window every 10 frames. Frames once: `TemporalInferer`, which encodes every frame once "
            "and lets windows share the codes. Windows anew: the same network, window after window. Published: the "
            "published layout of operations, window after window. Ratios are (frames once / other), medians within a "
            "round with quartiles. Run again with `python benchmarks/whole_scan.py`.",
            "",
            *machines(results),
            "",
            "Largest difference between their outputs: "
            + "; ".join(f"{SETTINGS[name]} {result['times']['difference']}" for name, result in results.items())
            + ".",
            "",
            *rows_of(
                ["scan", "way", "where", "seconds", "ratio of frames once to it", "asked", "verdict"],
                *_time_rows(results),
            ),
            "",
            "Memory at the most of a process that predicts a scan (on a GPU: of its tensors); the rest is without the "
            "compact scan itself, which stays on the disk where scans are packed. 19 windows hold 380 frames, of which "
            "200 differ: 0.526 is the least that sharing can reach.",
            "",
            *rows_of(
                ["where", "frames", "MB", "scan MB", "rest MB", "longest / shortest", "asked", "verdict"],
                *_memory_rows(results),
            ),
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = begin(parser, arguments)
    phase, lengths, frames, packed_frames = PHASES[2], (100, 200, 400), 200, PACKED_FRAMES
    if options.quick:
        phase = dataclasses.replace(phase, **SMALL, num_frames=4)
        lengths, frames, packed_frames, options.rounds = (10, 40), 20, 30, 2
    result: dict[str, Any] = {"machine": describe_machine(options, "transformers")}
    result["memory"] = [alone(options, measure_memory, phase, length, options.device) for length in lengths]
    result["times"] = measure_times(phase, frames, options.rounds, options.device)
    if options.device == "cuda" or options.quick:
        result["packed"] = measure_packed(phase, packed_frames, options.rounds, options.device)
    keep("whole_scan", options, result, table)


if __name__ == "__main__":
    main()
