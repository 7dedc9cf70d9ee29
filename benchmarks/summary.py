"""Makes one table of what was asked and what was measured, and puts it on the page `How fast, how big`.

    python benchmarks/summary.py

It reads the committed JSON results of the benchmarks of speed and memory, and writes their own tables anew, too; run it
after one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import data_path
import processes
import scaling
import training_step_table as step
import whole_scan
from contestants import CHECKPOINTING, OURS, PHASES, PUBLISHED
from measuring import RESULTS, SETTINGS, read_results, rows_of, verdict

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "how_fast_how_big.md"
BEGINNING, END = "<!-- made by benchmarks/summary.py -->", "<!-- end -->"
NOT_MEASURED = "not measured"
Row = list[object]


def of_steps(results: dict[str, Any]) -> Iterator[Row]:
    for setting, result in results.items():
        for phase in result["phases"]:
            rows = {row["contestant"]: row for row in phase["rows"]}
            yield from _of_phase(setting, phase, rows)
    if "cuda" not in results:
        for phase in PHASES:
            asked = f"<= {step.TIME_ON_A_GPU}" if phase.number > 1 else "-"
            verdict_of_it = NOT_MEASURED if phase.number > 1 else "-"
            yield [f"step of phase {phase.words}", SETTINGS["cuda"], NOT_MEASURED, "-", asked, verdict_of_it]


def _of_phase(setting: str, phase: dict[str, Any], rows: dict[str, Any]) -> Iterator[Row]:
    fastest = min((row for name, row in rows.items() if name != PUBLISHED), key=lambda row: row["ratio"][1])
    shown = fastest["contestant"] if setting == "cuda" else OURS
    seconds = f"{rows[shown]['step']:.3g} s, published {rows[PUBLISHED]['step']:.3g} s"
    asked = step.asked_of_time(setting, phase["number"], step.BFLOAT16 if setting == "cuda" else OURS)
    yield _row(f"step of phase {phase['phase']}", setting, seconds, rows[shown]["ratio"][1], asked)
    for name, words in ((OURS, "memory"), (CHECKPOINTING, "memory with checkpointing")):
        peaks = [rows[one]["memory"]["peak"] / 1e9 for one in (name, PUBLISHED)]
        measured = f"{peaks[0]:.2f} GB, published {peaks[1]:.2f} GB"
        asked = step.asked_of_memory(setting, name)
        yield _row(f"its {words}", setting, measured, rows[name]["memory_ratio"], asked)


def _row(what: str, setting: str, measured: str, value: float, asked: float | None) -> Row:
    wanted = ["-", "-"] if asked is None else [f"<= {asked}", verdict(value, asked)]
    return [what, SETTINGS[setting], measured, value, *wanted]


def of_scans(results: dict[str, Any]) -> Iterator[Row]:
    for setting, result in results.items():
        times, memory = result["times"], result["memory"]
        once = times["seconds"][whole_scan.ONCE]
        for other, asked in whole_scan.ASKED.items():
            measured = f"{once} s, {other} {times['seconds'][other]} s"
            yield _row(f"scan of {times['frames']} frames", setting, measured, times["ratios"][other][1], asked)
        lengths = " and ".join(
            f"{row['rest'] / 1e9:.2f} GB ({row['frames']} frames)" for row in (memory[0], memory[-1])
        )
        growth = round(memory[-1]["rest"] / memory[0]["rest"], 3)
        yield _row("its memory", setting, lengths, growth, whole_scan.GROWTH)
        if "packed" in result:
            value = result["packed"]["seconds"][1]
            what = f"packed scan of {result['packed']['frames']} frames"
            yield _row(what, setting, f"{value} s", value, whole_scan.PACKED_SECONDS)
    if "cuda" not in results:
        what = f"packed scan of {whole_scan.PACKED_FRAMES} frames"
        yield [what, SETTINGS["cuda"], NOT_MEASURED, "-", f"<= {whole_scan.PACKED_SECONDS}", NOT_MEASURED]


def of_data(results: dict[str, Any]) -> Iterator[Row]:
    for setting, result in results.items():
        for row in result["training"]:
            milliseconds = result["stages"]["whole path"]
            what = f"data of a step, phase {row['phase']}"
            yield [what, SETTINGS[setting], f"{milliseconds} ms", round(milliseconds / 1e3 / row["step"], 4), "-", "-"]
            if setting == "cuda":
                busy = row["busy"][1]
                asked = [f">= {data_path.BUSY}", verdict(busy, data_path.BUSY, at_least=True)]
                yield ["share of time it is busy", SETTINGS[setting], f"{row['workers']} workers", busy, *asked]
    if "cuda" not in results:
        yield ["share of time it is busy", SETTINGS["cuda"], NOT_MEASURED, "-", f">= {data_path.BUSY}", NOT_MEASURED]


def of_processes(results: dict[str, Any]) -> Iterator[Row]:
    for setting, result in results.items():
        for row in result["rows"]:
            what = f"two processes, phase {row['phase']}"
            measured = "difference of the first epoch's loss"
            yield _row(what, setting, measured, row["first_epoch"], processes.TRAJECTORY)


TABLES = {
    "training_step": step.table,
    "whole_scan": whole_scan.table,
    "data_path": data_path.table,
    "processes": processes.table,
    "scaling": scaling.table,
}
MAKERS = {"training_step": of_steps, "whole_scan": of_scans, "data_path": of_data, "processes": of_processes}


def table(folder: Path = RESULTS) -> str:
    rows = [row for name, make in MAKERS.items() if (found := read_results(name, folder)) for row in make(found)]
    return "\n".join(rows_of(["what", "where", "measured", "ratio or value", "asked", "verdict"], *rows))


def renewed(page: str, folder: Path = RESULTS) -> str:
    """The text of the page with the table of the results there are now."""
    block = f"{BEGINNING}\n\n{table(folder)}\n\n{END}"
    return re.sub(f"{re.escape(BEGINNING)}.*?{re.escape(END)}", lambda _: block, page, count=1, flags=re.DOTALL)


def main() -> None:
    for name, make in TABLES.items():
        (RESULTS / f"{name}.md").write_text(make(read_results(name)), encoding="utf-8")
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(table())


if __name__ == "__main__":
    main()
