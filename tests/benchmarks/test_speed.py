"""The benchmarks of speed and memory: they run, they compare the same numbers, and the page says what was measured."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks"
NAMES = ["training_step", "whole_scan", "data_path", "scaling", "processes"]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a file of the folder of benchmarks: benchmark("prepare")."""
    monkeypatch.syspath_prepend(FOLDER)
    yield importlib.import_module
    # names such as `machine` are nobody else's to find
    for name in list(sys.modules):
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(FOLDER)):
            del sys.modules[name]


def quick(module: ModuleType, folder: Path, *options: str) -> tuple[dict, str]:
    """The result and the table of a quick run."""
    module.main(["--quick", "--threads", "1", "--output", str(folder), *options])
    name = module.__name__
    return json.loads((folder / f"{name}.cpu.json").read_text()), (folder / f"{name}.md").read_text()


def test_a_training_step(benchmark: Callable, tmp_path: Path) -> None:
    result, table = quick(benchmark("training_step"), tmp_path, "--phases", "2")
    (phase,) = result["phases"]
    rows = {row["contestant"]: row for row in phase["rows"]}
    assert list(rows) == ["published", "ours", "ours, checkpointing"]
    assert max(phase["differences"].values()) < 1e-4
    for row in rows.values():
        assert row["step"] == pytest.approx(
            sum(row[stage] for stage in ("forward", "loss", "backward", "optimiser")), rel=0.5
        )
        assert row["memory"]["peak"] > row["memory"]["before"] > 1e8
    assert 1e6 < phase["bytes"] < 1e9
    peaks = [rows[name]["memory"]["peak"] for name in ("ours", "published")]
    assert rows["ours"]["memory_ratio"] == round(peaks[0] / peaks[1], 3)
    assert f"| 2 (B1 T4) | ours | CPU | {rows['ours']['step']:.3g} |" in table
    assert "| 3 (B1 T20) | ours | GPU | not measured |" in table


def test_a_whole_scan(benchmark: Callable, tmp_path: Path) -> None:
    result, table = quick(benchmark("whole_scan"), tmp_path)
    times = result["times"]
    assert (times["frames"], times["windows"]) == (20, 9)  # windows of 4 frames, every 2
    assert times["difference"] < 1e-5
    assert all(0 < seconds < 10 for seconds in times["seconds"].values())
    short, long = result["memory"]
    assert long["scan"] > 1.5 * short["scan"] > 0
    assert long["peak"] - long["rest"] == long["scan"]
    assert f"| 20 frames | published | CPU | {times['seconds']['published']} |" in table


def test_the_data_path(benchmark: Callable, tmp_path: Path) -> None:
    result, table = quick(benchmark("data_path"), tmp_path)
    assert list(result["stages"]) == ["cut", "read", "to device", "two channels", "whole path"]
    assert all(0 <= milliseconds < 1000 for milliseconds in result["stages"].values())
    assert [row["phase"] for row in result["training"]] == ["2 (B1 T4)", "3 (B1 T4)"]
    assert all(0 < row["busy"][1] < 10 for row in result["training"])
    assert "| GPU | not measured |" in table


