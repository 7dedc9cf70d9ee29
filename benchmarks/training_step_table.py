"""The tables of `training_step.py`, and what was asked of its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from contestants import BFLOAT16, CHECKPOINTING, OURS, PHASES, PUBLISHED, STAGES
from measuring import SETTINGS, machines, rows_of, verdict

TIME, AIM, TIME_ON_A_GPU = 0.6, 0.45, 0.2
MEMORY, MEMORY_CHECKPOINTING = 0.7, 0.4
TIMES_THE_FLOOR = 4.0
START, END = ("phase", "contestant", "where"), ("asked", "verdict")


def asked_of_time(setting: str, number: int, contestant: str) -> float | None:
    """Largest ratio to the published layout's step."""
    if setting == "cuda":
        return TIME_ON_A_GPU if contestant == BFLOAT16 and number in (2, 3) else None
    return TIME if contestant == OURS else None


def asked_of_memory(setting: str, contestant: str) -> float | None:
    """Largest ratio to the published layout's memory."""
    if setting == "cuda":
        return None
    return {OURS: MEMORY, CHECKPOINTING: MEMORY_CHECKPOINTING}.get(contestant)


def _measured(results: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Setting, phase and row of everything measured, phase by phase."""
    for number in (1, 2, 3):
        for setting, result in results.items():
            for phase in result["phases"]:
                if phase["number"] == number:
                    yield from ((setting, phase, row) for row in phase["rows"])


def _asked(asked: float | None, value: float | None) -> list[str]:
    if asked is None or value is None:
        return ["-", "-"]
    aim = f" (aim {AIM})" if asked == TIME else ""
    return [f"<= {asked}{aim}", verdict(value, asked)]


def _time_rows(results: Mapping[str, Any]) -> Iterator[list[object]]:
    for setting, phase, row in _measured(results):
        low, median, high = row.get("ratio", [None] * 3)
        ratio = "1" if median is None else f"{median} ({low} - {high})"
        asked = asked_of_time(setting, phase["number"], row["contestant"])
        stages = [f"{row[stage]:.3g}" for stage in STAGES]
        start = [phase["phase"], row["contestant"], SETTINGS[setting], f"{row['step']:.3g}"]
        yield [*start, *stages, ratio, *_asked(asked, median)]
    yield from _not_measured(results, 6, TIME_ON_A_GPU)


def _memory_rows(results: Mapping[str, Any]) -> Iterator[list[object]]:
    for setting, phase, row in _measured(results):
        memory = row["memory"]
        megabytes = [round(memory["peak"] / 1e6), round((memory["peak"] - memory["before"]) / 1e6)]
        ratios = ["1", "1"] if row["contestant"] == PUBLISHED else [row["memory_ratio"], row["work_ratio"]]
        asked = asked_of_memory(setting, row["contestant"])
        yield [
            *[phase["phase"], row["contestant"], SETTINGS[setting]],
            *megabytes,
            *ratios,
            *_asked(asked, row.get("memory_ratio")),
        ]
    yield from _not_measured(results, 4, None)


def _floor_rows(results: Mapping[str, Any]) -> Iterator[list[object]]:
    for setting, result in results.items():
        for phase in result["phases"]:
            floor = phase["bytes"] / result["bytes_per_second"]
            (step,) = (row["step"] for row in phase["rows"] if row["contestant"] == phase["bytes_of"])
            times = round(step / floor, 2)
            asked = asked_of_floor(setting, phase["number"])
            of_it = ["-", "-"] if asked is None else [f"<= {asked}", verdict(times, asked)]
            speed = f"{result['bytes_per_second'] / 1e9:.3g}"
            start = [phase["phase"], phase["bytes_of"], SETTINGS[setting], f"{phase['bytes'] / 1e9:.3g}", speed]
            yield [*start, f"{floor:.3g}", times, *of_it]
    yield from _not_measured(results, 4, TIMES_THE_FLOOR)


def asked_of_floor(setting: str, number: int) -> float | None:
    """Largest ratio of a step to the time that its bytes take."""
    return TIMES_THE_FLOOR if setting == "cuda" and number in (2, 3) else None


def _not_measured(results: Mapping[str, Any], cells: int, asked: float | None) -> Iterator[list[object]]:
    if "cuda" not in results:
        for phase in PHASES:
            verdict_of_all = ["-", "-"] if asked is None or phase.number == 1 else [f"<= {asked}", "not measured"]
            yield [phase.words, OURS, SETTINGS["cuda"], "not measured", *["-"] * (cells - 1), *verdict_of_all]


def table(results: Mapping[str, Any]) -> str:
    """The page of all settings' results."""
    found = [
        f"phase {phase['phase']}: " + ", ".join(f"{name} {value}" for name, value in phase["differences"].items())
        for result in list(results.values())[:1]
        for phase in result["phases"]
    ]
    return "\n".join(
        [
            "# A training step",
            "",
            "Forward pass, loss, backward pass and optimiser of the three phases at the paper's sizes (grid, hidden "
            "size, batch, dropout, perceptual loss), beside the published layout of operations in eager float32 with "
            "the same threads and allocator. Run again with `python benchmarks/training_step.py`.",
            "",
            *machines(results),
            "",
            "Largest relative differences between ours and the published layout, of outputs in evaluation mode and of "
            "losses over all planes: " + "; ".join(found) + ".",
            "",
            "Seconds are medians; the ratio is the median of (ours / published) within a round, with quartiles.",
            "",
            *rows_of([*START, "step s", *STAGES, "ratio", *END], *_time_rows(results)),
            "",
            "Memory at the most during two steps in a process of its own: all that the process had (on a GPU: the "
            "tensors), and the same without what it had after its imports. What is asked is asked of all.",
            "",
            *rows_of(
                [*START, "MB", "MB without imports", "ratio", "ratio without imports", *END],
                *_memory_rows(results),
            ),
            "",
            "The byte floor: the time in which the device moves what convolutions, matrix products and the optimiser "
            "have to read and write once, at the speed of copying a large tensor.",
            "",
            *rows_of([*START, "GB moved", "GB per s", "floor s", "step / floor", *END], *_floor_rows(results)),
            "",
        ]
    )
