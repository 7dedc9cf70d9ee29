"""What the benchmarks of speed and memory share: options, processes of their own, and results of several machines.

A result is of a setting: the CPU with a tuned allocator, the CPU with the C library's default one, or a GPU. Each
setting has its own JSON file, and the table is made from all there are.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from machine import describe, in_words, memory_facts

RESULTS = Path(__file__).parent / "results"
SETTINGS = {"cpu": "CPU", "cpu_default": "CPU, default allocator", "cuda": "GPU"}
TUNED = {"MALLOC_MMAP_THRESHOLD_": str(2**33), "MALLOC_TRIM_THRESHOLD_": str(2**34), "MALLOC_TOP_PAD_": str(2**28)}
"""glibc: keep freed memory instead of handing it back, whose pages would have to be asked for and zeroed again."""

PRELOADED = ["transformers.models.bert.modeling_bert", "monai_tff.engines", "monai_tff.inferers", "monai_tff.losses"]


def make_parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--allocator", choices=["tuned", "default"], default="tuned", help="on a CPU")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, seconds: to see that it runs; nothing is kept"
    )
    parser.add_argument("--output", type=Path, help=f"folder of the results; {RESULTS.name} beside this file")
    return parser


def begin(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the options; from the command line (arguments None) the process starts again under the allocator wanted."""
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.exit(2, f"{parser.prog}: --device is cuda, but torch finds no CUDA device; use --device cpu.\n")
    if arguments is None and options.device == "cpu":
        wanted = TUNED if options.allocator == "tuned" else {}
        others = {name: value for name, value in os.environ.items() if name not in TUNED}
        if dict(os.environ) != {**others, **wanted}:
            os.execve(sys.executable, [sys.executable, *sys.argv], {**others, **wanted})
    torch.set_num_threads(options.threads)
    options.setting = options.device
    if options.device == "cpu" and options.allocator == "default":
        options.setting = "cpu_default"
    if options.output is None and not options.quick:
        options.output = RESULTS
    return options


def describe_machine(options: argparse.Namespace, *packages: str) -> dict[str, str]:
    """Machine, packages, allocator, and how busy the machine was before."""
    load = f"{os.getloadavg()[0]:.1f}"
    where = {"GPU": torch.cuda.get_device_name()} if options.device == "cuda" else {"allocator": options.allocator}
    return {**describe("torch", *packages), **where, "threads": str(options.threads), "load before": load}


def alone(options: argparse.Namespace, function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function gives in a process of its own, which imports everything itself (a quick one is forked)."""
    context = multiprocessing.get_context("forkserver" if options.quick else "spawn")
    if options.quick:
        context.set_forkserver_preload(PRELOADED)
    with ProcessPoolExecutor(1, context, torch.set_num_threads, (options.threads,)) as pool:
        return pool.submit(function, *arguments).result()


class Memory:
    """Bytes at the most since it was made: of the process, or of the tensors on a GPU."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.before = 0 if device == "cuda" else memory_facts()["now"]

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated() if self.device == "cuda" else memory_facts()["peak"]


def now(device: str) -> float:
    """Seconds, when all that was asked of the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def in_turns(calls: Mapping[str, Callable[[], Any]], rounds: int, warm_up: bool = True) -> dict[str, list[Any]]:
    """What every call gives in every round, by name; each second round goes the other way round."""
    if warm_up:
        for call in calls.values():
            call()
    found: dict[str, list[Any]] = {name: [] for name in calls}
    for number in range(rounds):
        for name in calls if number % 2 else reversed(calls):
            found[name].append(calls[name]())
    return found


def quartiles(values: Sequence[float], digits: int = 3) -> list[float]:
    """First quartile, median, third quartile."""
    if len(values) == 1:
        return [round(values[0], digits)] * 3
    return [round(value, digits) for value in statistics.quantiles(values, n=4, method="inclusive")]


def ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Quartiles of the ratios within a round."""
    return quartiles([one / other for one, other in zip(values, others, strict=True)])


def verdict(value: float, asked: float, at_least: bool = False) -> str:
    met = value >= asked if at_least else value <= asked
    return "met" if met else "not met"


def rows_of(*rows: Sequence[object]) -> list[str]:
    """Lines of a table whose first row is its head."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return [lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]


def machines(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for every setting that was measured."""
    return [f"- {SETTINGS[setting]}: {in_words(result['machine'])}." for setting, result in results.items()]


def read_results(name: str, folder: Path = RESULTS) -> dict[str, Any]:
    """The results of a benchmark by setting, in the order of `SETTINGS`."""
    paths = {setting: folder / f"{name}.{setting}.json" for setting in SETTINGS}
    return {setting: json.loads(path.read_text()) for setting, path in paths.items() if path.exists()}


def keep(
    name: str, options: argparse.Namespace, result: Mapping[str, Any], table: Callable[[Mapping[str, Any]], str]
) -> str:
    """Prints the table; writes the result of this setting and the table of all, if there is a folder for them."""
    results = {options.setting: json.loads(json.dumps(result))}
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result, indent=4) + "\n"
        (options.output / f"{name}.{options.setting}.json").write_text(text)
        results = read_results(name, options.output)
        (options.output / f"{name}.md").write_text(table(results))
    print(table(results))
    return table(results)