def test_how_a_step_grows(benchmark: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = benchmark("scaling")
    monkeypatch.setattr(module, "QUICK", {"num_frames": [2, 20]})
    monkeypatch.setattr(module, "PHASES", module.PHASES[:2])
    result, table = quick(module, tmp_path, "--rounds", "1")
    found = {(row["contestant"], row["value"]): row for row in result["rows"] if row["what"] == "num_frames"}
    assert found["ours", "20"]["work"] > found["ours", "2"]["work"]
    assert len(result["rows"]) == 4
    assert f"| 2 | 20 | CPU | {found['ours', '20']['seconds'][1]:.3g} |" in table


def test_steps_in_processes(benchmark: Callable, tmp_path: Path) -> None:
    module = benchmark("processes")
    places = module.make_cohort(tmp_path / "cohort", quick=True)
    settings = {**module.SETTINGS_OF_RUNS, **places, "window_length": 5, "max_epochs": 2, "hidden_size": 32}
    options = module.make_parser("").parse_args(["--threads", "1"])
    found = module.train("finetune", 1, settings, options)
    assert len(found["seconds"]) >= 2
    assert all(0 < seconds < 10 for seconds in found["seconds"])
    assert {"1 training loss", "2 training loss"} <= set(found["losses"])
    other = {**found["losses"], "2 training loss": 1.5 * found["losses"]["2 training loss"]}
    assert module.difference(found["losses"], other) == 0.5
    assert module.difference(found["losses"], other, ["1 training loss"]) == 0.0
    words = module.words_of("transformer", 2, settings)
    assert words[1:5] == ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    assert "multi_gpu_train.yaml" in words[words.index("--config_file") + 1]


@pytest.fixture
def double_precision() -> Iterator[None]:
    """How far rounding takes two orders of operations apart depends on the processor, in single precision visibly."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("number", [1, 2, 3])
def test_contestants_learn_the_same(benchmark: Callable, number: int) -> None:
    contestants = benchmark("contestants")
    phase = contestants.PHASES[number - 1]
    phase = dataclasses.replace(phase, grid=(12, 14, 13), hidden_size=160, num_frames=min(3, phase.num_frames))
    phase = dataclasses.replace(phase, batch_size=2, dropout=0.0, fraction=1.0)
    names = [contestants.PUBLISHED, contestants.OURS, contestants.CHECKPOINTING]
    made = contestants.make_all(names, phase, "cpu")
    gradients = {}
    for name, contestant in made.items():
        for module in contestant.network.modules():
            if "Bert" in type(module).__name__ or isinstance(module, torch.nn.Dropout):
                module.eval()  # what the transformer drops is drawn anew by each
        stages = contestant.stages(contestant.image)
        for _ in range(3):
            next(stages)
        encoder = contestant.network.get_submodule("encoder")
        gradients[name] = [parameter.grad.clone() for parameter in encoder.parameters()]
    for name in names[1:]:
        for ours, published in zip(gradients[name], gradients[contestants.PUBLISHED], strict=True):
            torch.testing.assert_close(ours, published, rtol=1e-6, atol=1e-6 * float(published.abs().max()))


def test_bytes_that_a_step_has_to_move(benchmark: Callable) -> None:
    module = benchmark("byte_floor")
    layer = torch.nn.Conv3d(2, 4, 3, padding=1)
    optimizer = torch.optim.Adam(layer.parameters(), fused=True)
    image = torch.randn(1, 2, 5, 6, 7)
    parameters, inputs, outputs = 4 * 2 * 27 + 4, 2 * 210, 4 * 210
    with module.MovedBytes() as moved:
        loss = layer(image).relu().sum()
        assert moved.total == 4 * (inputs + outputs + parameters)
        loss.backward()
        backward = 4 * (outputs + inputs + 4 * 2 * 27 + parameters)  # gradient, input, weight; gradients of parameters
        assert moved.total == 4 * (inputs + outputs + parameters) + backward
        before = moved.total
        optimizer.step()
        steps = 2 * 4  # a count for each of two parameters
        assert moved.total - before == 4 * 7 * parameters + steps
    assert 1e8 < module.bytes_per_second("cpu", rounds=1) < 1e13


@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_that_is_not_there(
    benchmark: Callable, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        benchmark(name).main(["--device", "cuda"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.endswith("--device is cuda, but torch finds no CUDA device; use --device cpu.\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize("allocator", ["tuned", "default"])
def test_the_allocator_is_that_of_the_whole_process(allocator: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os\nfrom measuring import TUNED, begin, make_parser\n"
        "options = begin(make_parser(''), None)\n"
        "print(options.setting, sum(os.environ.get(name) == value for name, value in TUNED.items()))\n"
    )
    begun = {**os.environ, "PYTHONPATH": str(FOLDER), "MALLOC_TOP_PAD_": "7"}
    words = [sys.executable, str(script), "--allocator", allocator]
    found = subprocess.run(words, env=begun, capture_output=True, text=True, check=True).stdout
    assert found == {"tuned": "cpu 3\n", "default": "cpu_default 0\n"}[allocator]


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_tables_are_those_of_the_measured_numbers(benchmark: Callable, name: str) -> None:
    results = benchmark("measuring").read_results(name)
    assert "cpu" in results
    module = benchmark("training_step_table" if name == "training_step" else name)
    assert (FOLDER / "results" / f"{name}.md").read_text() == module.table(results)


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_a_gpu(benchmark: Callable, name: str) -> None:
    module = benchmark("training_step_table" if name == "training_step" else name)
    on_cpu = {"cpu": benchmark("measuring").read_results(name)["cpu"]}
    table = module.table(on_cpu)
    assert "not measured" in table
    merged = module.table({**on_cpu, "cuda": on_cpu["cpu"]})
    assert "not measured" not in merged
    heads = {line.count("|") for line in merged.splitlines() if line.startswith("|---")}
    assert {line.count("|") for line in table.splitlines() if line.startswith("|")} == heads


def test_the_page_says_what_was_measured(benchmark: Callable, tmp_path: Path) -> None:
    summary = benchmark("summary")
    page = summary.PAGE.read_text(encoding="utf-8")
    assert summary.renewed(page) == page
    assert summary.table() in page
    assert "| not measured |" in page or (FOLDER / "results" / "training_step.cuda.json").exists()
    for name in NAMES:
        assert f"../../benchmarks/results/{name}.md" in page
    (tmp_path / "data_path.cpu.json").write_bytes((FOLDER / "results" / "data_path.cpu.json").read_bytes())
    assert summary.renewed(page, tmp_path) != page
