"""Times a training step of each phase and measures its memory: our networks and losses beside the published layout.

    python benchmarks/training_step.py [--rounds 5] [--threads 2] [--allocator tuned|default] [--variants]
    python benchmarks/training_step.py --device cuda --variants
    python benchmarks/training_step.py --quick    # seconds, a small grid: to see that it runs

The phases have the paper's sizes (75 x 93 x 81 voxels, hidden size 2640), batches, dropout and shares of planes;
VGG-16 has random weights. Contestants take their steps in one process in turn, in changing order, with the same
parameters and input; the ratio is the median over rounds of (ours / published) within a round. Before that, outputs in
evaluation mode and losses over all planes are compared. Memory is that of two steps in a process of its own. Writes
training_step.DEVICE.json, and training_step.md from the results of all devices.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from byte_floor import bytes_of_step, bytes_per_second
from contestants import (
    BFLOAT16,
    CHANNELS_LAST,
    CHECKPOINTING,
    COMPILED,
    OURS,
    PHASES,
    PUBLISHED,
    SMALL,
    STAGES,
    Contestant,
    Phase,
    make,
    make_all,
    make_loss,
)
from measuring import Memory, alone, begin, describe_machine, in_turns, keep, make_parser, quartiles, ratios
from training_step_table import table

LARGEST_DIFFERENCE = 1e-3
"""Of outputs and losses, relative to the largest number."""

FRAMES_COMPARED = 2


def measure_memory(name: str, phase: Phase, device: str, steps: int = 2) -> dict[str, int]:
    """Bytes at the most during steps, and before anything was made; to be called in a process of its own."""
    memory = Memory(device)
    contestant = make(name, phase, device)
    for _ in range(steps):
        contestant.step()
    return {"peak": memory.peak(), "before": memory.before}


@torch.no_grad()
def differences(ours: Contestant, published: Contestant, phase: Phase, device: str) -> dict[str, float]:
    """Largest differences of outputs in evaluation mode and of losses over all planes of two frames, both relative."""
    parts = [contestant.image[..., :FRAMES_COMPARED][:FRAMES_COMPARED] for contestant in (ours, published)]
    outputs = [each.network.eval()(part) for each, part in zip((ours, published), parts, strict=True)]
    found = {"output": _relative(*outputs)}
    if phase.name != "finetune":
        every_plane = dataclasses.replace(phase, fraction=1.0)
        losses = [make_loss(every_plane, published=kind).to(device)(outputs[0], parts[0]) for kind in (False, True)]
        found["loss"] = _relative(*losses)
    for contestant in (ours, published):
        contestant.network.train()
    if max(found.values()) > LARGEST_DIFFERENCE:
        raise SystemExit(
            f"phase {phase.number}: ours differs from the published layout by {found}; no time is comparable."
        )
    return found


def _relative(ours: torch.Tensor, published: torch.Tensor) -> float:
    return float(f"{((ours - published).abs().max() / published.abs().max()).item():.1e}")


def measure_times(names: list[str], phase: Phase, rounds: int, device: str) -> dict[str, Any]:
    """Rows of seconds by contestant, how much the two that are compared differ, and what a step has to move."""
    contestants = make_all(names, phase, device)
    found = differences(contestants[OURS], contestants[PUBLISHED], phase, device)
    times = in_turns({name: contestant.step for name, contestant in contestants.items()}, rounds)
    steps = {name: [sum(stages) for stages in rounds_of_one] for name, rounds_of_one in times.items()}
    rows = []
    for name in names:
        stages = {stage: quartiles([step[number] for step in times[name]], 4)[1] for number, stage in enumerate(STAGES)}
        ratio = {} if name == PUBLISHED else {"ratio": ratios(steps[name], steps[PUBLISHED])}
        rows.append({"contestant": name, **stages, "step": quartiles(steps[name], 4)[1], **ratio})
    fast = BFLOAT16 if device == "cuda" and BFLOAT16 in names else OURS
    return {"differences": found, "rows": rows, "bytes": bytes_of_step(contestants[fast]), "bytes_of": fast}


def measure(phase: Phase, names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    memory = {name: alone(options, measure_memory, name, phase, options.device) for name in names}
    found = measure_times(names, phase, options.rounds, options.device)
    for row in found["rows"]:
        name = row["contestant"]
        row["memory"] = memory[name]
        if name != PUBLISHED:
            row["memory_ratio"] = round(memory[name]["peak"] / memory[PUBLISHED]["peak"], 3)
            row["work_ratio"] = round(_work(memory[name]) / _work(memory[PUBLISHED]), 3)
    return {"phase": phase.words, "number": phase.number, **found}


def _work(memory: dict[str, int]) -> int:
    return memory["peak"] - memory["before"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--phases", type=int, nargs="+", choices=[1, 2, 3], default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variants", action="store_true", help="bfloat16 and torch.compile too")
    options = begin(parser, arguments)
    phases = [phase for phase in PHASES if phase.number in options.phases]
    if options.quick:
        phases = [dataclasses.replace(phase, **SMALL, num_frames=min(phase.num_frames, 4)) for phase in phases]
        options.rounds = 2
    names = [PUBLISHED, OURS, CHECKPOINTING]
    if options.variants:
        names += [BFLOAT16, COMPILED, *([CHANNELS_LAST] if options.device == "cuda" else [])]
    result: dict[str, Any] = {"machine": describe_machine(options, "transformers"), "rounds": options.rounds}
    result |= {"bytes_per_second": bytes_per_second(options.device), "phases": []}
    for phase in phases:
        print(f"phase {phase.words} ...", flush=True)
        result["phases"].append(measure(phase, names, options))
    keep("training_step", options, result, table)


if __name__ == "__main__":
    main()
