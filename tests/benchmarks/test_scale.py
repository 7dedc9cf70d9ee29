"""The benchmark of cost at scale: it runs, it adds up, and what the documents say is what was measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture
def scale(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    known = set(sys.modules)
    import scale

    yield scale
    # names such as `machine` are nobody else's to find
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT / "benchmarks")):
            del sys.modules[name]


def test_a_cohort_needs_what_its_scans_need(scale: ModuleType) -> None:
    costs = [
        {"size": "MNI 2 mm, 490 frames", "encoding": encoding, "bytes": size, "cpu_seconds": 9.0, "peak": 600_000_000}
        | {"source_bytes": 450_000_000}
        for encoding, size in (("int16", 200_000_000), ("int8", 100_000_000))
    ]
    (needed,) = scale.needs(costs)
    assert needed == {
        "cohort": "UK Biobank, 40,000 subjects, MNI 2 mm",
        "scans": 40000,
        "int16_terabytes": 8.0,
        "int8_terabytes": 4.0,
        "core_hours": 100.0,
        "workers_for_a_day": 5,
        "memory_per_worker_gigabytes": 0.6,
        "source_terabytes": 18.0,
        "read_megabytes_per_second": 208.3,
    }


@pytest.mark.parametrize(
    ("denoising", "encoding", "bytes_per_value"), [("none", "int16", 2), ("clean_img:simple", "int8", 1)]
)
def test_what_is_measured_of_a_scan(
    scale: ModuleType, tmp_path: Path, denoising: str, encoding: str, bytes_per_value: int
) -> None:
    from example_scan import write_scan
    from scale_cost import write_confounds

    voxels = write_scan(tmp_path / "scan.nii.gz", 40, "float32", grid=(19, 23, 17))
    write_confounds(tmp_path / "confounds.tsv", 40)
    cost = scale.measure_here(tmp_path / "scan.nii.gz", encoding, tmp_path / "packed", denoising)
    (packed,) = (tmp_path / "packed").glob("*.safetensors")
    statistics_and_mask = 12 * voxels + 19 * 23 * 17 // 8
    assert cost["bytes"] == packed.stat().st_size
    assert 0 < cost["bytes"] - bytes_per_value * 40 * voxels - statistics_and_mask < 8192
    assert 0 < cost["cpu_seconds"] < 10
    assert cost["peak"] >= cost["memory"] > 0


def test_workers_are_killed_until_all_is_packed(scale: ModuleType, tmp_path: Path) -> None:
    (row,) = scale.simulate(10, 40, 0.3, 0.0, tmp_path, quick=True)
    assert (row["scans"], row["right"], row["other_files"]) == (10, 10, 0)
    assert row["starts"] >= 1
    assert list(tmp_path.glob("packed")) == []


def test_the_committed_tables_are_those_of_the_measured_numbers(scale: ModuleType) -> None:
    measured = json.loads((RESULTS / "scale.json").read_text())
    assert scale.needs(measured["costs"]) == measured["cohorts"]
    assert all(row["right"] == row["scans"] == 500 and row["other_files"] == 0 for row in measured["kills"])
    assert sum(row["killed_workers"] for row in measured["kills"]) >= 50
    text = scale.table(**measured)
    assert (RESULTS / "scale.md").read_text() == text
    page = (ROOT / "docs" / "explanation" / "cost_at_scale.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert [line for line in rows if line not in page] == []
