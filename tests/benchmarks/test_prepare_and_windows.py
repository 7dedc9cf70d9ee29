"""The benchmarks of packing and of windows run, on small scans; the committed results meet the figures wanted."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a file of the folder of benchmarks: benchmark("prepare")."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module
    for name in list(sys.modules):
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT / "benchmarks")):
            del sys.modules[name]


def rows(name: str) -> list[dict]:
    return json.loads((RESULTS / f"{name}.json").read_text())["rows"]


@pytest.mark.parametrize("contestant", ["int16", "int8", "float32", "published"])
def test_each_contestant_packs_a_small_scan(benchmark: Callable, tmp_path: Path, contestant: str) -> None:
    module = benchmark("prepare")
    benchmark("example_scan").write_scan(tmp_path / "scan.nii.gz", 14, "int16", grid=module.SMALL_GRID)
    found = module.measure(contestant, tmp_path / "scan.nii.gz", tmp_path / "out")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert found["bytes"] == sum(path.stat().st_size for path in files)
    assert len(files) == (8 if contestant == "published" else 1)
    assert found["seconds"] > 0


def test_windows_of_a_small_scan_are_the_published_ones(benchmark: Callable, tmp_path: Path) -> None:
    module = benchmark("packed_window")
    found = {row["encoding"]: row for row in module.run("int16", 40, 2, module.SMALL_GRID, tmp_path)}
    assert set(found) == {"int16", "int8", "float32"}
    assert max(found["int16"]["largest_difference"]) < 1e-4
    assert max(found["float32"]["largest_difference"]) < 1e-4
    assert "| int16 | int8 |" in module.table(list(found.values()), {"cores": "2"}, module.SMALL_GRID)


def test_errors_of_encodings(benchmark: Callable) -> None:
    module = benchmark("packed_error")
    values = module.voxels(140, 200, "spikes")
    assert max(module.errors(values, "codes")) <= 1e-3
    assert max(module.errors(values, "float32")) <= 2e-5
    assert max(module.simpler(values, "float16")) > 1e-3


def test_the_committed_figures_of_packing() -> None:
    found = {(row["source"], row["frames"], row["contestant"]): row for row in rows("prepare")}
    for source in ("int16", "float32"):
        for contestant, most in (("int16", 2.1), ("int8", 1.1)):
            row = found[source, 150, contestant]
            assert row["times_faster"] >= 8
            assert row["share_of_memory"] <= 1 / 6
            assert row["bytes_per_value"] <= most
    assert found["float32", 1200, "int16"]["bytes"] <= 0.58e9
    assert found["float32", 1200, "int8"]["bytes"] <= 0.30e9
    assert max(row["peak"] for row in found.values() if row["frames"] == 1200) <= 1.5e9


def test_the_committed_figures_of_windows() -> None:
    for row in rows("packed_window"):
        assert row["handed_over_ratio"] <= 0.35
        if row["encoding"] != "float32":
            assert row["share_of_bytes"] <= 0.20


def test_the_committed_errors() -> None:
    for row in rows("packed_error"):
        if row["encoding"] in ("integers", "codes", "float32"):
            assert max(row["global"], row["voxel"]) <= 1e-3
