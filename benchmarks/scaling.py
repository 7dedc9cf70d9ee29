"""Time and memory of a training step over the frames of a window, the windows of a batch, and the grid.

    python benchmarks/scaling.py [--rounds 3] [--threads 2] [--device cpu|cuda]
    python benchmarks/scaling.py --quick    # seconds, small grids: to see that it runs

Phases 2 and 3 with and without activation checkpointing, hidden size 160, half the HCP grid along each axis
(38 x 47 x 41) where the grid is not what changes. Each row is a process of its own: a first step, then the median of
some more. Writes scaling.DEVICE.json and scaling.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from contestants import CHECKPOINTING, OURS, PHASES, Phase, make
from measuring import (
    SETTINGS,
    Memory,
    alone,
    begin,
    describe_machine,
    keep,
    machines,
    make_parser,
    quartiles,
    rows_of,
)

HALF, HIDDEN_SIZE = (38, 47, 41), 160
SWEEPS: dict[str, list[Any]] = {
    "num_frames": [1, 5, 10, 20, 40, 80],
    "batch_size": [1, 2, 4, 8],
    "grid": [(19, 24, 21), HALF, (56, 70, 61), (75, 93, 81)],
}
QUICK_GRID = (12, 14, 13)
QUICK: dict[str, list[Any]] = {"num_frames": [2, 6], "batch_size": [2], "grid": [(10, 12, 11)]}
WORDS = {"num_frames": "frames", "batch_size": "windows", "grid": "grid"}


def measure(name: str, phase: Phase, rounds: int, device: str) -> dict[str, Any]:
    """Median seconds of a step and bytes at the most, to be called in a process of its own."""
    memory = Memory(device)
    contestant = make(name, phase, device)
    contestant.step()
    seconds = quartiles([sum(contestant.step()) for _ in range(rounds)], 4)
    return {"seconds": seconds, "peak": memory.peak(), "work": memory.peak() - memory.before}


def variations(sweeps: Mapping[str, list[Any]]) -> Iterator[tuple[str, str, Phase]]:
    """What changes, the contestant, and the phase with it."""
    for what, values in sweeps.items():
        for base in PHASES[1:]:
            for name in (OURS, CHECKPOINTING):
                for value in values:
                    changed = {"grid": HALF, "hidden_size": HIDDEN_SIZE, "num_frames": 20, what: value}
                    if sweeps is QUICK:
                        changed |= {"grid": QUICK_GRID, "num_frames": 3, what: value}
                    yield what, name, dataclasses.replace(base, **changed)


def _rows(results: Mapping[str, Any], what: str) -> Iterator[list[object]]:
    for setting, result in results.items():
        rows = [row for row in result["rows"] if row["what"] == what]
        for phase in (2, 3):
            of_phase = [row for row in rows if row["phase"] == phase]
            for value in dict.fromkeys(row["value"] for row in of_phase):
                pair = [row for row in of_phase if row["value"] == value]
                cells = [f"{row['seconds'][1]:.3g}" for row in pair] + [str(round(row["work"] / 1e6)) for row in pair]
                yield [phase, value, SETTINGS[setting], *cells]
    if "cuda" not in results:
        for phase in (2, 3):
            yield [phase, "-", SETTINGS["cuda"], "not measured", "-", "-", "-"]


def table(results: Mapping[str, Any]) -> str:
    lines = [
        "# How a training step grows",
        "",
        f"Phases 2 and 3 of a small network (hidden size {HIDDEN_SIZE}); where it is not what changes: one window of "
        f"20 frames, {' x '.join(map(str, HALF))} voxels. Median seconds of a step, and MB at the most without what "
        "the process had after its imports; each without and with activation checkpointing. Run again with "
        "`python benchmarks/scaling.py`.",
        "",
        *machines(results),
        "",
    ]
    for what, word in WORDS.items():
        head = ["phase", word, "where", "step s", "checkpointing s", "MB", "checkpointing MB"]
        lines += [*rows_of(head, *_rows(results, what)), ""]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = begin(parser, arguments)
    result: dict[str, Any] = {"machine": describe_machine(options, "transformers"), "rows": []}
    for what, name, phase in variations(QUICK if options.quick else SWEEPS):
        found = alone(options, measure, name, phase, options.rounds, options.device)
        value = getattr(phase, what)
        shown = " x ".join(map(str, value)) if what == "grid" else str(value)
        row = {"what": what, "value": shown, "phase": phase.number, "contestant": name, **found}
        result["rows"].append(row)
        print(f"phase {phase.number}, {name}, {WORDS[what]} {shown}: {found['seconds'][1]} s", flush=True)
    keep("scaling", options, result, table)


if __name__ == "__main__":
    main()
